"""Cells without a training: files as a training writes them, with answers made up."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from notsoclevr import figures, results
from notsoclevr.cells import SHOWCASE
from notsoclevr.config import load
from notsoclevr.dataset import Split
from notsoclevr.evaluation import Canvas, score
from notsoclevr.models import MODELS
from notsoclevr.training import Experiment, Fit

from .conftest import ROOT

RECIPES = load(ROOT / "params.yaml").models


def fabricate(
    directory: Path, model: str, split: Split, *, fails_on_test: bool = False, epochs: int = 3
) -> results.Cell:
    """Write the files of a cell <model>-<split> whose answers are right, but on the test half if so asked.

    Args:
        directory: Named <model>-<split>.
        model: A key of MODELS.
        split: The examples.
        fails_on_test: Answer as if the centre were nine rows higher or lower there.
        epochs: Length of the made-up history.
    """
    experiment = Experiment(model=model, split=directory.name.split("-")[1], seed=0, recipe=RECIPES[model])
    canvas = Canvas.of(split)
    said = canvas.dataset.coordinates.astype(int)
    if fails_on_test:
        said[canvas.is_test, 0] = np.where(said[canvas.is_test, 0] < 32, 9, -9) + said[canvas.is_test, 0]
    places = (said - 4) @ [56, 1]
    answers = canvas.dataset[places]
    outputs = {
        "classification": lambda: 20.0 * answers.onehots.reshape(-1, 4096).astype(np.float32),
        "regression": lambda: said.astype(np.float32) + 0.25,
        "rendering": lambda: np.where(answers.squares, 4, -4).astype(np.float32)[..., None],
    }[MODELS[model].task]()
    measured = score(experiment.task, canvas, outputs)
    showcase = np.array([canvas.place(square) for square in SHOWCASE])
    forming = np.stack([experiment.task.predictions(outputs[showcase])] * (1 + epochs))
    fit = Fit(
        network=MODELS[model].build(RECIPES[model]),
        history=[{"epoch": epoch + 1, **measured} for epoch in range(epochs)],
        epoch_seconds=[1.5] * epochs,
        outputs=outputs,
        forming=forming,
    )
    with results.staging(directory, directory.parent) as folder:
        results.save(folder, experiment, canvas, fit, showcase)
        timings = {"import_seconds": 2.0, "train_seconds": 6.0, "total_seconds": 10.0, "epoch_seconds": [1.5] * epochs}
        results.save_timings(folder, timings)
        cell = results.load(folder, directory)
        figures.save_cell_figures(folder / "figures", cell, canvas.dataset[showcase].squares)
    keras.backend.clear_session()
    return cell
