"""Figures of the comparison: what all cells have to say, in one picture.

They look like the figures of single cells, whose parts they use; a change here makes no cell train again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, NullFormatter

from notsoclevr.cells import figures
from notsoclevr.cells.files import Cell
from notsoclevr.dataset import CANVAS, SHOWCASE, SHOWCASE_PLACES, generate

UNSEEN = "#56B4E9"  # a frame that is seen on black and beside white
# A name, images of the showcase squares, (k, 64, 64) from 0 to 1, and which of them were never trained on, (k,).
Painted = tuple[str, npt.NDArray[Any], npt.NDArray[np.bool_]]
GROUPS = ("uniform, train", "uniform, test", "quadrant, train", "quadrant, test")  # of SHOWCASE, alike in size
FEW_WRONG = 20  # positions, which are ringed on a map
POOR = "#B34700"  # of numbers of the baselines: FAR and WRONG are too dark and too light for letters


def _distinct(cells: Sequence[Cell], key: str) -> list[str]:
    """Return the models, splits or tasks of cells, each once."""
    return list(dict.fromkeys(cell.metrics[key] for cell in cells))


def _heading(cell: Cell) -> str:
    return f"{cell.metrics['task']}\n{cell.model.title}"


def save_maps(path: Path, cells: Sequence[Cell]) -> None:
    """Write the maps of all cells, one column per model, one row per split."""
    models, splits = _distinct(cells, "model"), _distinct(cells, "split")
    figure = Figure(figsize=(2.0 * len(models) + 0.4, 2.45 * len(splits) + 1.0), layout="constrained")
    grid = figure.subplots(len(splits), len(models), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for cell in cells:
        row, column = splits.index(cell.metrics["split"]), models.index(cell.metrics["model"])
        axes = grid[row, column]
        axes.set_axis_on()
        figures.draw_map(axes, cell)
        wrong = cell.predictions["coordinates"][cell.predictions["is_test"] & ~cell.predictions["exact"]]
        if 0 < len(wrong) <= FEW_WRONG:
            axes.plot(wrong[:, 1], wrong[:, 0], "o", color=figures.INK, markersize=7, fillstyle="none", clip_on=False)
        axes.set_title(("" if row else _heading(cell) + "\n") + figures.caption(cell), fontsize=8)
        if not any(other.get_ylabel() for other in grid[row]):
            axes.set_ylabel(f"{cell.metrics['split']} split", fontsize=10)
    said = f"Where each network answers exactly; rings: wrong test positions, where there are at most {FEW_WRONG}"
    figure.suptitle(said, fontsize=11)
    figures.add_legend(figure)
    figures.save(figure, path)


def save_finding(path: Path, cells: Sequence[Cell]) -> None:
    """Write the finding so that it is seen in five seconds: maps in a row, and how much of each test set is right.

    Args:
        path: The picture.
        cells: Cells of one split.
    """
    figure = Figure(figsize=(1.62 * len(cells) + 0.2, 3.1), layout="constrained")
    for axes, cell in zip(figure.subplots(1, len(cells), squeeze=False).flat, cells, strict=True):
        figures.draw_map(axes, cell)
        axes.set(xticks=(), yticks=(), facecolor="white")
        axes.spines[:].set_visible(False)
        axes.set_title(_heading(cell), fontsize=8.5, color=figures.INK)
        tests = cell.predictions["exact"][cell.predictions["is_test"]]
        colour = figures.RIGHT if cell.model.coordinates else POOR
        axes.set_xlabel(f"{tests.sum()} of {len(tests)}", fontsize=13, fontweight="bold", color=colour, labelpad=5)
    framed = " (framed)" if figures.frame(cells[0]) else ""
    figure.suptitle(f"Unseen positions{framed} that each network answers exactly", fontsize=11)
    figures.add_legend(figure)
    figures.save(figure, path)


def save_squares(path: Path, cells: Sequence[Cell]) -> None:
    """Write what each cell that paints makes of the squares that the tutorial shows."""
    painted = []
    for cell in cells:
        places = cell.predictions["showcase"]
        name = f"{cell.model.title}\n{cell.metrics['split']} split"
        painted.append((name, cell.predictions["snapshots"][-1], cell.predictions["is_test"][places]))
    save_painted(path, painted)


def save_painted(path: Path, painted: Sequence[Painted]) -> None:
    """Write what networks paint of the squares that the tutorial shows, below the squares themselves.

    Args:
        path: The picture.
        painted: One line per network.
    """
    squares, gap = len(SHOWCASE), 3
    step, width = CANVAS + gap, squares * (CANVAS + gap) - gap
    figure = Figure(figsize=(11, 0.93 * (len(painted) + 1) + 0.5), layout="constrained")
    rows = figure.subplots(len(painted) + 1, 1, squeeze=False).flat
    lines = [("target", generate().squares[SHOWCASE_PLACES], np.zeros(squares, bool)), *painted]
    for axes, (name, images, unseen) in zip(rows, lines, strict=True):
        strip = np.full((CANVAS, width), np.nan)
        for k, image in enumerate(images):
            strip[:, k * step : k * step + CANVAS] = image
        axes.imshow(strip, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=(), yticks=())
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for left in np.flatnonzero(unseen) * step:
            frame = (left - 1.5, -1.5), CANVAS + 2, CANVAS + 2  # around the image, so that it hides no pixel
            axes.add_patch(Rectangle(*frame, fill=False, edgecolor=UNSEEN, linewidth=1.8, clip_on=False))
    for k, (row, column) in enumerate(SHOWCASE):
        rows[0].text(k * step + CANVAS / 2, -4, f"{row:02d}-{column:02d}", ha="center", va="bottom", fontsize=8)
    for k, group in enumerate(GROUPS):
        middle = (k + 0.5) * width / len(GROUPS)
        rows[0].text(middle, -22, f"tutorial: {group}", ha="center", va="bottom", fontsize=8.5, color=figures.INK)
    said = "The tutorial's squares (row-column), as each network paints them; framed: the network never saw them"
    figure.suptitle(said, fontsize=11)
    figures.save(figure, path)


def in_percent(share: float, _: float) -> str:
    """Return the label of a tick, with as many digits as it needs."""
    return f"{100 * share:.6g} %"


def scale_to_operations(axes: Axes) -> None:
    """Give axes a logarithmic scale of operations below and one of shares at the left."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter("FLOP"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=7)  # "100 GFLOP" is long
    axes.yaxis.set_major_formatter(in_percent)
    axes.spines[["top", "right"]].set_visible(False)


