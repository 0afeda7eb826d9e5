from __future__ import annotations

import numpy as np
import pytest

from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.evaluation import Canvas, score, summarise
from notsoclevr.splits import Quadrant, Uniform

from .conftest import ROOT


def test_the_canvas_is_in_the_order_of_the_dataset(full: Dataset) -> None:
    canvas = Canvas.of(Uniform(train_share=0.8, seed=1)(full))
    np.testing.assert_array_equal(canvas.dataset.coordinates, full.coordinates)
    np.testing.assert_array_equal(canvas.dataset.squares, full.squares)
    assert canvas.is_test.sum() == 627


def test_the_quadrant_is_marked(full: Dataset) -> None:
    canvas = Canvas.of(Quadrant(corner="upper_right", boundary=32)(full))
    marked = canvas.is_test.reshape(56, 56)
    assert marked[:28, 28:].all()
    assert marked.sum() == 28 * 28


def test_training_set_and_test_set_are_scored_apart(full: Dataset) -> None:
    canvas = Canvas.of(Quadrant(corner="lower_right", boundary=32)(full))
    points = canvas.dataset.coordinates.astype(np.float32)
    points[canvas.is_test] += [3, 4]
    points[0] += [0.6, 0]  # one of the 2,352 that train
    values = score(load(ROOT / "params.yaml").experiment("coordconv_regressor", "quadrant"), canvas, points)
    assert values["test_exact"] == 0
    assert values["test_error_px"] == 5
    assert values["test_loss"] == pytest.approx((9 + 16) / 2)
    assert values["train_exact"] == 2351 / 2352
    assert values["train_error_px"] == pytest.approx(0.6 / 2352, rel=1e-4)


def test_perfect_is_the_training_set_too(full: Dataset) -> None:
    config = load(ROOT / "params.yaml")
    canvas, asked = Canvas.of(config.splits["uniform"](full)), config.experiment("coordconv_regressor", "uniform")
    measured = [(1, 0.9, 1), (2, 1, 0.9), (3, 1, 1), (4, 1, 1)]
    history = [{"epoch": epoch, "train_exact": train, "test_exact": test} for epoch, train, test in measured]
    outputs = canvas.dataset.coordinates.astype(np.float32)
    assert summarise(asked, canvas, outputs, history, asked.entry.build(asked.recipe))["epochs_to_perfect"] == 3
