"""The studies as a page for people: reports/studies.md, with a picture where it tells more than a table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.image import imread

from notsoclevr.cost import GIGA
from notsoclevr.dataset import SHOWCASE_PLACES, generate
from notsoclevr.evaluation import Canvas
from notsoclevr.files import atomic_write
from notsoclevr.models import MODELS
from notsoclevr.report import searches
from notsoclevr.report import study_figures as figures
from notsoclevr.report.comparison_figures import Painted, save_painted
from notsoclevr.report.markdown import NONE, flat, quantity, share, span, success, table
from notsoclevr.report.published import PAPER_METRICS, paper_metric, published
from notsoclevr.report.strips import titles
from notsoclevr.studies.rows import BY_EPOCH, is_perfect, load_table, metric_of, summarise
from notsoclevr.studies.spec import BUDGET, Study, load_study, study_files
from notsoclevr.tasks import METRICS

# From what was claimed to what it rests on; studies that are not named come after these, by name.
ORDER = ("seeds", "cost", "replication", "ablations", "sample_efficiency", "paper_grid_subset", "paper_grid")
PAINTED = "{}_squares.png"  # of a study whose painters' squares were kept
LONGEST_BUDGET = 16  # times the epochs of params.yaml, of the study `cost`

Loaded = Mapping[str, tuple[Study, pd.DataFrame]]  # studies by name, each with its rows, as `load_table` returns them


def load(root: Path) -> Loaded:
    """Load all studies and their rows, in the order in which they are shown.

    Args:
        root: The repository.

    Raises:
        StudyError: A study file or the rows beside it are not what they should be.
    """
    paths = study_files(root)
    names = [name for name in ORDER if name in paths] + sorted(paths.keys() - set(ORDER))
    studies = {name: load_study(paths[name], root) for name in names}
    return {name: (study, load_table(study)) for name, study in studies.items()}


def ended(loaded: Loaded, name: str) -> pd.DataFrame | None:
    """Return the rows of a study that hold no error; None if there is no such study."""
    return _ended(loaded[name][1]) if name in loaded else None


def _ended(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["error"] == ""]


def write(reports: Path, loaded: Loaded, found: searches.Loaded) -> None:
    """Write studies.md, and figures/<study>.png for those studies that have one.

    Args:
        reports: Where to.
        loaded: The studies.
        found: The searches.

    Raises:
        OSError: The page cannot be written.
    """
    lines = [
        "# The studies",
        "",
        "Written by `notsoclevr evaluate` from studies/*/results.csv. *train* and *test*: the shares answered exactly",
        "after the last epoch, median (lowest to highest) of the runs; *perfect*: the runs that answered all 3,136",
        "examples exactly (95 % interval of their share); *epochs to perfect*: the first measured epoch after which it",
        "did, even if the last one did not. What a study does not name is as params.yaml has it. docs/studies.md says",
        "how a study is run.",
        "",
    ]
    lines += searches.section(reports, found)
    for study, runs in loaded.values():
        lines += _section(study, runs, reports, loaded)
    with atomic_write(reports / "studies.md") as page:
        page.write_text("\n".join(lines), "utf-8")


def reached(loaded: Loaded) -> dict[tuple[str, str], str]:
    """Return what share of its test set each model ends exact on when it is trained LONGEST_BUDGET times as long.

    Args:
        loaded: The studies, of which `cost` has it.

    Returns:
        By model and split, the median of the seeds and how many there are, in words; nothing where none has run.
    """
    runs = ended(loaded, "cost")
    if runs is None:
        return {}
    longest = runs[runs["settings"].map(_budget) == LONGEST_BUDGET]
    alike = longest.groupby(["model", "split"])["test_exact"]
    return {(str(model), str(split)): _median(shares) for (model, split), shares in alike}


def _budget(settings: str) -> float:
    """Return how many times the epochs of params.yaml a run of the study `cost` has."""
    found = re.search(rf"\b{BUDGET}=(\S+)", settings)
    return float(found[1]) if found else 1


def _median(shares: pd.Series[float]) -> str:
    return f"{share(float(shares.median()))} ({'one seed' if len(shares) == 1 else f'{len(shares)} seeds'})"


def _section(study: Study, runs: pd.DataFrame, reports: Path, loaded: Loaded) -> list[str]:
    whole = _by_model(_ended(runs))
    failed = f", {len(runs) - len(whole)} of them failed" if len(whole) < len(runs) else ""
    about = flat(study.about)
    sentence = about if about.endswith((".", "?", "!")) else f"{about}."
    said = f"{sentence} {len(runs):,} of {len(study.trainings):,} experiments have run{failed}."
    if earlier := int(whole["training_operations"].isna().sum()):
        said += f" {earlier:,} of them are of an earlier training loop, see docs/studies.md."
    lines = [f"## {study.name}", "", said, ""]
    if whole.empty:
        return lines
    if picture := PICTURES.get(study.name):
        with atomic_write(reports / "figures" / f"{study.name}.png") as path:
            picture(path, whole, loaded)
        lines += [f"![{about}](figures/{study.name}.png)", ""]
    if painted := _painted(study, whole):
        with atomic_write(reports / "figures" / PAINTED.format(study.name)) as path:
            save_painted(path, painted)
        said = f"The tutorial's squares, as the networks of {study.name} paint them"
        lines += [f"![{said}](figures/{PAINTED.format(study.name)})", ""]
    if extract := EXTRACTS.get(study.name):
        lines += extract(whole, loaded)
    variants = [f"- *{variant}*: {flat(asked)}" for variant, asked in study.variants.items()]
    return [*lines, *variants, *([""] if variants else []), *_summary(runs)]


def _by_model(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs in the order in which models are shown, those of a model in their own order."""
    return runs.sort_values("model", key=lambda models: models.map([*MODELS].index), kind="stable")


