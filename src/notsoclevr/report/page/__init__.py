"""The report: a comparison as one HTML file that asks nothing of the network, to be explored in a browser.

Python decides everything that is a statement (exact or not, shares, metrics, the headline) and draws the maps; the
page's own script shows what is chosen. What it shows are the predictions of all positions, at this precision:

- pixel probabilities in steps of 1/63, of the probability 1, or of the most likely pixel of the same image where that
  alone is the answer; its probability is then there as a number;
- points and metrics: float32; probabilities that are printed as numbers: as predictions.npz has them, float16.

The networks with coordinates can be asked about more than that: their weights are there, float32, and the
page computes what they answer.
"""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.image import imsave

from notsoclevr.cells import figures
from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import Missing
from notsoclevr.claims.judge import NOT_TESTED, VERDICTS
from notsoclevr.dataset import CANVAS, MARGIN, POSITIONS, SQUARE, generate
from notsoclevr.files import atomic_write
from notsoclevr.models import MODELS
from notsoclevr.report.claims import GROUPS
from notsoclevr.report.comparison import hardest_first, wording
from notsoclevr.report.page import network
from notsoclevr.splits import SPLITS
from notsoclevr.tasks import METRICS, TASKS, Task

PLURAL = dict(zip(VERDICTS, ("hold", "hold in part", "do not hold", "are not tested"), strict=True))
LEVELS = 63  # steps of a pixel's probability
SIDES = (32, 48, CANVAS, 96, 128)  # of the canvases that a network can be asked on, pixels


def _pack(array: npt.NDArray[Any]) -> str:
    """Return the bytes of an array, little-endian, deflated, as base64."""
    array = np.ascontiguousarray(array)
    return base64.b64encode(zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), 9)).decode()


