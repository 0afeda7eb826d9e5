"""Cells that nobody trained: files like those of a training, made up in a second, for tests of what reads them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from notsoclevr import dataset, results
from notsoclevr.cells import SHOWCASE
from notsoclevr.config import load
from notsoclevr.models import MATRIX, MODELS

ROOT = Path(__file__).parents[1]
CENTRES = np.stack(np.divmod(np.arange(dataset.POSITIONS**2), dataset.POSITIONS), axis=1) + dataset.MARGIN
Array = np.ndarray[Any, Any]


def halves(split: str) -> Array:
    """Say which positions are kept for the test, bool (n,)."""
    if split == "quadrant":
        return (CENTRES >= 32).all(axis=1)
    return np.random.default_rng(0).random(len(CENTRES)) < 0.2


def answers(task: str, centres: Array, blur: Array, rng: np.random.Generator) -> Array:
    """Give float32 predictions for points, as unsharp as `blur` (k,) says: 0 is sharp."""
    if task == "regression":
        return (centres + rng.normal(scale=0.1 + 4 * blur[:, None], size=centres.shape)).astype(np.float32)
    pixels = np.arange(dataset.CANVAS)
    far = [np.abs(pixels - centres[:, [axis]]) for axis in (0, 1)]  # two of (k, 64)
    softness = (0.05 + 2 * blur)[:, None, None]
    if task == "classification":
        logits = -np.hypot(far[0][:, :, None], far[1][:, None, :]) / softness
        powers = np.exp(logits - logits.max(axis=(1, 2), keepdims=True))
        return (powers / powers.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    inside = 4.5 - np.maximum(far[0][:, :, None], far[1][:, None, :])
    noise = rng.normal(size=inside.shape).astype(np.float32)
    return (1 / (1 + np.exp(np.clip(-inside / softness + 2 * blur[:, None, None] * noise, -60, 60)))).astype(np.float32)


def fabricate(results_folder: Path, model: str, split: str, epochs: int = 4, run: bool = True) -> results.Cell:
    """Write the files of a cell but for its network, and read them: CoordConv is right, its rivals are not where they
    have not been, whoever they are.

    Args:
        results_folder: Folder of the folders of cells.
        model: The model.
        split: The split.
        epochs: How many there were.
        run: Whether MLflow has a run of it.
    """
    rng = np.random.default_rng([*f"{model}{split}".encode()])
    is_test, good, task = halves(split), MODELS[model].coordinates, MODELS[model].task
    lost = is_test & (split == "quadrant") & (not good)
    points = np.where(lost[:, None], np.minimum(CENTRES, 33) + rng.integers(-2, 3, CENTRES.shape), CENTRES)
    blur = np.zeros(len(CENTRES)) if good else 0.02 + 0.3 * is_test * rng.random(len(CENTRES))
    predictions = answers(task, points, blur, rng)
    showcase = np.array([np.flatnonzero((square == CENTRES).all(axis=1))[0] for square in SHOWCASE])
    early = np.geomspace(4, 0.02, 1 + epochs)
    forming = np.stack([answers(task, points[showcase], blur[showcase] + more, rng) for more in early])
    measures = _measures(task, predictions)
    history = [
        {"epoch": float(epoch)}
        | {
            f"{half}_{name}": float(value)
            for half in ("train", "test")
            for name, value in _learning(measures, is_test == (half == "test"), epoch / epochs).items()
        }
        for epoch in range(1, epochs + 1)
    ]
    perfect = bool(measures["exact"].all())
    folder = results_folder / f"{model}-{split}"
    folder.mkdir(parents=True)
    kind = np.float32 if task == "regression" else np.float16
    np.savez_compressed(
        folder / "predictions.npz",
        coordinates=CENTRES.astype(np.uint8),
        is_test=is_test,
        predictions=predictions.astype(kind),
        showcase=showcase,
        forming=forming.astype(kind),
        **measures,
    )
    results.write_rows(folder / "history.csv", history)
    last = {name: value for name, value in history[-1].items() if name != "epoch"}
    metrics = {
        **{"task": task, "model": model, "split": split, "seed": 0},
        "recipe": asdict(load(ROOT / "params.yaml").models[model]),
        **{"parameters": 7553 if good else 46465, "epochs": epochs, "epochs_to_perfect": epochs if perfect else None},
        **last,
    }
    results.write_json(folder / "metrics.json", metrics)
    seconds = [2.0 if good else 3.0] * epochs
    results.save_timings(
        folder,
        {"import_seconds": 4.0, "train_seconds": 3 + sum(seconds), "total_seconds": 9.0, "epoch_seconds": seconds},
    )
    if run:
        results.write_json(folder / "run.json", {"run_id": rng.bytes(16).hex(), "experiment_id": "1"})
    return results.load(folder)


def _measures(task: str, predictions: Array) -> dict[str, Array]:
    if task == "rendering":
        painted, squares = predictions > 0.5, dataset.generate().squares.view(bool)
        both, either = (painted & squares).sum((1, 2)), (painted | squares).sum((1, 2))
        return {"exact": both == either, "iou": (both / either).astype(np.float32)}
    points = predictions
    if task == "classification":
        points = np.stack(np.divmod(predictions.reshape(len(predictions), -1).argmax(1), dataset.CANVAS), axis=1)
    return {
        "exact": (np.rint(points) == CENTRES).all(axis=1),
        "error_px": np.hypot(*(points - CENTRES).T).astype(np.float32),
    }


def _learning(measures: dict[str, Array], members: Array, progress: float) -> dict[str, float]:
    rise = np.sqrt(progress)
    values = {"loss": 0.02 + 2 * (1 - rise)}
    for name, value in measures.items():
        values[name] = value[members].mean() * (1 / rise if name == "error_px" else rise)
    return values


def fabricate_all(results_folder: Path, epochs: int = 4) -> list[results.Cell]:
    """Write all fourteen cells."""
    return [fabricate(results_folder, model, split, epochs) for model in MATRIX for split in dataset.SPLITS]