def _beside_recipe(runs: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Return runs of changed recipes, below those of the recipes as they are with the same models, splits and seeds."""
    whole = ended(loaded, "seeds")
    if whole is None:
        return runs
    alike = [whole[name].isin(runs[name]) for name in ("model", "split", "seed")]
    return pd.concat([whole[np.logical_and.reduce(alike)].assign(variant="as it is"), runs])


def _summary(runs: pd.DataFrame) -> list[str]:
    """Return the table of a study: a line for the runs that differ by nothing but the seed."""
    words = ["variant", "model", "split", "settings"]
    titles = {name: name for name in words} | {"perfect": "perfect", "train_exact": "train", "test_exact": "test"}
    for name, metric in METRICS.items():
        titles.setdefault(f"test_{name}", f"{metric.label}, test")
    titles["epochs_to_perfect"] = "epochs to perfect"
    lines = summarise(runs, _spread)
    lines["model"] = lines["model"].map(_title)
    lines["settings"] = lines["settings"].map(_in_words)
    ended = lines["seeds"].astype(int) - lines["failed"].astype(int)
    lines["perfect"] = [
        success(int(perfect), of) if of else NONE for perfect, of in zip(lines["perfect"], ended, strict=True)
    ]
    shown = [name for name in titles if lines[name].any()]
    header = [titles[name] for name in shown]
    return [*table(header, lines[shown].to_numpy().tolist(), words=len({*words} & {*shown})), ""]


def _spread(name: str, values: pd.Series[float]) -> str:
    """Return the median of the values of a column, and in brackets the lowest and the highest if they differ."""
    metric = metric_of(name)
    written = partial(quantity, metric) if metric else _epochs
    ends = span(values, written)
    return f"{written(values.median())} ({ends})" if " to " in ends else ends


def _epochs(number: float) -> str:
    return "never" if number == math.inf else f"{number:g}"


def _title(model: str) -> str:
    return MODELS[model].title


def _in_words(settings: str) -> str:
    """Return settings as they are read: learning_rate=0.001 pooling=max as learning rate 0.001, pooling max."""
    return ", ".join(settings.split()).replace("_", " ").replace("=", " ")


def _painted(study: Study, runs: pd.DataFrame) -> list[Painted]:
    """Return what the networks of a study paint: of each kind the one with the test IoU nearest to the median.

    The median is that of the seeds that paint at all, if any does. Seeds of which no picture was kept count, but cannot
    be shown.
    """
    has_picture = pd.Series([study.squares(key).exists() for key in runs["key"]], runs.index)
    splits = {training.key: training.experiment.split for training in study.trainings}
    painted = []
    for _, alike in runs.groupby(["variant", "model", "split", "settings"], sort=False):
        overlaps = alike["test_iou"]
        painting = overlaps[overlaps > 0] if overlaps.any() else overlaps
        shown = painting[has_picture[painting.index]]
        if shown.empty:
            continue
        run = alike.loc[(shown - painting.median()).abs().idxmin()]
        canvas = Canvas.of(splits[run["key"]](generate()))
        unseen = canvas.is_test[SHOWCASE_PLACES]
        images = np.hsplit(imread(study.squares(run["key"]))[..., 0], len(unseen))
        of = f" ({len(alike)} seeds: {_spans(alike, 'iou')})" if len(alike) > 1 else ""
        name = (
            f"{_title(run['model'])}, {run['split']}\n{run['variant'].replace('_', ' ')}, seed {run['seed']}\n"
            f"test IoU {quantity(METRICS['iou'], run['test_iou'])}{of}"
        )
        painted.append((name, np.stack(images), unseen))
    return painted


def _draw_seeds(path: Path, runs: pd.DataFrame, _: Loaded) -> None:
    """Draw one line per model, and one more for its fresh seeds."""
    figures.save_strips(path, _kinds(runs, titles(runs)))


def _draw_variants(path: Path, runs: pd.DataFrame, loaded: Loaded) -> None:
    """Draw one line per variant of a model, and first its recipe as it is."""
    runs = _by_model(_beside_recipe(runs, loaded))
    figures.save_strips(path, _kinds(runs, runs["model"].map(_title) + ": " + runs["variant"].str.replace("_", " ")))


def _kinds(runs: pd.DataFrame, names: pd.Series[str]) -> Mapping[str, pd.DataFrame]:
    """Return the runs by what a figure calls them: a name, and the settings in which they differ from others of it.

    A name that ends as the first of these settings begins, as "padding, padding reflect", does not say it twice.
    """
    labels = names.where(runs["settings"] == "", names + ", " + runs["settings"].map(_in_words))
    labels = labels.str.replace(r"\b([\w ]+), \1 ", r"\1 ", regex=True)
    return {str(label): alike for label, alike in runs.groupby(labels, sort=False)}


def _beside_published(runs: pd.DataFrame) -> list[str]:
    """Return the tutorial's tables with our runs beside them, from the lowest to the highest."""
    runs = runs[runs["variant"].isin(("table", "own_shape"))]
    others = _other_metrics(runs)
    lines = []
    for (model, split), own in runs.groupby(["model", "split"], sort=False):
        theirs = published(model, split)
        lines.append(
            [
                *(_title(model), split, own["learning_rate"].iloc[0], own["epochs"].iloc[0], f"{len(own)}"),
                *(share(theirs.tutorial_train), share(theirs.tutorial_test)),
                *(span(values, share) for values in (own["train_exact"], own["test_exact"], _best_epochs(own))),
                *(_spans(own, other) for other in others),
            ]
        )
    header = ["model", "split", "learning rate", "epochs", "seeds", "tutorial, train", "tutorial, test"]
    header += ["ours, train", "ours, test", "ours, test, best epoch"]
    header += [f"{METRICS[name].label}, test" for name in others]
    said = (
        "The tutorial's own settings, lowest to highest seed; *best epoch* is the best of those that were measured. "
        "The tutorial counts rows and columns of a regression one by one, we count whole positions:"
    )
    return [said, "", *table(header, lines, words=2), ""] if lines else []


def _best_epochs(runs: pd.DataFrame) -> pd.Series[float]:
    """Return the highest share of exact answers on the test set that was measured after any epoch of each run."""
    measured = runs[BY_EPOCH].map(lambda shares: max(map(float, shares.split()), default=0))
    rounded = runs["test_exact"].map(lambda exact: float(f"{exact:.4g}"))  # as those after each epoch are
    return runs["test_exact"].where(rounded >= measured, measured)


def _other_metrics(runs: pd.DataFrame) -> list[str]:
    """Return the metrics beside "exact" that were published and that some of the runs have."""
    return [name for name in METRICS if name in PAPER_METRICS.values() and runs[f"test_{name}"].notna().any()]


def _spans(runs: pd.DataFrame, metric: str) -> str:
    known = runs[f"test_{metric}"].dropna()
    return "" if known.empty else span(known, lambda value: quantity(METRICS[metric], value))


def _best(runs: pd.DataFrame) -> list[str]:
    """Return the run with the best test score for each model and split, as the paper chose."""
    others = _other_metrics(runs)
    lines = []
    for (model, split), own in runs.groupby(["model", "split"], sort=False):
        metric = paper_metric(model)
        columns = [f"{part}_{metric.name}" for part in ("test", "train")]
        best = own.sort_values(columns, ascending=metric.perfect < metric.worst, kind="stable").iloc[[0]]
        exact = [share(best[f"{part}_exact"].item()) for part in ("train", "test")]
        settings = _in_words(best["settings"].item())
        lines.append(
            [_title(model), split, settings, f"{len(own)}", *exact, *(_spans(best, other) for other in others)]
        )
    header = ["model", "split", "settings", "runs", "train", "test", *(METRICS[name].label for name in others)]
    said = "The best of each, chosen by its score on the test set, as the paper chose:"
    return [said, "", *table(header, lines, words=3), ""]


def _exact_from(runs: pd.DataFrame) -> list[str]:
    """Return what each model reaches with each budget, and the least with which it is perfect with every seed."""
    runs = runs.assign(budget=runs["settings"].map(_budget))
    budgets = sorted(runs["budget"].unique())
    lines = []
    for (model, split), own in runs.groupby(["model", "split"], sort=False):
        medians = {budget: _median(shares) for budget, shares in own.groupby("budget")["test_exact"]}
        costs = is_perfect(own).groupby(own["training_operations"]).all()
        least = f"{costs[costs].index.min() / GIGA:,.0f} GFLOP" if costs.any() else "never"
        lines.append([_title(model), split, *(medians.get(budget, NONE) for budget in budgets), least])
    times = [f"x {budget:g}" for budget in budgets]
    header = ["model", "split", *times, "least that is perfect with every seed"]
    said = "Exact on the test set, the median of the seeds, with so many times the epochs of params.yaml:"
    return [said, "", *table(header, lines, words=2), ""]


# By the name of a study, which is its folder's.
PICTURES: Mapping[str, Callable[[Path, pd.DataFrame, Loaded], None]] = {
    "seeds": _draw_seeds,
    "cost": lambda path, runs, loaded: figures.save_costs(path, _beside_recipe(runs, loaded)),
    "ablations": _draw_variants,
    "sample_efficiency": lambda path, runs, loaded: figures.save_shares(path, _beside_recipe(runs, loaded)),
}
EXTRACTS: Mapping[str, Callable[[pd.DataFrame, Loaded], list[str]]] = {
    "cost": lambda runs, loaded: _exact_from(_beside_recipe(runs, loaded)),
    "replication": lambda runs, _: _beside_published(runs),
    "paper_grid": lambda runs, _: _best(runs),
    "paper_grid_subset": lambda runs, _: _best(runs),
}
