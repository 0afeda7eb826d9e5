"""The command line: parsing, and one call each.

TensorFlow, MLflow and matplotlib are imported by the commands that use them, after all that can be wrong with the
command has been found: `--help` and every refusal come at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from notsoclevr import dataset
from notsoclevr.config import PARAMS, SETTINGS, load
from notsoclevr.errors import StudyError, one_line
from notsoclevr.models import MATRIX, MODELS
from notsoclevr.training import Experiment

if TYPE_CHECKING:
    from notsoclevr.results import Cell, Missing

DATASET = Path("data/not_so_clevr.npz")
RESULTS = Path("results")
REPORTS = Path("reports")
IN_PLACE = f"In place of the one in {PARAMS}."
SHOWN = ("learning_rate", "batch_size", "epochs")  # settings that `train --help` names


def find_root() -> Path:
    """Find the folder of params.yaml: this one, or the nearest above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS).is_file():
            return folder
    raise StudyError(f"{here}: no {PARAMS} here or in a folder above; use --root")


def split_path(root: Path, split: str) -> Path:
    """Give the file of a split."""
    return root / "data" / f"{split}.npz"


class _Group(click.Group):
    """Commands whose failures are one line on stderr and an exit status."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            status = super().main(*args, **options | {"standalone_mode": False})
        except StudyError as error:
            _fail(str(error), error.exit_status)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 130)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}", 1)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    click.echo(f"notsoclevr: {one_line(message)}", err=True)
    sys.exit(status)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"Folder of {PARAMS}.",
)
@click.version_option(package_name="coordconv-keras")
@click.pass_context
def main(context: click.Context, root: Path | None) -> None:
    """Study CoordConv on Not-so-Clevr: make the data, train, compare, track."""
    if not context.resilient_parsing:
        context.obj = (root or find_root()).resolve()


@main.command()
@click.pass_obj
def generate(root: Path) -> None:
    """Make the dataset: 3,136 squares on a canvas, data/not_so_clevr.npz."""
    dataset.save_dataset(root / DATASET, dataset.generate())


@main.command()
@click.option("--split", "names", type=click.Choice(list(dataset.SPLITS)), multiple=True, help="Only this one.")
@click.pass_obj
def split(root: Path, names: Sequence[str]) -> None:
    """Split the dataset into train and test, data/<split>.npz, each as params.yaml says."""
    config = load(root / PARAMS)
    examples = dataset.load_dataset(root / DATASET)
    for name in names or dataset.SPLITS:
        halves = dataset.SPLITS[name](examples, **config.splits[name])
        dataset.save_split(split_path(root, name), halves)
        click.echo(f"{name}: {len(halves.train)} train, {len(halves.test)} test")


def _number(text: str) -> Any:
    """Read a setting from the command line: a number, true, false, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)


