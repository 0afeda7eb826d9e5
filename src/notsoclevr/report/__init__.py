"""The report: a comparison as one HTML file that asks nothing of the network, to be explored in a browser.

Python decides everything that is a statement (exact or not, shares, pixels off, the headline) and draws the maps; the
page's own script shows what is chosen. What it shows are the predictions of all positions, at this precision:

- pixel probabilities in steps of 1/63, or coarser where the file would grow too big, of the probability 1 for a painter
  and of the likeliest pixel of the same image for a classifier, whose probability is there as a number;
- points, distances, intersections over union and probabilities that are printed as numbers: float32.
"""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.image import imsave

from notsoclevr import figures
from notsoclevr.atomic import replacing
from notsoclevr.comparison import compare, wording
from notsoclevr.dataset import CANVAS, MARGIN, POSITIONS, SPLITS, SQUARE
from notsoclevr.models import MODELS
from notsoclevr.results import Cell, Missing

LEVELS = (63, 31, 15, 7)  # steps of a pixel's probability: the finest whose images fit into ROOM
ROOM = 9_000_000  # bytes
MEASURES = {"exact": "exact answers", "loss": "loss", "iou": "IoU", "error_px": "error, px"}
QUESTIONS = {
    "classification": "given row and column, light the pixel of the centre",
    "regression": "shown the pixel of the centre, say its row and column",
    "rendering": "given row and column, paint the square",
}
Table = list[list[str]]


def _pack(array: npt.NDArray[Any]) -> str:
    """Give the bytes of an array, little-endian, deflated, as base64."""
    array = np.ascontiguousarray(array)
    return base64.b64encode(zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), 9)).decode()


def quantise(task: str, images: npt.NDArray[Any], levels: int) -> npt.NDArray[np.uint8]:
    """Give the steps that the probabilities of pixels are shown in.

    Args:
        task: Their task; a classifier's probabilities count from 0 to that of the likeliest pixel of the image.
        images: Probabilities, (..., 64, 64).
        levels: The highest step.
    """
    images = images.astype(np.float32)
    if task == "classification":
        images = images / np.maximum(images.max(axis=(-2, -1), keepdims=True), np.finfo(np.float32).tiny)
    steps: npt.NDArray[np.uint8] = np.rint(levels * images).astype(np.uint8)
    return steps


def _likeliest(cell: Cell) -> npt.NDArray[np.uint16]:
    """Give the likeliest pixel of a classifier at each position, counted row by row, (n,).

    Among pixels that float16 cannot tell apart it is the one whose distance from the centre was measured.
    """
    n = POSITIONS**2
    flat = cell.predictions["predictions"].reshape(n, -1)
    top = flat.argmax(axis=1)
    centres = cell.predictions["coordinates"].astype(float)
    distance = cell.predictions["error_px"]
    for k in np.flatnonzero(np.abs(np.hypot(*(np.stack(np.divmod(top, CANVAS)).T - centres).T) - distance) > 1e-3):
        rivals = np.flatnonzero(flat[k] == flat[k, top[k]])
        off = np.abs(np.hypot(*(np.stack(np.divmod(rivals, CANVAS)) - centres[k][:, None])) - distance[k])
        top[k] = rivals[off.argmin()]
    pixels: npt.NDArray[np.uint16] = top.astype(np.uint16)
    return pixels


def _numbers(cell: Cell) -> dict[str, str]:
    """Pack what the page prints about each position."""
    arrays = cell.predictions
    numbers = {"exact": _pack(arrays["exact"].astype(np.uint8))}
    for name in ("error_px", "iou"):
        if name in arrays:
            numbers[name] = _pack(arrays[name].astype(np.float32))
    if cell.task == "regression":
        numbers["points"] = _pack(arrays["predictions"].astype(np.float32))
    if cell.task == "classification":
        numbers["top"] = _pack(_likeliest(cell))
        numbers["probability"] = _pack(arrays["predictions"].max(axis=(1, 2)).astype(np.float32))
    return numbers


def _blocks(cell: Cell, levels: int) -> list[str]:
    """Pack the images of a cell: a block for each row of positions, so that the page need not unpack them all."""
    if cell.task == "regression":
        return []
    rows = cell.predictions["predictions"].reshape(POSITIONS, POSITIONS, CANVAS, CANVAS)
    return [_pack(quantise(cell.task, row, levels)) for row in rows]


def _forming(cell: Cell, levels: int) -> list[str]:
    """Pack how the answer to each showcase square formed: a block a square, an image or a point an epoch."""
    forming = cell.predictions["forming"]  # (1 + epochs, k, ...)
    if cell.task != "regression":
        forming = quantise(cell.task, forming, levels)
    return [_pack(forming[:, k]) for k in range(forming.shape[1])]


def _pixels(cells: Sequence[Cell]) -> tuple[int, list[dict[str, list[str]]]]:
    """Pack all images of all cells, in the finest steps that fit; give the number of steps too."""
    for levels in LEVELS:
        packed = [{"blocks": _blocks(cell, levels), "forming": _forming(cell, levels)} for cell in cells]
        if sum(len(text) for cell in packed for texts in cell.values() for text in texts) <= ROOM:
            break
    return levels, packed


