"""The command line: parsing, and one call each.

TensorFlow, MLflow and matplotlib are imported by the commands that use them, after all that can be wrong with the
command has been found: `--help` and every refusal come at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from notsoclevr import dataset
from notsoclevr.config import OUTPUTS, PARAMS, REPORTS, RESULTS, check_split, load, setting_names
from notsoclevr.errors import StudyError, warn, why
from notsoclevr.models import MODELS
from notsoclevr.splits import SPLITS

if TYPE_CHECKING:
    from notsoclevr.cells.files import Cell
    from notsoclevr.cells.matrix import Missing

IN_PLACE = f"In place of the one in {PARAMS}."
SHOWN = ("learning_rate", "batch_size", "epochs")  # settings that `train --help` names


def find_root() -> Path:
    """Return the folder of params.yaml: this one, or the nearest above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS).is_file():
            return folder
    raise StudyError(f"{here}: no {PARAMS} here or in a folder above; use --root")


class _Group(click.Group):
    """Commands whose failures are one line on stderr and an exit status."""

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
                stream.reconfigure(errors="replace")  # of a terminal that has no en dash
        try:
            status = super().main(*args, **options | {"standalone_mode": False})
        except StudyError as error:
            _fail(str(error), error.exit_status)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 130)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{why(error)}", 1)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    warn(message)
    sys.exit(status)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"Folder of {PARAMS}.",
)
@click.version_option(package_name="coordconv-keras")
@click.pass_context
def main(context: click.Context, root: Path | None) -> None:
    """Study CoordConv on Not-so-Clevr: make the data, train, compare, track."""
    context.obj = root


def _pass_root(command: Callable[..., None]) -> Callable[..., None]:
    """Hand the root to a command when it runs: `--help` needs none."""

    @click.pass_obj
    @wraps(command)
    def run(root: Path | None, *arguments: Any, **options: Any) -> None:
        command((root or find_root()).resolve(), *arguments, **options)

    return run


@main.command()
@_pass_root
def generate(root: Path) -> None:
    """Make the dataset: 3,136 squares on a canvas, data/not_so_clevr.npz."""
    dataset.save_dataset(dataset.dataset_path(root), dataset.generate())


@main.command()
@click.option("--split", "names", type=click.Choice(list(SPLITS)), multiple=True, help="Only this one.")
@_pass_root
def split(root: Path, names: Sequence[str]) -> None:
    """Divide the dataset into a training set and a test set, data/<split>.npz, as params.yaml says."""
    config = load(root / PARAMS)
    examples = dataset.load_dataset(dataset.dataset_path(root))
    names = names or list(SPLITS)
    for name in names:
        check_split(config.splits[name], f"{root / PARAMS}: splits.{name}")
    for name in names:
        divided = config.splits[name](examples)
        dataset.save_split(dataset.split_path(root, name), divided)
        click.echo(f"{name}: {len(divided.train)} train, {len(divided.test)} test")


def _value(text: str) -> Any:
    """Return a setting as the command line has it: a number, true, false, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)


def _recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every setting of every recipe, so that `mlflow run . -P epochs=3` can pass any of them on."""
    for name in reversed(setting_names()):
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        command = click.option(*spellings, name, metavar="VALUE", hidden=name not in SHOWN, help=IN_PLACE)(command)
    return command