def _recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every setting of every recipe, so that `mlflow run . -P epochs=3` can pass any of them on."""
    for name in reversed(SETTINGS):
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        command = click.option(*spellings, name, metavar="VALUE", hidden=name not in SHOWN, help=IN_PLACE)(command)
    return command


@main.command(epilog=f"Every setting of the model's recipe in {PARAMS} is an option too, as --weight_decay 0.1.")
@click.option("--model", type=click.Choice(list(MODELS)), required=True)
@click.option("--split", "split_name", type=click.Choice(list(dataset.SPLITS)), required=True)
@click.option("--seed", metavar="VALUE", help=IN_PLACE)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results, in place of results/.",
)
@_recipe_options
@click.pass_obj
def train(
    root: Path, /, model: str, split_name: str, seed: str | None, out: Path | None, **settings: str | None
) -> None:
    """Train one model on one split as one tracked run, and keep its results."""
    started = perf_counter()
    overrides = {f"models.{model}.{name}": _number(text) for name, text in settings.items() if text is not None}
    if seed is not None:
        overrides["seed"] = _number(seed)
    config = load(root / PARAMS, overrides)
    experiment = Experiment(model=model, split=split_name, seed=config.seed, recipe=config.models[model])
    examples = dataset.load_split(split_path(root, split_name))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run which is killed politely is closed

    from notsoclevr import cells

    cells.train_cell(root, experiment, examples, out or root / RESULTS / f"{model}-{split_name}", started=started)


def _cells(directories: Sequence[Path]) -> list[Cell]:
    """Read cells, in the order of the models and the splits."""
    from notsoclevr import results

    cells = [results.load(directory) for directory in directories]
    order = [(model, split) for model in MODELS for split in dataset.SPLITS]
    return sorted(cells, key=lambda cell: order.index((cell.metrics["model"], cell.metrics["split"])))


def _finished(root: Path) -> list[Path]:
    """Return the folders of results/ that are called as a cell is and hold the results of a training."""
    folders = [root / RESULTS / f"{model}-{split}" for model in MODELS for split in dataset.SPLITS]
    directories = [folder for folder in folders if (folder / "metrics.json").exists()]
    if not directories:
        raise StudyError(f"{root / RESULTS}: no results; train with `dvc repro` or `notsoclevr train`", exit_status=1)
    return directories


def _matrix(root: Path) -> tuple[list[Cell], list[Missing]]:
    """Load the cells in results/ that can be compared, and name the others on stderr."""
    from notsoclevr import results

    cells, missing = results.load_matrix(root / RESULTS)
    for cell in missing:
        click.echo(f"notsoclevr: {cell.name} is missing from the comparison: {cell.reason}", err=True)
    if not cells:
        raise StudyError(f"{root / RESULTS}: none of the {len(missing)} cells can be read")
    return cells, missing


@main.command()
@click.pass_obj
def evaluate(root: Path) -> None:
    """Compare the cells in results/ with each other and with what was published, in reports/.

    A cell that is missing or damaged is named there and on stderr, and the rest is compared.
    """
    _finished(root)

    from notsoclevr import stages

    cells, missing = _matrix(root)
    stages.evaluate(root, cells, missing, root / REPORTS)


@main.command()
@click.argument("directories", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_obj
def track(root: Path, directories: Sequence[Path]) -> None:
    """Log to MLflow what it does not know: the cells in DIRECTORIES, or all in results/ and their comparison.

    Of results/, a cell that is missing or damaged is named on stderr, and the rest is logged. With DIRECTORIES neither
    the comparison nor the model registry is touched.
    """
    if directories:
        cells, reports = _cells(directories), None
    else:
        _finished(root)
        cells, reports = _matrix(root)[0], root / REPORTS

    from notsoclevr import stages

    stages.track(root, cells, reports, lambda name: dataset.load_split(split_path(root, name)))


@main.command()
@click.option("--models", default="all", metavar="NAMES", help="all, or some, with commas between them.")
@click.option("--epochs", default="recipe", metavar="NUMBER", help=f"For each of them; recipe: as {PARAMS} has it.")
@click.pass_context
def pipeline(context: click.Context, models: str, epochs: str) -> None:
    """Run the stages of dvc.yaml and log what has no run: the entry point `pipeline` of `mlflow run`.

    With a number of epochs that is an experiment of DVC (`dvc exp run --temp`), all of it trained anew: results/ and
    reports/ stay what params.yaml says, and `dvc exp show` and `dvc exp apply` know the rest.
    """
    names = list(MATRIX) if models == "all" else models.split(",")
    if unknown := [name for name in names if name not in MATRIX]:
        raise StudyError(f"--models: {unknown[0]!r} is no model of the pipeline; takes all, or of {', '.join(MATRIX)}")
    overrides = {} if epochs == "recipe" else {f"models.{name}.epochs": _number(epochs) for name in names}
    load(context.obj / PARAMS, overrides)
    stages = [f"train@{name}-{split}" for name in names for split in dataset.SPLITS]
    arguments = [] if models == "all" else ["--single-item", "generate", "split", *stages, "evaluate"]
    if overrides:
        settings = [f"--set-param={key}={value}" for key, value in overrides.items()]
        arguments = ["exp", "run", "--temp", "--force", *settings, *arguments]
    else:
        arguments = ["repro", *arguments]
    if subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=context.obj, check=False).returncode:
        raise StudyError("DVC stopped before the end; what it said stands above", exit_status=1)
    if not overrides:
        context.invoke(track)


@main.command()
@click.argument("path", metavar="STUDY_YAML", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--workers", type=click.IntRange(min=1), help="Processes here; one a processor core by default.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster to do the work, as tcp://host:8786.")
@click.pass_obj
def study(root: Path, path: Path, workers: int | None, scheduler: str | None) -> None:
    """Run the experiments of a study that have no row in the results.csv beside it.

    It may be stopped at any time and run again: what ended is kept. Exit status 1 if an experiment failed.
    """
    if workers and scheduler is not None:
        raise StudyError("--workers and --scheduler: a cluster has workers of its own; give one of the two")
    if scheduler == "":
        raise StudyError("--scheduler is empty; it takes the address of a Dask scheduler, as tcp://host:8786")
    from notsoclevr import engine, studies

    asked = studies.load_study(path, root)
    failed = engine.run_study(root, asked, workers=workers or os.cpu_count() or 1, scheduler=scheduler)
    if failed:
        raise StudyError(f"{asked.results}: {failed} of {len(asked.trials)} experiments failed", exit_status=1)


@main.command()
@click.pass_obj
def claims(root: Path) -> None:
    """Hold the published claims of studies/claims.yaml to the rows of the studies: reports/claims.md and claims.csv."""
    from notsoclevr import ledger
    from notsoclevr.claims import judge

    judged = judge(root, root / ledger.FILE)
    ledger.write(root / REPORTS, judged)
    click.echo(ledger.counts(judged))


@main.command()
@click.pass_obj
def readme(root: Path) -> None:
    """Copy the tables of reports/comparison.md between their marks in README.md."""
    from notsoclevr import comparison

    comparison.update_readme(root / "README.md", root / REPORTS / "comparison.md")


@main.command()
@click.pass_obj
def doctor(root: Path) -> None:
    """Look at everything the other commands need, and say of each whether it is there."""
    from notsoclevr import doctor as examination

    checks = [
        ("packages", examination.packages),
        ("settings", lambda: f"{PARAMS} is valid, seed {load(root / PARAMS).seed}"),
        ("dataset", lambda: f"{len(dataset.load_dataset(root / DATASET))} examples"),
        *((f"split {name}", lambda name=name: _describe(root, name)) for name in dataset.SPLITS),
        ("results", lambda: f"{len(_cells(_finished(root)))} cells"),
        ("tracking", lambda: examination.tracking(root)),
    ]
    if not examination.examine(checks):
        sys.exit(1)


def _describe(root: Path, name: str) -> str:
    halves = dataset.load_split(split_path(root, name))
    return f"{len(halves.train)} train, {len(halves.test)} test"
