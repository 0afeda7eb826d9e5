"""Figures of one cell.

They speak one visual language with those of `notsoclevr.report`: white is the square or the lit pixel; blue
answers are right, wrong ones go from yellow to brown the further off they are; positions that were trained on are
paler; a dashed frame marks the test set where it is a rectangle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from notsoclevr.cells.files import Cell
from notsoclevr.dataset import CANVAS, MARGIN, POSITIONS, generate
from notsoclevr.tasks import METRICS
from notsoclevr.wording import percent

# Colours that remain apart for every kind of colour vision (Okabe and Ito, 2008).
RIGHT, WRONG = "#0072B2", "#E69F00"
NEAR, FAR = "#F5D76E", "#6B2A00"  # lighter and darker than WRONG, so that the scale is one of lightness too
MUTE = "#C3C8CF"
TRAIN, TEST = "#555555", "#0072B2"
INK = "#222222"
EXTENT = (MARGIN - 0.5, CANVAS - MARGIN - 0.5, CANVAS - MARGIN - 0.5, MARGIN - 0.5)  # of the positions, in pixels


def save(figure: Figure, path: Path) -> None:
    """Write a picture, on white, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")


def title(cell: Cell) -> str:
    """Return the name of a cell for people."""
    return f"{cell.model.title}, {cell.metrics['split']} split"