@main.command(epilog=f"Every setting of the model's recipe in {PARAMS} is an option too, as --weight_decay 0.1.")
@click.option("--model", type=click.Choice(list(MODELS)), required=True)
@click.option("--split", "split_name", type=click.Choice(list(SPLITS)), required=True)
@click.option("--seed", metavar="VALUE", help=IN_PLACE)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files. By default results/<model>-<split>, or outputs/<model>-<split> if that is no cell of "
    "the comparison or if a seed, a setting or more threads are given.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="More are faster, and change the last digits of the results.",
)
@_recipe_options
@_pass_root
def train(
    root: Path,
    /,
    model: str,
    split_name: str,
    seed: str | None,
    out: Path | None,
    threads: int,
    **settings: str | None,
) -> None:
    """Train one model on one split as one tracked run, and keep its results."""
    started = perf_counter()
    overrides = {f"models.{model}.{name}": _value(text) for name, text in settings.items() if text is not None}
    if seed is not None:
        overrides["seed"] = _value(seed)
    config = load(root / PARAMS, overrides)
    experiment = config.experiment(model, split_name)
    if out and out.is_dir() and any(out.iterdir()) and not (out / "metrics.json").exists():
        raise StudyError(f"--out {out}: holds other files; it takes an empty folder, or that of an earlier training")
    path = dataset.split_path(root, split_name)
    examples = dataset.load_split(path)
    if not dataset.equal(examples, experiment.split(dataset.generate())):
        raise StudyError(f"{path}: is not divided as {PARAMS} says; make it anew with `notsoclevr split`")
    _stop_politely()

    from notsoclevr.cells.training import train_cell

    compared = not overrides and threads == 1 and experiment.name in config.cells
    directory = out or root / (RESULTS if compared else OUTPUTS) / experiment.name
    train_cell(root, experiment, examples, directory, started=started, threads=threads)
    click.echo(f"{experiment.name}: {directory}")


