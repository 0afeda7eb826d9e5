"""Figures: arrays of a cell, or of all cells, to pictures.

One visual language throughout: white is the square or the lit pixel, blue answers are right, orange ones are wrong, a
dashed frame marks the positions that were kept for the test where they form a quadrant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import PercentFormatter

from notsoclevr.dataset import CANVAS, MARGIN, POSITIONS
from notsoclevr.models import MODELS
from notsoclevr.results import Cell

# Two colours that remain two for every kind of colour vision (Okabe and Ito, 2008).
RIGHT, WRONG = "#0072B2", "#E69F00"
TRAIN, TEST = "#555555", "#0072B2"
INK = "#222222"
COORDCONV, RIVAL, OTHER_RIVAL = "#0072B2", "#D55E00", "#CC79A7"
COLOURS = {
    name: COORDCONV if "CoordConv" in model.title else OTHER_RIVAL if name == "strided_regressor" else RIVAL
    for name, model in MODELS.items()
}
EXTENT = (MARGIN - 0.5, CANVAS - MARGIN - 0.5, CANVAS - MARGIN - 0.5, MARGIN - 0.5)  # of the positions, in pixels


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")


def title(cell: Cell) -> str:
    """Name a cell for people."""
    return f"{MODELS[cell.metrics['model']].title}, {cell.metrics['split']} split"


def draw_map(axes: Axes, cell: Cell) -> None:
    """Draw where on the canvas a cell is right: a dot a position, blue if the whole answer is exact.

    Args:
        axes: Where to draw.
        cell: All positions of it, in the order of the dataset.
    """
    is_test = cell.predictions["is_test"].reshape(POSITIONS, POSITIONS)
    exact = cell.predictions["exact"].reshape(POSITIONS, POSITIONS)
    # wrong 0, right 1; positions that were trained on are paler, so that the test half stands out in any split
    shades = ListedColormap([_pale(WRONG), _pale(RIGHT), to_rgb(WRONG), to_rgb(RIGHT)])
    axes.imshow(exact + 2 * is_test, cmap=shades, vmin=0, vmax=3, extent=EXTENT, interpolation="nearest")
    if (rows_and_columns := _block(is_test)) is not None:
        (top, bottom), (left, right) = rows_and_columns
        xs = np.array([left, right, right, left, left]) + MARGIN - 0.5
        ys = np.array([top, top, bottom, bottom, top]) + MARGIN - 0.5
        axes.plot(xs, ys, color=INK, linestyle=(0, (3, 2)), linewidth=1.2, clip_on=False)
    axes.set(xlim=(-0.5, CANVAS - 0.5), ylim=(CANVAS - 0.5, -0.5), xticks=(4, 32, 59), yticks=(4, 32, 59))
    axes.tick_params(length=2, labelsize=7, colors=INK)
    axes.set_facecolor("#f4f4f4")


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (1 - 0.45 * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def _block(mask: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Find the rows and columns of a mask that is one full rectangle: first and one past the last; else None."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if mask.sum() != len(rows) * len(columns) or len(rows) == 0:
        return None
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)


def _caption(cell: Cell) -> str:
    return f"train {cell.metrics['train_exact']:.1%}   test {cell.metrics['test_exact']:.1%}"


def save_map(path: Path, cell: Cell) -> None:
    """Write the map of one cell: where on the canvas its answers are exact."""
    figure = Figure(figsize=(4.6, 4.9), layout="constrained")
    axes = figure.add_subplot()
    draw_map(axes, cell)
    axes.set(xlabel="column of the centre, pixels", ylabel="row of the centre, pixels")
    axes.set_title(f"{title(cell)}\nexact: {_caption(cell)}", fontsize=10)
    _legend(figure)
    _save(figure, path)


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=RIGHT, label="test, right"),
        Patch(color=WRONG, label="test, wrong"),
        Patch(color=_pale(RIGHT), label="train, right"),
        Patch(color=_pale(WRONG), label="train, wrong"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def save_curves(path: Path, cell: Cell) -> None:
    """Write how one cell learned: loss and share of exact answers after each epoch, on both halves."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    loss, exact = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in cell.history]
    for half, colour in (("train", TRAIN), ("test", TEST)):
        for axes, name in ((loss, f"{half}_loss"), (exact, f"{half}_exact")):
            values = [row[name] for row in cell.history]
            axes.plot(epochs, values, color=colour, label=half, marker="o", markersize=3, linewidth=1.4)
    loss.set(xlabel="epoch", ylabel="loss", yscale="log")
    exact.set(xlabel="epoch", ylabel="share of exact answers", ylim=(-0.03, 1.03))
    exact.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, exact):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title(cell), fontsize=11)
    _save(figure, path)


def draw_answer(axes: Axes, cell: Cell, place: int, prediction: npt.NDArray[Any]) -> None:
    """Draw what a network says of one position, on the canvas.

    Args:
        axes: Where to draw.
        cell: The cell that the network belongs to.
        place: The position, counted in the order of the dataset.
        prediction: Its prediction, (64, 64) or (2,).
    """
    row, column = cell.predictions["coordinates"][place]
    if cell.task == "regression":
        axes.imshow(np.zeros((CANVAS, CANVAS)), cmap="gray", vmin=0, vmax=1)
        axes.plot(column, row, "+", color="white", markersize=9, markeredgewidth=1)
        inside = np.clip(prediction, 0, CANVAS - 1)
        axes.plot(inside[1], inside[0], "o", color=WRONG, markersize=4, fillstyle="none")
    else:
        axes.imshow(prediction.astype(np.float32), cmap="gray", vmin=0, vmax=max(1e-6, _white(cell, prediction)))
    axes.set(xticks=(), yticks=())


