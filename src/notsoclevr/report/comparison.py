"""The comparison: all cells, beside what was published about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from notsoclevr.cells.files import Cell
from notsoclevr.cost import GIGA
from notsoclevr.errors import StudyError
from notsoclevr.files import atomic_write, write_rows
from notsoclevr.report import comparison_figures as figures
from notsoclevr.report.markdown import NONE, quantity, share, table
from notsoclevr.report.published import paper_metric, published
from notsoclevr.report.studies import LONGEST_BUDGET
from notsoclevr.tasks import METRICS, TASKS

Reached = Mapping[tuple[str, str], str]  # by model and split

# The columns of comparison.csv that other programs read; those of metrics that were declared later come behind.
COLUMNS = (
    *("task", "model", "split", "seed", "parameters", "epochs", "train_exact", "test_exact", "train_iou", "test_iou"),
    *("train_error_px", "test_error_px", "tutorial_train", "tutorial_test", "paper_test"),
    *("epochs_to_perfect", "gflop", "gflop_to_perfect"),
)


def compare(cell: Cell) -> dict[str, Any]:
    """Return the row of a cell in comparison.csv; None where a metric does not apply or nothing was published."""
    metrics = cell.metrics
    perfect = metrics["epochs_to_perfect"]
    measured = {name: metrics.get(name) for metric in METRICS for name in (f"train_{metric}", f"test_{metric}")}
    values = {
        **{name: metrics[name] for name in ("task", "model", "split", "seed", "parameters", "epochs")},
        **{name: None if value is None else round(value, 6) for name, value in measured.items()},
        **published(metrics["model"], metrics["split"])._asdict(),
        "epochs_to_perfect": perfect,
        "gflop": round(gigaflop(cell, metrics["epochs"]), 1),
        "gflop_to_perfect": perfect and round(gigaflop(cell, perfect), 1),
    }
    return {name: values[name] for name in dict.fromkeys((*COLUMNS, *values))}


def gigaflop(cell: Cell, epochs: float) -> float:
    """Return the floating-point operations, in billions, of so many epochs of a cell's training."""
    operations: float = cell.metrics["training_operations"] / cell.metrics["epochs"] * epochs
    return operations / GIGA


def history(cell: Cell) -> list[dict[str, Any]]:
    """Return the rows of a cell in history.csv: what names it, and what was measured after each epoch."""
    named = {name: cell.metrics[name] for name in ("task", "model", "split")}
    measured = ["loss", *METRICS]
    columns = [f"{part}_{name}" for part in ("train", "test") for name in measured]
    return [
        named
        | {"epoch": int(row["epoch"]), "gflop": round(gigaflop(cell, row["epoch"]), 1)}
        | {name: row.get(name) for name in columns}
        for row in cell.history
    ]


def hardest_first(cells: Sequence[Cell]) -> list[str]:
    """Return the names of the splits, the one whose test set was answered worst first."""

    def mean(split: str) -> float:
        return float(np.mean([cell.metrics["test_exact"] for cell in cells if cell.metrics["split"] == split]))

    return sorted(dict.fromkeys(cell.metrics["split"] for cell in cells), key=mean)


def markdown(cells: Sequence[Cell], reached: Reached) -> str:
    """Return the comparison as Markdown tables, one a task, published beside ours.

    Args:
        cells: In the order of the rows.
        reached: A column of its own, if there is any.
    """
    lines: list[str] = []
    for task in dict.fromkeys(cell.metrics["task"] for cell in cells):
        metric = f"{METRICS[TASKS[task].metric].label}, test"
        header = ["model", "split", "parameters", "train", "test", metric]
        header += ["trained for", "perfect after", "tutorial", "paper"]
        own = [cell for cell in cells if cell.metrics["task"] == task]
        rows = [list(wording(cell).values()) for cell in own]
        if reached:
            header.append(f"test, trained {LONGEST_BUDGET} times as long")
            rows = [
                [*row, reached.get((cell.metrics["model"], cell.metrics["split"]), NONE)]
                for row, cell in zip(rows, own, strict=True)
            ]
        lines += [f"**{task.capitalize()}**", "", *table(header, rows, words=2), ""]
    return "\n".join(lines)


def wording(cell: Cell) -> dict[str, str]:
    """Return what a table prints of a cell, by column; nothing in it depends on how fast the machine is."""
    row = compare(cell)
    metric = METRICS[cell.task.metric]
    tutorial, paper = NONE, NONE
    if row["tutorial_test"] is not None:
        tutorial = f"{share(row['tutorial_train'])}, {share(row['tutorial_test'])}"
    if row["paper_test"] is not None:
        judged_by = paper_metric(row["model"])
        is_share = judged_by.unit == "share"
        paper = share(row["paper_test"]) if is_share else f"{judged_by.label} {row['paper_test']:.2f}"
    return {
        "model": cell.model.title,
        "split": row["split"],
        "parameters": f"{row['parameters']:,}",
        "train": share(row["train_exact"]),
        "test": share(row["test_exact"]),
        "metric": quantity(metric, row[f"test_{metric.name}"]),
        "cost": _cost(cell, row["epochs"]),
        "perfect": _cost(cell, row["epochs_to_perfect"]),
        "tutorial": tutorial,
        "paper": paper,
    }


def _cost(cell: Cell, epochs: int | None) -> str:
    if epochs is None:
        return "never"
    return f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, {gigaflop(cell, epochs):,.0f} GFLOP"


def write(directory: Path, cells: Sequence[Cell], reached: Reached) -> None:
    """Write the comparison: comparison.csv, history.csv, comparison.md and figures/.

    Args:
        directory: Where to.
        cells: In the order of the rows.
        reached: See `notsoclevr.report.studies.reached`.
    """
    tables = {
        "comparison.csv": [compare(cell) for cell in cells],
        "history.csv": [row for cell in cells for row in history(cell)],
    }
    for name, rows in tables.items():
        with atomic_write(directory / name) as path:
            write_rows(path, rows)
    with atomic_write(directory / "comparison.md") as path:
        path.write_text(markdown(cells, reached), "utf-8")
    hardest = hardest_first(cells)[0]
    pictures = {
        "finding": (figures.save_finding, [cell for cell in cells if cell.metrics["split"] == hardest]),
        "maps": (figures.save_maps, cells),
        "squares": (figures.save_squares, [cell for cell in cells if cell.task.paints]),
        "curves": (figures.save_all_curves, cells),
    }
    for name, (save, shown) in pictures.items():
        if not shown:
            continue
        with atomic_write(directory / "figures" / f"{name}.png") as path:
            save(path, shown)


BEGIN, END = "<!-- comparison: written by `notsoclevr readme` -->", "<!-- end of comparison -->"


def update_readme(readme: Path, tables: Path) -> None:
    """Write the tables of the comparison between their marks in the README.

    Raises:
        StudyError: The README has not both marks, there are no tables, or one of the files is no text.
    """
    if not tables.exists():
        raise StudyError(f"{tables}: no such file; make it with `notsoclevr evaluate`")
    try:
        text, shown = readme.read_text("utf-8"), tables.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{readme} or {tables}: is no UTF-8 text ({error.reason}); take it back from git") from None
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or END in before:
        raise StudyError(f"{readme}: takes the line {BEGIN} and, below it, the line {END}, each once")
    with atomic_write(readme) as path:
        path.write_text(f"{before}{BEGIN}\n\n{shown}\n{END}{after}", "utf-8")