def quantise(task: Task, images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the steps that the probabilities of pixels are shown in.

    Args:
        task: Their task.
        images: Probabilities, (..., 64, 64).

    Returns:
        Steps of 1 / LEVELS, uint8 (..., 64, 64).
    """
    images = images.astype(np.float32)
    if task.relative:
        images = images / np.maximum(images.max(axis=(-2, -1), keepdims=True), np.finfo(np.float32).tiny)
    steps: npt.NDArray[np.uint8] = np.rint(LEVELS * images).astype(np.uint8)
    return steps


def _numbers(cell: Cell) -> dict[str, str]:
    """Pack what the page prints about each position."""
    arrays, metric = cell.predictions, cell.task.metric
    numbers = {"exact": _pack(arrays["exact"].astype(np.uint8)), metric: _pack(arrays[metric].astype(np.float32))}
    if cell.points is not None:
        numbers["points"] = _pack(cell.points.astype(np.float32))
    if cell.task.relative:
        numbers["probability"] = _pack(arrays["predictions"].max(axis=(1, 2)).astype(np.float32))
    return numbers


def _pixels(cell: Cell) -> dict[str, list[str]]:
    """Pack the answers of a cell, in blocks, so that the page need not unpack them all.

    Returns:
        "blocks": of images, one per row of positions; "snapshots": one per showcase square, an answer per epoch.
    """
    task, snapshots = cell.task, cell.predictions["snapshots"].swapaxes(0, 1)  # (k, 1 + measured epochs, ...)
    if task.answer == "point":
        return {"blocks": [], "snapshots": [_pack(square) for square in snapshots]}
    rows = cell.predictions["predictions"].reshape(POSITIONS, POSITIONS, CANVAS, CANVAS)
    return {
        "blocks": [_pack(quantise(task, row)) for row in rows],
        "snapshots": [_pack(quantise(task, square)) for square in snapshots],
    }


def _map(cell: Cell) -> str:
    file = io.BytesIO()
    imsave(file, figures.map_image(cell), format="png")
    return _embed(file.getvalue())


def _embed(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _tested(cell: Cell) -> tuple[int, int]:
    """Count the test positions that are answered exactly, and all of them."""
    tests = cell.predictions["exact"][cell.predictions["is_test"]]
    return int(tests.sum()), len(tests)


def _network(cell: Cell, layers: Sequence[network.Layer]) -> dict[str, Any]:
    """Return what the page computes the answers of a network with."""
    task = cell.task
    shown = task.inputs(generate()[np.arange(1)])
    packed = ("kernel", "bias")
    return {
        "given": None if shown.ndim == 2 else _reach(shown),  # coordinates, or a square
        "activation": task.activation,
        "names": task.points is not None,
        "layers": [
            {name: _pack(value) if name in packed else value for name, value in layer.items()} for layer in layers
        ],
    }


def _load_networks(cells: Sequence[Cell]) -> tuple[dict[str, list[network.Layer]], list[tuple[str, str]]]:
    """Load the networks with coordinates, as far as the page can compute them.

    Returns:
        Their layers by the name of the cell; and the cells whose files cannot be read, each with the reason.
    """
    networks, unread = {}, []
    for cell in cells:
        if not cell.model.coordinates:
            continue
        try:
            networks[cell.name] = network.load(cell)
        except network.UnknownLayerError:
            continue
        except Exception as error:  # whatever a damaged file leads to
            unread.append((cell.name, f"model.keras cannot be read ({type(error).__name__})"))
    return networks, unread


def _entry(cell: Cell, layers: Sequence[network.Layer] | None) -> dict[str, Any]:
    """Return what the script of the page knows of a cell, but for its images."""
    return {
        "name": cell.name,
        "model": cell.metrics["model"],
        "title": cell.model.title,
        "task": cell.metrics["task"],
        "split": cell.metrics["split"],
        "coordinates": cell.model.coordinates,
        "colour": cell.model.colour,
        "operations": cell.metrics["training_operations"] / cell.metrics["epochs"],  # an epoch
        "history": {name: [row[name] for row in cell.history] for name in cell.history[0]},
        "showcase": cell.predictions["showcase"].tolist(),
        "numbers": _numbers(cell),
        "network": layers and _network(cell, layers),
    }


def _in_words(cell: Cell) -> dict[str, Any]:
    """Return what the markup says about a cell."""
    return {
        "name": cell.name,
        "model": cell.model,
        "split": cell.metrics["split"],
        "tested": _tested(cell),
        "frame": figures.frame(cell),
        "map": _map(cell),
        "row": wording(cell),
        "share": cell.metrics["test_exact"],
    }


def _headline(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """Return what cells of one split show: the worst network with coordinates against the best without."""
    sides = {side: [cell for cell in cells if cell.model.coordinates is side] for side in (True, False)}
    if not all(sides.values()):
        return None

    def share(cell: Cell) -> float:
        return _tested(cell)[0] / _tested(cell)[1]

    def words(cell: Cell, of: Sequence[Cell]) -> dict[str, Any]:
        return {
            "title": cell.model.title,
            "tested": _tested(cell),
            "networks": len(of),
            "alike": len({_tested(other) for other in of}) == 1,
        }

    return {
        "worst": words(min(sides[True], key=share), sides[True]),
        "best": words(max(sides[False], key=share), sides[False]),
    }


def _task(task: Task) -> dict[str, Any]:
    """Return what the page knows of a task."""
    return {
        "question": task.question,
        "answer": task.answer,
        "metric": task.metric,
        "reach": _reach(getattr(generate(), task.target)[0]),
    }


def _reach(image: npt.NDArray[Any]) -> int:
    """Return how far the square in an image reaches from its centre, pixels."""
    return math.isqrt(int(image.sum())) // 2


def _claims(claims: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the ledger, what is decided apart from what is not; None if there is none."""
    if not claims:
        return None
    decided = [claim for claim in claims if claim["verdict"] != NOT_TESTED]
    tallies = Counter((claim["group"], claim["verdict"]) for claim in decided)
    return {
        "counts": [(PLURAL[verdict], n) for verdict, n in Counter(claim["verdict"] for claim in claims).most_common()],
        "groups": {
            group: [
                (verdict, PLURAL[verdict], tallies[group, verdict])
                for verdict in VERDICTS
                if (group, verdict) in tallies
            ]
            for group in dict.fromkeys(claim["group"] for claim in decided)
        },
        "titles": GROUPS,
        # what is shown of a claim at first is a test that it fails, where it fails one
        "decided": [
            {**claim, "first": min(claim["tests"], key=lambda test: bool(test["passes"]))} for claim in decided
        ],
        "open": [claim for claim in claims if claim["verdict"] == NOT_TESTED],
    }


def _study(
    cells: Sequence[Cell],
    splits: Sequence[str],
    tasks: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, Sequence[network.Layer]],
) -> dict[str, Any]:
    """Return what the scripts of the page know: numbers of the dataset, words for metrics, test sets, and the cells."""
    shown = ("label", "heading", "unit", "digits", "bounded")
    metrics = {metric.name: {name: getattr(metric, name) for name in shown} for metric in METRICS.values()}
    metrics["loss"] = {"label": "loss", "heading": "loss", "unit": "", "digits": 4, "bounded": False}
    tests = {cell.metrics["split"]: cell.predictions["is_test"].astype(np.uint8) for cell in cells}
    return {
        "canvas": CANVAS,
        "margin": MARGIN,
        "square": SQUARE,
        "positions": POSITIONS,
        "levels": LEVELS,
        "tasks": tasks,
        "metrics": metrics,
        "tests": {split: _pack(tests[split]) for split in splits},
        "cells": [_entry(cell, networks.get(cell.name)) for cell in cells],
    }