def save_all_curves(path: Path, cells: Sequence[Cell]) -> None:
    """Write how all cells learned: exact test answers against what they cost, one panel per task and split."""
    tasks, splits = _distinct(cells, "task"), _distinct(cells, "split")
    figure = Figure(figsize=(3.4 * len(tasks), 2.5 * len(splits) + 0.3), layout="constrained")
    grid = figure.subplots(len(splits), len(tasks), squeeze=False, sharex=True, sharey=True)
    for cell in cells:
        axes = grid[splits.index(cell.metrics["split"]), tasks.index(cell.metrics["task"])]
        axes.plot(
            [cell.metrics["training_operations"] * row["epoch"] / cell.metrics["epochs"] for row in cell.history],
            [row["test_exact"] for row in cell.history],
            color=cell.model.colour,
            label=cell.model.title,
            linewidth=1.5,
            marker=".",
            markersize=4,
        )
    for (i, j), axes in np.ndenumerate(grid):
        axes.set_ylim(-0.03, 1.03)
        scale_to_operations(axes)
        axes.set_title(f"{tasks[j]}, {splits[i]}", fontsize=10)
        if j == 0:
            axes.set_ylabel("exact on the test set")
        if i == len(splits) - 1:
            axes.set_xlabel("cost of training, operations")
    for j in range(len(tasks)):  # below the panels, where a legend covers no line
        lines = {line.get_label(): line for axes in grid[:, j] for line in axes.lines}
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.3)}
        grid[-1, j].legend(lines.values(), lines.keys(), frameon=False, fontsize=7, **place)
    figures.save(figure, path)
