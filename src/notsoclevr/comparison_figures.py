"""Figures of the comparison: what all cells have to say, in one picture.

Apart from `notsoclevr.figures`, so that a change here makes no cell train again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from notsoclevr import figures
from notsoclevr.models import MODELS
from notsoclevr.results import Cell


def save_maps(path: Path, cells: Sequence[Cell]) -> None:
    """Write the finding in one picture: the maps of all cells, a column a model, a row a split."""
    models = [name for name in MODELS if any(cell.metrics["model"] == name for cell in cells)]
    splits = list(dict.fromkeys(cell.metrics["split"] for cell in cells))
    figure = Figure(figsize=(2.0 * len(models) + 0.4, 2.45 * len(splits) + 0.7), layout="constrained")
    grid = figure.subplots(len(splits), len(models), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for cell in cells:
        at = splits.index(cell.metrics["split"]), models.index(cell.metrics["model"])
        axes = grid[at]
        axes.set_axis_on()
        figures.draw_map(axes, cell)
        axes.set_title(("" if at[0] else _two_lines(cell.metrics["model"]) + "\n") + figures.caption(cell), fontsize=8)
        if at[1] == 0:
            axes.set_ylabel(f"{cell.metrics['split']} split", fontsize=10)
    figures.add_legend(figure)
    figures.save(figure, path)


def save_finding(path: Path, cells: Sequence[Cell], split: str = "quadrant") -> None:
    """Write the finding so that it is seen in five seconds: one split's maps in a row, and how much of it is right.

    Args:
        path: The picture.
        cells: All cells.
        split: The split to show, if there is a cell of it; else that of the first cell.
    """
    shown = [cell for cell in cells if cell.metrics["split"] == split] or [
        cell for cell in cells if cell.metrics["split"] == cells[0].metrics["split"]
    ]
    figure = Figure(figsize=(1.62 * len(shown) + 0.2, 3.1), layout="constrained")
    for axes, cell in zip(figure.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
        figures.draw_map(axes, cell)
        model = MODELS[cell.metrics["model"]]
        axes.set(xticks=(), yticks=(), facecolor="white")
        axes.spines[:].set_visible(False)
        colour = figures.RIGHT if model.coordinates else "#B34700"
        axes.set_title(_two_lines(cell.metrics["model"]), fontsize=8.5, color=figures.INK)
        right = int(cell.predictions["exact"][cell.predictions["is_test"]].sum())
        of = int(cell.predictions["is_test"].sum())
        axes.set_xlabel(f"{right} of {of}", fontsize=13, fontweight="bold", color=colour, labelpad=5)
    figure.suptitle("Positions never trained on (framed) that are answered exactly, of each network", fontsize=11)
    figures.add_legend(figure)
    figures.save(figure, path)


def _two_lines(model: str) -> str:
    return f"{MODELS[model].task}\n{MODELS[model].title}"


def save_all_curves(path: Path, cells: Iterable[Cell]) -> None:
    """Write how all cells learned: exact test answers against seconds of training, a panel a task and split."""
    cells = list(cells)
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    splits = list(dict.fromkeys(cell.metrics["split"] for cell in cells))
    figure = Figure(figsize=(3.4 * len(tasks), 2.5 * len(splits) + 0.3), layout="constrained")
    grid = figure.subplots(len(splits), len(tasks), squeeze=False, sharex=True, sharey=True)
    for cell in cells:
        axes = grid[splits.index(cell.metrics["split"]), tasks.index(cell.task)]
        model = cell.metrics["model"]
        seconds = np.cumsum([0.0, *cell.timings["epoch_seconds"]])[1:]
        exact = [row["test_exact"] for row in cell.history]
        axes.plot(
            seconds,
            exact,
            color=figures.COLOURS[model],
            label=MODELS[model].title,
            linewidth=1.5,
            marker=".",
            markersize=4,
        )
    for (i, j), axes in np.ndenumerate(grid):
        axes.set(ylim=(-0.03, 1.03), xscale="log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{tasks[j]}, {splits[i]}", fontsize=10)
        axes.legend(frameon=False, fontsize=7)
        if j == 0:
            axes.set_ylabel("exact on the test half")
        if i == len(splits) - 1:
            axes.set_xlabel("seconds of training")
    figures.save(figure, path)