def shade(severity: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the colours, red green blue from 0 to 1, of wrong answers that are 0 to 1 off."""
    anchors = np.array([to_rgb(colour) for colour in (NEAR, WRONG, "#D55E00", FAR)])
    places = np.linspace(0, 1, len(anchors))
    return np.stack([np.interp(severity, places, channel) for channel in anchors.T], axis=-1)


def severity(cell: Cell) -> npt.NDArray[np.float64]:
    """Return how wrong each answer is, (n,), from 0 to 1, by the metric of its task."""
    metric = METRICS[cell.task.metric]
    off = np.abs(cell.predictions[metric.name].astype(float) - metric.perfect)
    if not metric.bounded:
        off = np.log1p(off) / np.log1p(metric.worst)
    return np.clip(off, 0.0, 1.0)


def _muted(colours: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the colours of positions that were trained on: paler, so that the test set stands out in any split."""
    muted: npt.NDArray[Any] = 0.42 * colours + 0.58 * np.array(to_rgb(MUTE))
    return muted


PALE = to_hex(tuple(_muted(np.array(to_rgb(RIGHT)))))  # exact, and trained on


def map_image(cell: Cell) -> npt.NDArray[np.uint8]:
    """Return a picture of where on the canvas a cell is right, one pixel per position.

    Args:
        cell: The cell.

    Returns:
        Red, green and blue, uint8 (56, 56, 3).
    """
    exact, is_test = cell.predictions["exact"][:, None], cell.predictions["is_test"][:, None]
    colours = np.where(exact, to_rgb(RIGHT), shade(severity(cell)))  # (n, 3)
    image = np.where(is_test, colours, _muted(colours)).reshape(POSITIONS, POSITIONS, 3)
    return (255 * image).round().astype(np.uint8)


def draw_map(axes: Axes, cell: Cell) -> None:
    """Draw where on the canvas a cell is right.

    Args:
        axes: Where to draw.
        cell: The cell.
    """
    axes.imshow(map_image(cell), extent=EXTENT, interpolation="nearest")
    if (sides := frame(cell)) is not None:
        top, bottom, left, right = np.array(sides) - 0.5
        xs, ys = [left, right, right, left, left], [top, top, bottom, bottom, top]
        axes.plot(xs, ys, color=INK, linestyle=(0, (3, 2)), linewidth=1.2, clip_on=False)
    axes.set(xlim=(-0.5, CANVAS - 0.5), ylim=(CANVAS - 0.5, -0.5), xticks=(4, 32, 59), yticks=(4, 32, 59))
    axes.tick_params(length=2, labelsize=7, colors=INK)
    axes.set_facecolor("#f4f4f4")


def frame(cell: Cell) -> tuple[int, int, int, int] | None:
    """Return the rectangle that the test set of a cell fills.

    Returns:
        First row, one past the last, first column, one past the last, in pixels; None if it fills no rectangle.
    """
    tests = cell.predictions["is_test"].reshape(POSITIONS, POSITIONS)
    rows, columns = np.flatnonzero(tests.any(1)), np.flatnonzero(tests.any(0))
    if not tests.any() or not tests[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all():
        return None
    return int(rows[0]) + MARGIN, int(rows[-1]) + MARGIN + 1, int(columns[0]) + MARGIN, int(columns[-1]) + MARGIN + 1


def caption(cell: Cell) -> str:
    """Return how much of the training set and of the test set is exact, in words."""
    train, test = (percent(cell.metrics[f"{part}_exact"]) for part in ("train", "test"))
    return f"train {train}, test {test}"


def save_map(path: Path, cell: Cell) -> None:
    """Write the map of one cell: where on the canvas its answers are exact."""
    figure = Figure(figsize=(4.6, 4.9), layout="constrained")
    axes = figure.add_subplot()
    draw_map(axes, cell)
    axes.set(xlabel="column of the centre, pixels", ylabel="row of the centre, pixels")
    axes.set_title(f"{title(cell)}\nexact: {caption(cell)}", fontsize=10)
    add_legend(figure)
    save(figure, path)


def add_legend(figure: Figure) -> None:
    """Draw a legend of the maps below them."""
    handles = [
        Patch(color=RIGHT, label="exact"),
        Patch(color=NEAR, label="wrong: nearly right"),
        Patch(color=WRONG, label="further off"),
        Patch(color=FAR, label="far off"),
        Patch(color=PALE, label="paler: trained on"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)


def save_curves(path: Path, cell: Cell) -> None:
    """Write how one cell learned: loss and share of exact answers after each epoch, on training set and test set."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    loss, exact = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in cell.history]
    for part, colour in (("train", TRAIN), ("test", TEST)):
        for axes, name in ((loss, f"{part}_loss"), (exact, f"{part}_exact")):
            values = [row[name] for row in cell.history]
            axes.plot(epochs, values, color=colour, label=part, marker="o", markersize=3, linewidth=1.4)
    loss.set(xlabel="epoch", ylabel="loss", yscale="log")
    exact.set(xlabel="epoch", ylabel="share of exact answers", ylim=(-0.03, 1.03))
    exact.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, exact):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title(cell), fontsize=11)
    save(figure, path)


def draw_answer(axes: Axes, cell: Cell, place: int, prediction: npt.NDArray[Any]) -> None:
    """Draw what a network says of one position, on the canvas.

    Args:
        axes: Where to draw.
        cell: The cell that the network belongs to.
        place: The position, counted in the order of the dataset.
        prediction: Its prediction, (64, 64) or (2,).
    """
    row, column = cell.predictions["coordinates"][place]
    if cell.task.answer == "point":
        axes.imshow(np.zeros((CANVAS, CANVAS)), cmap="gray", vmin=0, vmax=1)
        axes.plot(column, row, "+", color="white", markersize=9, markeredgewidth=1)
        inside = np.clip(prediction, 0, CANVAS - 1)
        axes.plot(inside[1], inside[0], "o", color=WRONG, markersize=4, fillstyle="none")
    else:
        axes.imshow(prediction.astype(np.float32), cmap="gray", vmin=0, vmax=max(1e-6, _white(cell, prediction)))
    axes.set(xticks=(), yticks=())


def _white(cell: Cell, prediction: npt.NDArray[Any]) -> float:
    """Return the probability shown as white: 1, or that of the most likely pixel where it alone is the answer."""
    return float(prediction.max()) if cell.task.relative else 1.0


def save_showcase(path: Path, cell: Cell) -> None:
    """Write target beside output on the squares that the tutorial shows."""
    places = cell.predictions["showcase"]
    targets = getattr(generate()[places], cell.task.target)  # (k, 64, 64)
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
        above.imshow(targets[k], cmap="gray", vmin=0, vmax=1)
        above.set(xticks=(), yticks=())
        draw_answer(below, cell, place, cell.predictions["snapshots"][-1, k])
        row, column = cell.predictions["coordinates"][place]
        part = "test" if cell.predictions["is_test"][place] else "train"
        right = bool(cell.predictions["exact"][place])
        above.set_title(f"{row:02d}-{column:02d}  {part}", fontsize=9)
        below.set_title("exact" if right else "not exact", fontsize=8, color=RIGHT if right else "#A86400")
        if k % columns == 0:
            above.set_ylabel("target", fontsize=9)
            below.set_ylabel("output", fontsize=9)
    marks = "\n+ target, o answer" if cell.task.answer == "point" else ""
    figure.suptitle(f"{title(cell)}: the tutorial's squares, row-column{marks}", fontsize=11)
    save(figure, path)


def save_snapshots(directory: Path, cell: Cell) -> None:
    """Write how one output changes: an image before the training and after each measured epoch, at four times the size.

    Args:
        directory: Folder of the images, named by their epoch.
        cell: A cell whose answers are images.
    """
    tests = np.flatnonzero(cell.predictions["is_test"][cell.predictions["showcase"]])
    shown = int(tests[0]) if len(tests) else 0
    snapshots = cell.predictions["snapshots"][:, shown].astype(np.float32)  # (1 + epochs, 64, 64)
    directory.mkdir(parents=True, exist_ok=True)
    for epoch, snapshot in zip([0, *(row["epoch"] for row in cell.history)], snapshots, strict=True):
        image = snapshot.repeat(4, axis=0).repeat(4, axis=1)
        white = _white(cell, image)
        imsave(directory / f"{epoch:04.0f}.png", image, cmap="gray", vmin=0, vmax=max(1e-6, white))


def save_cell_figures(directory: Path, cell: Cell) -> None:
    """Write all pictures of one cell into a folder."""
    save_curves(directory / "curves.png", cell)
    save_map(directory / "map.png", cell)
    save_showcase(directory / "showcase.png", cell)
    if cell.task.answer == "image":
        save_snapshots(directory / "snapshots", cell)
