"""The comparison: all cells, beside what was published about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from notsoclevr import comparison_figures as figures
from notsoclevr.atomic import replacing
from notsoclevr.errors import StudyError
from notsoclevr.markdown import NONE, share, table
from notsoclevr.models import MODELS
from notsoclevr.published import PUBLISHED, Published
from notsoclevr.results import Cell, write_rows

COMPARED = ("train_exact", "test_exact", "train_iou", "test_iou", "train_error_px", "test_error_px")


def compare(cell: Cell) -> dict[str, Any]:
    """Give the row of a cell in comparison.csv; None where a measure does not apply or nothing was published."""
    metrics = cell.metrics
    published = PUBLISHED.get((metrics["model"], metrics["split"]), Published())
    return {
        **{name: metrics[name] for name in ("task", "model", "split", "seed", "parameters", "epochs")},
        **{name: None if metrics.get(name) is None else round(metrics[name], 6) for name in COMPARED},
        **published._asdict(),
    }


def time(cell: Cell) -> dict[str, Any]:
    """Give the row of a cell in timings.csv, in seconds.

    `total_seconds` is the whole command, `train_seconds` its training with what is measured after each epoch,
    `measure_seconds` that measuring alone. `seconds_to_perfect` counts training without measuring, up to the end of the
    first epoch after which every example of both halves was answered exactly.
    """
    timings, perfect = cell.timings, cell.metrics["epochs_to_perfect"]
    return {
        "model": cell.metrics["model"],
        "split": cell.metrics["split"],
        **{name: round(timings[name], 2) for name in ("import_seconds", "train_seconds", "total_seconds")},
        "epochs_to_perfect": perfect,
        "seconds_to_perfect": None if perfect is None else round(sum(timings["epoch_seconds"][:perfect]), 2),
        "measure_seconds": round(timings["train_seconds"] - sum(timings["epoch_seconds"]), 2),
    }


def markdown(cells: Sequence[Cell]) -> str:
    """Write the comparison as Markdown tables, one a task, published beside ours."""
    lines: list[str] = []
    for task in dict.fromkeys(cell.task for cell in cells):
        measure = "IoU, test" if task == "rendering" else "error, test"
        header = ["model", "split", "parameters", "train", "test", measure, "perfect after", "tutorial", "paper"]
        rows = [list(wording(cell).values()) for cell in cells if cell.task == task]
        lines += [f"**{task.capitalize()}**", "", *table(header, rows, words=2), ""]
    return "\n".join(lines)


def wording(cell: Cell) -> dict[str, str]:
    """Return what a table prints of a cell, by column; nothing in it depends on how fast the machine is."""
    row, epoch = compare(cell), cell.metrics["epochs_to_perfect"]
    rendering = row["task"] == "rendering"
    tutorial, paper = NONE, share(row["paper_test"])
    if row["tutorial_test"] is not None:
        tutorial = f"{share(row['tutorial_train'])}, {share(row['tutorial_test'])}"
    if rendering and row["paper_test"] is not None:
        paper = f"IoU {row['paper_test']:.2f}"
    return {
        "model": MODELS[row["model"]].title,
        "split": row["split"],
        "parameters": f"{row['parameters']:,}",
        "train": share(row["train_exact"]),
        "test": share(row["test_exact"]),
        "measure": f"{row['test_iou']:.3f}" if rendering else f"{row['test_error_px']:.2f} px",
        "perfect": "never" if epoch is None else f"epoch {epoch}",
        "tutorial": tutorial,
        "paper": paper,
    }


def write(directory: Path, cells: Sequence[Cell]) -> None:
    """Write the comparison: comparison.csv, timings.csv, comparison.md and figures/.

    Args:
        directory: Where to.
        cells: In the order of the rows.
    """
    for name, row in (("comparison.csv", compare), ("timings.csv", time)):
        with replacing(directory / name) as path:
            write_rows(path, [row(cell) for cell in cells])
    with replacing(directory / "comparison.md") as path:
        path.write_text(markdown(cells), "utf-8")
    pictures = {"finding": figures.save_finding, "maps": figures.save_maps, "curves": figures.save_all_curves}
    for name, save in pictures.items():
        with replacing(directory / "figures" / f"{name}.png") as path:
            save(path, cells)


BEGIN, END = "<!-- comparison: written by `notsoclevr readme` -->", "<!-- end of comparison -->"


def update_readme(readme: Path, table: Path) -> None:
    """Put the tables of the comparison between their marks in the README.

    Raises:
        StudyError: The README has not both marks, or there are no tables.
    """
    if not table.exists():
        raise StudyError(f"{table}: no such file; make it with `notsoclevr evaluate`")
    text = readme.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise StudyError(f"{readme}: takes the line {BEGIN} and the line {END}, each once")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    with replacing(readme) as path:
        path.write_text(f"{before}{BEGIN}\n\n{table.read_text('utf-8')}\n{END}{after}", "utf-8")
