"""Cells that nobody trained: files as a training writes them, with answers made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from notsoclevr.cells import figures, files
from notsoclevr.cells.record import cell_digest
from notsoclevr.config import Config, load
from notsoclevr.dataset import CANVAS, SHOWCASE_PLACES, SQUARE, generate
from notsoclevr.evaluation import Canvas, score
from notsoclevr.experiment import Experiment
from notsoclevr.files import staging
from notsoclevr.models import MODELS
from notsoclevr.recipes import Recipe
from notsoclevr.splits import Split
from notsoclevr.training import Fit

CONFIG = load(Path(__file__).parents[1] / "params.yaml")
UNIFORM, QUADRANT = CONFIG.splits["uniform"], CONFIG.splits["quadrant"]
Array = np.ndarray[Any, Any]


def _from_centre(centres: Array) -> tuple[Array, Array]:
    """Return how far each row (k, 64, 1) and column (k, 1, 64) of the canvas is from centres (k, 2)."""
    far = np.abs(np.arange(CANVAS, dtype=np.float32) - centres[:, :, None])  # (k, 2, 64)
    return far[:, 0, :, None], far[:, 1, None, :]


def _classify(centres: Array, blur: Array, rng: np.random.Generator) -> Array:
    return (-np.hypot(*_from_centre(centres)) / (0.05 + 2 * blur)[:, None, None]).reshape(len(centres), -1)


def _regress(centres: Array, blur: Array, rng: np.random.Generator) -> Array:
    return centres + 0.25 + 4 * blur[:, None] * rng.normal(size=centres.shape)


def _render(centres: Array, blur: Array, rng: np.random.Generator) -> Array:
    inside = SQUARE / 2 - np.maximum(*_from_centre(centres))
    noise = 2 * blur[:, None, None] * rng.standard_normal(inside.shape, np.float32)
    return (inside / (0.05 + 2 * blur)[:, None, None] + noise)[..., None]


# By task: centres (k, 2) to outputs of a network that sees them as unsharp as blur (k,) says; 0 is sharp.
OUTPUTS: dict[str, Callable[[Array, Array, np.random.Generator], Array]] = {
    "classification": _classify,
    "regression": _regress,
    "rendering": _render,
}


def fabricate(
    results: Path,
    model: str,
    split: Split = QUADRANT,
    recipe: Recipe | None = None,
    *,
    fails: bool = False,
    blurred: bool = False,
    epochs: int = 4,
    pictures: bool = False,
) -> files.Cell:
    """Write the files of a cell and load them.

    Its answers are right, and it was perfect halfway through its training unless they are not.

    Args:
        results: Folder of the folders of cells.
        model: The model.
        split: The split.
        recipe: By default that of params.yaml.
        fails: On the test set it answers as if the centre were nine rows higher or lower.
        blurred: Its answers are a little unsharp, those on the test set more so: some are wrong.
        epochs: How many there were.
        pictures: Draw its figures too, which takes seconds.
    """
    experiment = Experiment(model=model, split=split, seed=0, recipe=recipe or CONFIG.models[model])
    canvas, rng = Canvas.of(split(generate())), np.random.default_rng([*experiment.name.encode()])
    centres = canvas.dataset.coordinates.astype(np.float32)
    said = centres.copy()
    if fails:
        said[canvas.is_test, 0] += np.where(centres[canvas.is_test, 0] < CANVAS / 2, SQUARE, -SQUARE)
    blur = blurred * (0.02 + 0.3 * canvas.is_test * rng.random(len(said), np.float32))

    def outputs(places: Array, more: float = 0) -> Array:
        return OUTPUTS[experiment.entry.task](said[places], blur[places] + more, rng).astype(np.float32)

    final = outputs(np.arange(len(said)))
    measured = score(experiment, canvas, final)
    unsharp = np.append(np.geomspace(4, 0.02, epochs), 0).astype(np.float32)
    network = MODELS[model].build(experiment.recipe)
    for weight in network.weights:
        if weight.name == "bias":  # zeros, until it is trained
            weight.assign(np.linspace(-0.5, 0.5, weight.shape[0]))
    fit = Fit(
        canvas=canvas,
        network=network,
        history=[{"epoch": epoch, **_after(measured, 2 * epoch / epochs)} for epoch in range(1, epochs + 1)],
        epoch_seconds=[2.0 if MODELS[model].coordinates else 3.0] * epochs,
        outputs=final,
        showcase=np.array(SHOWCASE_PLACES),
        snapshots=np.stack([experiment.task.predictions(outputs(np.array(SHOWCASE_PLACES), more)) for more in unsharp]),
    )
    with staging(results / experiment.name, results) as folder:
        files.save(folder, experiment, fit)
        files.save_timings(folder, fit.epoch_seconds, sum(fit.epoch_seconds) + 5, cell_digest(folder))
        cell = files.load(folder, results / experiment.name)
        if pictures:
            figures.save_cell_figures(folder / "figures", cell)
    return cell


def _after(measured: dict[str, float], progress: float) -> dict[str, float]:
    """Return what was measured on the way: a part of it, all from a progress of 1 on, and a loss that still falls."""
    part = min(1.0, progress)
    losses = {name: value + 2 / progress for name, value in measured.items() if name.endswith("loss")}
    return {name: value * part for name, value in measured.items()} | losses


def change(monkeypatch: pytest.MonkeyPatch, model: str, **settings: Any) -> Config:
    """Have the cells of a model fabricated with other settings, and return params.yaml with these."""
    recipes = dict(CONFIG.models)
    recipes[model] = replace(recipes[model], **settings)
    monkeypatch.setitem(globals(), "CONFIG", changed := replace(CONFIG, models=recipes))
    return changed


def fabricate_all(results: Path) -> list[files.Cell]:
    """Write all fourteen cells: CoordConv is right, the baselines are not where they have not been."""
    return [
        fabricate(
            results,
            model,
            CONFIG.splits[split],
            fails=split == "quadrant" and not MODELS[model].coordinates,
            blurred=not MODELS[model].coordinates,
        )
        for model, split in CONFIG.cells.values()
    ]