def _map(cell: Cell) -> str:
    file = io.BytesIO()
    imsave(file, figures.map_image(cell), format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _run(cell: Cell) -> dict[str, str] | None:
    """Give the MLflow run of a cell, if one was noted beside its files."""
    try:
        run = json.loads((cell.directory / "run.json").read_text("utf-8"))
        return {name: str(run[name]) for name in ("experiment_id", "run_id")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tested(cell: Cell) -> tuple[int, int]:
    """Count the test positions that are answered exactly, and all of them."""
    tests = cell.predictions["exact"][cell.predictions["is_test"]]
    return int(tests.sum()), len(tests)


def _short(title: str) -> str:
    """Leave out of a model's title what the heading above it says."""
    return re.sub(" (classifier|regressor|painter)", "", title)


def _entry(cell: Cell) -> dict[str, Any]:
    """Give what the page knows of a cell, but for its images."""
    model = MODELS[cell.metrics["model"]]
    frame = figures.block(cell.predictions["is_test"].reshape(POSITIONS, POSITIONS))
    row = compare(cell)
    return {
        "name": cell.name,
        "model": cell.metrics["model"],
        "title": model.title,
        "short": _short(model.title),
        "task": cell.task,
        "split": cell.metrics["split"],
        "coordinates": model.coordinates,
        "colour": figures.COLOURS[cell.metrics["model"]],
        "tested": _tested(cell),
        "frame": frame and [place + MARGIN for place in frame],
        "map": _map(cell),
        "row": wording(cell),
        "share": row["test_exact"],
        "run": _run(cell),
        "history": {name: [row[name] for row in cell.history] for name in cell.history[0]},
        "seconds": np.cumsum(cell.timings["epoch_seconds"]).round(3).tolist(),
        "showcase": cell.predictions["showcase"].tolist(),
        "numbers": _numbers(cell),
    }


def _headline(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """Say what the quadrant split shows: the worst of CoordConv's networks against the best of all others."""
    quadrant = [cell for cell in cells if cell.metrics["split"] == "quadrant"]
    sides = {side: [c for c in quadrant if MODELS[c.metrics["model"]].coordinates is side] for side in (True, False)}
    if not all(sides.values()):
        return None

    def share(cell: Cell) -> float:
        return _tested(cell)[0] / _tested(cell)[1]

    def words(cell: Cell, of: Sequence[Cell]) -> dict[str, Any]:
        return {
            "title": MODELS[cell.metrics["model"]].title,
            "tested": _tested(cell),
            "networks": len(of),
            "alike": len({_tested(other) for other in of}) == 1,
        }

    return {
        "worst": words(min(sides[True], key=share), sides[True]),
        "best": words(max(sides[False], key=share), sides[False]),
    }


def _table(path: Path) -> Table | None:
    """Read a CSV file to print it, without columns that are empty throughout; None if it is not there."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError:
        return None
    used = [any(column[1:]) or not column[1:] for column in zip(*rows, strict=True)]
    return [list(itertools.compress(row, used)) for row in rows] or None


def _claims(path: Path | None) -> dict[str, Any] | None:
    """Read the ledger, what is decided apart from what is not; None if it is not there."""
    rows = _table(path) if path else None
    if not rows:
        return None
    claims = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    return {
        "counts": Counter(claim["verdict"] for claim in claims).most_common(),
        "decided": [claim for claim in claims if claim["verdict"] != "not tested"],
        "open": [claim for claim in claims if claim["verdict"] == "not tested"],
    }


def write(
    path: Path,
    cells: Sequence[Cell],
    missing: Sequence[Missing] = (),
    tables: Mapping[str, Path] | None = None,
    claims: Path | None = None,
) -> None:
    """Write the report.

    Args:
        path: The HTML file.
        cells: What to show, in order.
        missing: Cells that should be there too, and why they are not.
        tables: More to print if it exists: heading to CSV file.
        claims: The ledger, claims.csv, if it exists.
    """
    entries = [_entry(cell) for cell in cells]
    splits = [split for split in reversed(SPLITS) if any(entry["split"] == split for entry in entries)]
    known = {cell.metrics["model"] for cell in cells} | {cell.model for cell in missing}
    groups: dict[str, list[str]] = {}  # models by task
    for name in MODELS:
        if name in known:
            groups.setdefault(MODELS[name].task, []).append(name)
    levels, pixels = _pixels(cells)
    study = {
        "canvas": CANVAS,
        "margin": MARGIN,
        "square": SQUARE,
        "positions": POSITIONS,
        "levels": levels,
        "measures": MEASURES,
        "tests": {
            split: _pack(next(c for c in cells if c.metrics["split"] == split).predictions["is_test"].astype(np.uint8))
            for split in splits
        },
        "cells": [{key: value for key, value in e.items() if key not in ("map", "row")} for e in entries],
    }
    environment = Environment(loader=PackageLoader(__name__, "."), autoescape=True, undefined=StrictUndefined)
    environment.globals |= {"inline": lambda name: (Path(__file__).parent / name).read_text("utf-8")}
    page = environment.get_template("template.html").render(
        study=study,
        cells=entries,
        entries={(entry["model"], entry["split"]): entry for entry in entries},
        splits=splits,
        groups=groups,
        missing=missing,
        models=MODELS,
        questions=QUESTIONS,
        shorts={name: _short(model.title) for name, model in MODELS.items()},
        line_colours=figures.COLOURS,
        colours={name: getattr(figures, name.upper()) for name in ("right", "near", "wrong", "far", "mute")},
        headline=_headline(cells),
        pixels=pixels,
        claims=_claims(claims),
        tables={heading: rows for heading, file in (tables or {}).items() if (rows := _table(file))},
    )
    with replacing(path) as temporary:
        temporary.write_text(page, "utf-8")
