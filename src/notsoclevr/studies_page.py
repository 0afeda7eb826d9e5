"""The studies as a page for people: reports/studies.md, with a picture where it tells more than a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from notsoclevr import study_figures as figures
from notsoclevr.atomic import replacing
from notsoclevr.markdown import share, span, table
from notsoclevr.models import MODELS
from notsoclevr.published import PUBLISHED, Published
from notsoclevr.studies import Row, Study, asked_for, load_rows, load_study, summarise

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
    with replacing(reports / "studies.md") as page:
        page.write_text("\n".join(lines), "utf-8")


def _section(study: Study, reports: Path) -> list[str]:
    rows = asked_for(study, load_rows(study.results))
    ended = [row for row in rows if not row["error"]]
    lines = [f"## {study.name}", "", f"{study.about}. {len(rows):,} of {len(study.trials):,} experiments have run", ""]
    lines[2] += f", {len(rows) - len(ended)} of them failed." if len(ended) < len(rows) else "."
    if not ended:
        return lines
    if picture := PICTURES.get(study.name):
        with replacing(reports / "figures" / f"{study.name}.png") as path:
            picture(path, ended)
        lines += [f"![{study.about}](figures/{study.name}.png)", ""]
    lines += [*EXTRACTS.get(study.name, _nothing)(ended), *_summary(rows)]
    return lines


def _summary(rows: Sequence[Row]) -> list[str]:
    """Give the table of a study: a line for the runs that differ by nothing but the seed."""
    titles = {
        "variant": "variant",
        "model": "model",
        "split": "split",
        "settings": "settings",
        "runs": "perfect",
        "train_exact": "train",
        "test_exact": "test",
        "test_iou": "IoU, test",
        "test_error_px": "error, test, px",
        "epochs_to_perfect": "epochs to perfect",
        "seconds_to_perfect": "seconds to perfect",
    }
    lines = [
        line | {"model": MODELS[line["model"]].title, "runs": f"{line['perfect']} of {line['seeds']}"}
        for line in summarise(rows)
    ]
    shown = [name for name in titles if any(line[name] for line in lines)]
    words = len({"variant", "model", "split", "settings"} & dict.fromkeys(shown).keys())
    cells = [[line[name] for name in shown] for line in lines]
    return [*table([titles[name] for name in shown], cells, words=words), ""]


def _nothing(rows: Sequence[Row]) -> list[str]:
    return []


def _strips(path: Path, rows: Sequence[Row], *, by_variant: bool) -> None:
    kinds: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        variant = row["variant"].replace("_", " ") if by_variant else ""
        name = ", ".join(filter(None, [variant, MODELS[row["model"]].title, row["settings"]]))
        kinds.setdefault(name, {}).setdefault(row["split"], []).append(row)
    figures.save_strips(path, kinds)


def _beside_published(rows: Sequence[Row]) -> list[str]:
    """Give the tutorial's tables with our runs beside them, from the lowest to the highest."""
    lines = []
    for (model, split), runs in _by_cell([row for row in rows if row["variant"] == "table"]).items():
        published = PUBLISHED.get((model, split), Published())
        theirs = (share(published.tutorial_train), share(published.tutorial_test))
        ours = (span([float(run[f"{half}_exact"]) for run in runs], share) for half in ("train", "test"))
        ious = [float(run["test_iou"]) for run in runs if run["test_iou"]]
        iou = span(ious, "{:.3f}".format) if ious else ""
        lines.append([MODELS[model].title, split, runs[0]["learning_rate"], runs[0]["epochs"], *theirs, *ours, iou])
    header = [
        "model",
        "split",
        "rate",
        "epochs",
        "tutorial, train",
        "tutorial, test",
        "ours, train",
        "ours, test",
        "IoU",
    ]
    said = "The tutorial's own settings. It counts rows and columns of a regression singly, we count whole positions:"
    return [said, "", *table(header, lines, words=2), ""] if lines else []


def _by_cell(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["split"]), []).append(row)
    return cells


def _best(rows: Sequence[Row]) -> list[str]:
    """Give the best run for each model and split: chosen by its test score, as the paper chose; then by the other."""
    lines = []
    for (model, split), runs in _by_cell(rows).items():
        measure = "iou" if MODELS[model].task == "rendering" else "exact"
        best = max(runs, key=lambda row: (float(row[f"test_{measure}"]), float(row[f"train_{measure}"])))
        exact = [share(float(best[name])) for name in ("train_exact", "test_exact")]
        iou = f"{float(best['test_iou']):.3f}" if best["test_iou"] else ""
        lines.append([MODELS[model].title, split, best["settings"], f"{len(runs)}", *exact, iou])
    said = "The best of each, chosen by its score on the test half, as the paper chose:"
    return [said, "", *table(["model", "split", "settings", "runs", "train", "test", "IoU"], lines, words=3), ""]


PICTURES: Mapping[str, Callable[[Path, Sequence[Row]], None]] = {
    "seeds": partial(_strips, by_variant=False),  # the variants of a model differ in their seeds alone
    "ablations": partial(_strips, by_variant=True),
    "sample_efficiency": figures.save_shares,
}
EXTRACTS: Mapping[str, Callable[[Sequence[Row]], list[str]]] = {
    "replication": _beside_published,
    "paper_grid": _best,
    "paper_grid_subset": _best,
}