def write(
    path: Path,
    cells: Sequence[Cell],
    missing: Sequence[Missing] = (),
    claims: Sequence[Mapping[str, Any]] = (),
    strips: Sequence[Mapping[str, Any]] = (),
    painted: Path | None = None,
) -> None:
    """Write the report.

    Args:
        path: The HTML file.
        cells: What to show, in order.
        missing: Cells that should be there too, and why they are not.
        claims: The ledger, as `notsoclevr.report.claims.records` returns it.
        strips: The runs over seeds, as `notsoclevr.report.strips.strips` returns them.
        painted: A picture of what painters with the tutorial's settings paint.
    """
    splits = hardest_first(cells)
    groups: dict[str, list[str]] = {}  # models by task
    for name in dict.fromkeys([*(cell.metrics["model"] for cell in cells), *(cell.model for cell in missing)]):
        groups.setdefault(MODELS[name].task, []).append(name)
    tasks = {name: _task(TASKS[name]) for name in groups}
    networks, unread = _load_networks(cells)
    words = [_in_words(cell) for cell in cells]
    environment = Environment(loader=PackageLoader(__name__, "."), autoescape=True, undefined=StrictUndefined)
    environment.globals |= {"inline": lambda name: (Path(__file__).parent / name).read_text("utf-8")}
    page = environment.get_template("template.html").render(
        study=_study(cells, splits, tasks, networks),
        cells=words,
        by_place={(cell["model"].name, cell["split"]): cell for cell in words},
        splits={name: SPLITS[name].question for name in splits},
        groups=groups,
        tasks=tasks,
        metrics={name: METRICS[name] for name in METRICS if any(task["metric"] == name for task in tasks.values())},
        asked=[name for name in groups if any(c.metrics["task"] == name and c.name in networks for c in cells)],
        channels=network.channels(networks.values()),
        weights=sum({c.metrics["model"]: network.size(networks[c.name]) for c in cells if c.name in networks}.values()),
        sides=SIDES,
        unread=unread,
        missing=missing,
        models=MODELS,
        colours={name: getattr(figures, name.upper()) for name in ("right", "near", "wrong", "far", "pale")},
        headline=_headline([cell for cell in cells if cell.metrics["split"] == splits[0]]),
        pixels=map(_pixels, cells),
        claims=_claims(claims),
        strips=strips,
        painted=_embed(painted.read_bytes()) if painted else "",
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, "utf-8")
