"""The studies as a page for people: reports/studies.md, with a picture where it tells more than a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from notsoclevr.files import atomic_write
from notsoclevr.models import MODELS
from notsoclevr.report import study_figures as figures
from notsoclevr.report.markdown import quantity, share, span, success, table
from notsoclevr.report.published import PAPER_METRICS, paper_metric, published
from notsoclevr.studies.rows import load_table, summarise
from notsoclevr.studies.spec import Study, load_study
from notsoclevr.tasks import METRICS

# From what was claimed to what it rests on; studies that are not named come after these, by name.
ORDER = ("seeds", "replication", "ablations", "sample_efficiency", "paper_grid_subset", "paper_grid")


def write(reports: Path, root: Path) -> None:
    """Write studies.md, and figures/<study>.png for those studies that have one.

    Args:
        reports: Where to.
        root: The repository.

    Raises:
        StudyError: A study file or the rows beside it are not what they should be.
        OSError: The page cannot be written.
    """
    paths = {path.parent.name: path for path in root.glob("studies/*/study.yaml")}
    names = [name for name in ORDER if name in paths] + sorted(paths.keys() - set(ORDER))
    lines = [
        "# The studies",
        "",
        "Written by `notsoclevr evaluate` from studies/*/results.csv. *train* and *test*: the shares answered exactly",
        "after the last epoch, the median of the runs and in brackets the lowest and the highest; *perfect*: the runs",
        "that answered all 3,136 examples exactly. docs/studies.md says how a study is run.",
        "",
    ]
    for name in names:
        lines += _section(load_study(paths[name], root), reports)
    with atomic_write(reports / "studies.md") as page:
        page.write_text("\n".join(lines), "utf-8")


def _section(study: Study, reports: Path) -> list[str]:
    runs = load_table(study)
    ended = runs[runs["error"] == ""]
    failed = f", {len(runs) - len(ended)} of them failed" if len(ended) < len(runs) else ""
    said = f"{study.about}. {len(runs):,} of {len(study.trials):,} experiments have run{failed}."
    lines = [f"## {study.name}", "", said, ""]
    if ended.empty:
        return lines
    if picture := PICTURES.get(study.name):
        with atomic_write(reports / "figures" / f"{study.name}.png") as path:
            picture(path, ended)
        lines += [f"![{study.about}](figures/{study.name}.png)", ""]
    if extract := EXTRACTS.get(study.name):
        lines += extract(ended)
    return lines + _summary(runs)


def _summary(runs: pd.DataFrame) -> list[str]:
    """Return the table of a study: a line for the runs that differ by nothing but the seed."""
    words = ["variant", "model", "split", "settings"]
    titles = {name: name for name in words} | {"perfect": "perfect", "train_exact": "train", "test_exact": "test"}
    for name, metric in METRICS.items():
        label, _, unit = metric.heading.partition(", ")
        titles.setdefault(f"test_{name}", ", ".join(filter(None, [label, "test", unit])))
    titles |= {name: name.replace("_", " ") for name in ("epochs_to_perfect", "seconds_to_perfect")}
    lines = summarise(runs)
    lines["model"] = lines["model"].map(_title)
    numbers = zip(lines["perfect"], lines["seeds"], strict=True)
    lines["perfect"] = [success(int(perfect), int(of)) for perfect, of in numbers]
    shown = [name for name in titles if lines[name].any()]
    header = [titles[name] for name in shown]
    return [*table(header, lines[shown].to_numpy().tolist(), words=len({*words} & {*shown})), ""]


def _title(model: str) -> str:
    return MODELS[model].title


def _draw_seeds(path: Path, runs: pd.DataFrame) -> None:
    """Draw a line a model: its variants differ in their seeds alone."""
    figures.save_strips(path, _kinds(runs, runs["model"].map(_title)))


def _draw_variants(path: Path, runs: pd.DataFrame) -> None:
    """Draw a line a variant of a model."""
    figures.save_strips(path, _kinds(runs, runs["variant"].str.replace("_", " ") + ", " + runs["model"].map(_title)))


def _kinds(runs: pd.DataFrame, names: pd.Series[str]) -> Mapping[str, pd.DataFrame]:
    """Return the runs by what a figure calls them: a name, and the settings in which they differ from others of it."""
    labels = names.where(runs["settings"] == "", names + ", " + runs["settings"])
    return {str(label): alike for label, alike in runs.groupby(labels, sort=False)}


def _beside_published(runs: pd.DataFrame) -> list[str]:
    """Return the tutorial's tables with our runs beside them, from the lowest to the highest."""
    runs = runs[runs["variant"] == "table"]
    others = _other_metrics(runs)
    lines = []
    for (model, split), own in runs.groupby(["model", "split"], sort=False):
        theirs = published(model, split)
        lines.append(
            [
                *(_title(model), split, own["learning_rate"].iloc[0], own["epochs"].iloc[0]),
                *(share(theirs.tutorial_train), share(theirs.tutorial_test)),
                *(span(own[f"{part}_exact"], share) for part in ("train", "test")),
                *(_spans(own, other) for other in others),
            ]
        )
    header = ["model", "split", "rate", "epochs", "tutorial, train", "tutorial, test", "ours, train", "ours, test"]
    header += [METRICS[name].label for name in others]
    said = "The tutorial's own settings. It counts rows and columns of a regression singly, we count whole positions:"
    return [said, "", *table(header, lines, words=2), ""] if lines else []


def _other_metrics(runs: pd.DataFrame) -> list[str]:
    """Return the metrics beside "exact" that were published and that some of the runs have."""
    return [name for name in METRICS if name in PAPER_METRICS.values() and runs[f"test_{name}"].notna().any()]


def _spans(runs: pd.DataFrame, metric: str) -> str:
    known = runs[f"test_{metric}"].dropna()
    return "" if known.empty else span(known, lambda value: quantity(METRICS[metric], value))


def _best(runs: pd.DataFrame) -> list[str]:
    """Return the best run for each model and split: chosen by its test score, as the paper chose; then by the other."""
    others = _other_metrics(runs)
    lines = []
    for (model, split), own in runs.groupby(["model", "split"], sort=False):
        metric = paper_metric(model)
        columns = [f"{part}_{metric.name}" for part in ("test", "train")]
        best = own.sort_values(columns, ascending=metric.better == "lower", kind="stable").iloc[[0]]
        exact = [share(best[f"{part}_exact"].item()) for part in ("train", "test")]
        settings = best["settings"].item()
        lines.append(
            [_title(model), split, settings, f"{len(own)}", *exact, *(_spans(best, other) for other in others)]
        )
    header = ["model", "split", "settings", "runs", "train", "test", *(METRICS[name].label for name in others)]
    said = "The best of each, chosen by its score on the test set, as the paper chose:"
    return [said, "", *table(header, lines, words=3), ""]


# By the name of a study, which is its folder's.
PICTURES: Mapping[str, Callable[[Path, pd.DataFrame], None]] = {
    "seeds": _draw_seeds,
    "ablations": _draw_variants,
    "sample_efficiency": figures.save_shares,
}
EXTRACTS: Mapping[str, Callable[[pd.DataFrame], list[str]]] = {
    "replication": _beside_published,
    "paper_grid": _best,
    "paper_grid_subset": _best,
}