def _stop_politely() -> None:
    """Let SIGTERM end this process as Ctrl-C would, so that what it has begun is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _load_matrix(root: Path) -> tuple[list[Cell], list[Missing]]:
    """Load the cells of the comparison, and name those on stderr that are missing.

    Raises:
        StudyError: There is none.
    """
    config = load(root / PARAMS)
    if not any((root / RESULTS / name).is_dir() for name in config.cells):
        raise StudyError(f"{root / RESULTS}: no results; train with `dvc repro` or `notsoclevr train`", exit_status=1)

    from notsoclevr.cells.matrix import load_matrix

    cells, missing = load_matrix(root / RESULTS, config)
    for cell in missing:
        warn(f"{cell.name} is missing from the comparison: {cell.reason}")
    if not cells:
        raise StudyError(f"{root / RESULTS}: none of the {len(missing)} cells can be read", exit_status=1)
    return cells, missing


@main.command()
@_pass_root
def evaluate(root: Path) -> None:
    """Compare the cells in results/ with each other and with what was published, in reports/.

    A cell that is missing or damaged is named there and on stderr, and the rest is compared.
    """
    cells, missing = _load_matrix(root)

    from notsoclevr import stages

    stages.evaluate(root, cells, missing)


@main.command()
@click.argument("directories", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@_pass_root
def track(root: Path, directories: Sequence[Path]) -> None:
    """Log what MLflow lacks: the cells in DIRECTORIES, or all in results/ and their comparison.

    Of results/, a cell that is missing or damaged is named on stderr, and the rest is logged. With DIRECTORIES neither
    the comparison nor the model registry is touched.
    """
    from notsoclevr.cells import files

    cells = [files.load(directory) for directory in directories] or _load_matrix(root)[0]

    from notsoclevr import stages

    stages.track(root, cells, compare=not directories)


def _cores() -> int:
    """Return how many processor cores this process may use."""
    from dask.system import cpu_count

    return cpu_count()


@main.command()
@click.option("--models", default="all", metavar="NAMES", help="all, or model names separated by commas.")
@click.option("--epochs", default="recipe", metavar="NUMBER", help=f"Epochs of each; recipe: as {PARAMS} has them.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Trainings at a time; by default one per core.")
@_pass_root
def pipeline(root: Path, models: str, epochs: str, jobs: int | None) -> None:
    """Run the stages of dvc.yaml, several trainings at a time, and log what has no run: `make repro`.

    It may be stopped at any time and run again: what ended is kept. With --epochs it runs as a DVC experiment
    (`dvc exp run --temp`): every chosen cell is trained again, one after the other, and results/ and reports/ stay as
    they are; `dvc exp list` lists it, `dvc exp apply` adopts it.
    """
    from notsoclevr import pipeline as whole

    if jobs and epochs != "recipe":
        raise StudyError(
            "--jobs and --epochs: an experiment of DVC trains one cell after the other; give one of the two"
        )
    config = load(root / PARAMS)
    known = list(dict.fromkeys(model for model, _ in config.cells.values()))
    chosen = known if models == "all" else [name.strip() for name in models.split(",")]
    if unknown := [name for name in chosen if name not in known]:
        raise StudyError(f"--models: {unknown[0]!r} is no model of the matrix; takes all, or of {', '.join(known)}")
    cells = [name for name, (model, _) in config.cells.items() if model in chosen]
    _stop_politely()
    if epochs == "recipe":
        whole.reproduce(root, config, cells, jobs or _cores())
        from notsoclevr import stages

        with stages.without_store():
            stages.track(root, _load_matrix(root)[0], compare=True)
        click.echo(whole.differences(root))
    else:
        overrides = {f"models.{name}.epochs": _value(epochs) for name in chosen}
        load(root / PARAMS, overrides)  # refuses a wrong number, before anything is done
        whole.run_experiment(root, config, cells, overrides)


def _pass_workers(command: Callable[..., None]) -> Callable[..., None]:
    """Hand a command the number of processes here or the cluster on which its trainings run."""

    @click.option("--workers", type=click.IntRange(min=1), help="Processes here; by default one per processor core.")
    @click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler to use instead, as tcp://host:8786.")
    @wraps(command)
    def run(*arguments: Any, workers: int | None, scheduler: str | None, **options: Any) -> None:
        if workers and scheduler is not None:
            raise StudyError("--workers and --scheduler: a cluster has workers of its own; give one of the two")
        if scheduler == "":
            raise StudyError("--scheduler is empty; it takes the address of a Dask scheduler, as tcp://host:8786")
        command(*arguments, workers=workers or _cores(), scheduler=scheduler, **options)

    return run


@main.command()
@click.argument("path", metavar="STUDY_YAML", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_pass_workers
@_pass_root
def study(root: Path, path: Path, workers: int, scheduler: str | None) -> None:
    """Run the experiments of a study that have no row in the results.csv beside it, or one with an error.

    It may be stopped at any time and run again: what ended is kept. Exit status 1 if an experiment failed.
    """
    from notsoclevr.studies.spec import load_study

    asked = load_study(path, root)
    from notsoclevr.studies.engine import run_study

    failed = run_study(root, asked, workers=workers, scheduler=scheduler)
    if failed:
        raise StudyError(f"{asked.results}: {failed} of {len(asked.trainings)} experiments failed", exit_status=1)


@main.command()
@click.argument(
    "folders",
    metavar="STUDIES/SEARCH/MODEL...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
)
@_pass_workers
@click.option("--apply", is_flag=True, help=f"Write the recipe into {PARAMS}, too.")
@_pass_root
def search(root: Path, folders: Sequence[Path], workers: int, scheduler: str | None, apply: bool) -> None:
    """Search for the recipes of models, as described in docs/protocol.md: trials.csv and recipe.yaml in each folder.

    It may be stopped at any time and run again: what ended is kept.
    """
    from notsoclevr.studies.search.space import load_space

    spaces = [load_space(folder, root) for folder in folders]
    from notsoclevr.studies.search.engine import run_search
    from notsoclevr.studies.search.rows import apply_recipe

    for space in spaces:
        chosen = run_search(root, space, workers=workers, scheduler=scheduler)
        click.echo(f"{space.model}: trial {chosen.row.trial}, lowest score {chosen.lowest:.8f}: {space.recipe_file}")
        if apply:
            assert chosen.row.recipe  # it was trained
            apply_recipe(root / PARAMS, space.model, chosen.row.recipe)


@main.command()
@_pass_root
def claims(root: Path) -> None:
    """Judge the claims of studies/claims.yaml by the rows of the studies: reports/claims.md and claims.csv."""
    from notsoclevr import stages

    click.echo(stages.judge_claims(root))


@main.command()
@_pass_root
def readme(root: Path) -> None:
    """Copy the tables of reports/comparison.md between their marks in README.md."""
    from notsoclevr.report import comparison

    comparison.update_readme(root / "README.md", root / REPORTS / "comparison.md")