def _white(cell: Cell, prediction: npt.NDArray[Any]) -> float:
    """Probability shown as white: 1 for a painted pixel; for a classifier its most likely pixel, else all is black."""
    return float(prediction.max()) if cell.task == "classification" else 1.0


def save_showcase(path: Path, cell: Cell, squares: npt.NDArray[Any]) -> None:
    """Write target beside output on the squares that the tutorial shows.

    Args:
        path: The picture.
        cell: The cell.
        squares: Targets of the showcase, (k, 64, 64): squares, or the lit pixel.
    """
    places = cell.predictions["showcase"]
    columns = 6
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(1.6 * columns, 3.7 * rows + 0.7), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for k, place in enumerate(places):
        above, below = grid[2 * (k // columns) : 2 * (k // columns) + 2, k % columns]
        for axes in (above, below):
            axes.set_axis_on()
        above.imshow(squares[k], cmap="gray", vmin=0, vmax=1)
        above.set(xticks=(), yticks=())
        draw_answer(below, cell, place, cell.predictions["forming"][-1, k])
        row, column = cell.predictions["coordinates"][place]
        half = "test" if cell.predictions["is_test"][place] else "train"
        right = bool(cell.predictions["exact"][place])
        above.set_title(f"{row:02d}-{column:02d}  {half}", fontsize=9)
        below.set_title("exact" if right else "not exact", fontsize=8, color=RIGHT if right else "#A86400")
        if k % columns == 0:
            above.set_ylabel("target", fontsize=9)
            below.set_ylabel("output", fontsize=9)
    marks = "\n+ target, o answer" if cell.task == "regression" else ""
    figure.suptitle(f"{title(cell)}: the tutorial's squares, row-column{marks}", fontsize=11)
    _save(figure, path)


def save_forming(directory: Path, cell: Cell, most: int = 24) -> None:
    """Write one output as it forms: an image for before the training and for epochs after it, at four times the size.

    Args:
        directory: Folder of the images, named by their epoch.
        cell: A painter's or a classifier's cell.
        most: Images at most; epochs are left out evenly beyond that.
    """
    tests = np.flatnonzero(cell.predictions["is_test"][cell.predictions["showcase"]])
    shown = int(tests[0]) if len(tests) else 0
    forming = cell.predictions["forming"][:, shown].astype(np.float32)  # (1 + epochs, 64, 64)
    directory.mkdir(parents=True, exist_ok=True)
    for epoch in np.unique(np.linspace(0, len(forming) - 1, min(most, len(forming))).round().astype(int)):
        image = forming[epoch].repeat(4, axis=0).repeat(4, axis=1)
        white = _white(cell, image)
        imsave(directory / f"{epoch:04d}.png", image, cmap="gray", vmin=0, vmax=max(1e-6, white))


def save_cell_figures(directory: Path, cell: Cell, targets: npt.NDArray[Any]) -> None:
    """Write all pictures of one cell.

    Args:
        directory: Their folder.
        cell: The cell.
        targets: What the showcase squares should look like, (k, 64, 64).
    """
    save_curves(directory / "curves.png", cell)
    save_map(directory / "map.png", cell)
    save_showcase(directory / "showcase.png", cell, targets)
    if cell.task != "regression":
        save_forming(directory / "forming", cell)


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
        draw_map(axes, cell)
        axes.set_title(("" if at[0] else _two_lines(cell.metrics["model"]) + "\n") + _caption(cell), fontsize=8)
        if at[1] == 0:
            axes.set_ylabel(f"{cell.metrics['split']} split", fontsize=10)
    _legend(figure)
    _save(figure, path)


def _two_lines(model: str) -> str:
    return f"{MODELS[model].task}\n{MODELS[model].title}"


def save_all_curves(path: Path, cells: Iterable[Cell]) -> None:
    """Write how all cells learned: exact test answers against seconds of training, a panel a task and split."""
    cells = list(cells)
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    splits = list(dict.fromkeys(cell.metrics["split"] for cell in cells))
    figure = Figure(figsize=(3.4 * len(tasks), 2.5 * len(splits) + 0.3), layout="constrained")
    grid = figure.subplots(len(splits), len(tasks), squeeze=False, sharey=True)
    for cell in cells:
        axes = grid[splits.index(cell.metrics["split"]), tasks.index(cell.task)]
        model = cell.metrics["model"]
        seconds = np.cumsum([0.0, *cell.timings["epoch_seconds"]])[1:]
        exact = [row["test_exact"] for row in cell.history]
        axes.plot(
            seconds, exact, color=COLOURS[model], label=MODELS[model].title, linewidth=1.5, marker=".", markersize=4
        )
    for (i, j), axes in np.ndenumerate(grid):
        axes.set(ylim=(-0.03, 1.03), xscale="log")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{tasks[j]}, {splits[i]}", fontsize=10)
        axes.legend(frameon=False, fontsize=7)
        if j == 0:
            axes.set_ylabel("exact on the test half")
        if i == len(splits) - 1:
            axes.set_xlabel("seconds of training")
    _save(figure, path)
