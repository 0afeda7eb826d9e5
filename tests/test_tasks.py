from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from notsoclevr.dataset import Dataset
from notsoclevr.tasks import METRICS, TASKS


@pytest.fixture
def three(full: Dataset) -> Dataset:
    """Examples with the centres (4, 4), (4, 5) and (10, 40)."""
    return full[np.array([0, 1, 6 * 56 + 36])]


def test_inputs_and_targets(three: Dataset) -> None:
    assert three.coordinates.tolist() == [[4, 4], [4, 5], [10, 40]]
    for name in ("classification", "rendering"):
        np.testing.assert_array_equal(TASKS[name].inputs(three), three.coordinates.astype(np.float32))
    assert TASKS["classification"].targets(three).tolist() == [4 * 64 + 4, 4 * 64 + 5, 10 * 64 + 40]
    assert TASKS["rendering"].targets(three).shape == (3, 64, 64, 1)
    assert TASKS["rendering"].targets(three).sum() == 3 * 81
    image = TASKS["regression"].inputs(three)
    assert image.shape == (3, 64, 64, 1)
    assert image[2, 10, 40, 0] == image[2].sum() == 1
    assert TASKS["regression"].targets(three)[2].tolist() == [10, 40]


def test_classification_is_exact_where_the_right_pixel_is_on_top(three: Dataset) -> None:
    logits = np.zeros((3, 4096), np.float32)
    logits[0, 4 * 64 + 4] = 5
    logits[1, 4 * 64 + 5 + 3] = 5  # three columns too far right
    logits[2, (10 + 3) * 64 + 40 + 4] = 5  # three rows and four columns off
    measured = TASKS["classification"].measure(three, logits)
    assert measured["exact"].tolist() == [True, False, False]
    assert measured["error_px"].tolist() == [0, 3, 5]
    probabilities = TASKS["classification"].predictions(logits)
    assert probabilities.shape == (3, 64, 64)
    np.testing.assert_allclose(probabilities.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert probabilities[2, 13, 44] == pytest.approx(np.exp(5) / (np.exp(5) + 4095), rel=1e-5)


def test_regression_is_exact_where_the_rounded_point_is_right(three: Dataset) -> None:
    points = np.array([[4.49, 3.51], [4.0, 5.6], [13.0, 44.0]], np.float32)
    measured = TASKS["regression"].measure(three, points)
    assert measured["exact"].tolist() == [True, False, False]
    np.testing.assert_allclose(measured["error_px"], [np.hypot(0.49, 0.49), 0.6, 5], rtol=1e-5)
    np.testing.assert_array_equal(TASKS["regression"].predictions(points), points)


def test_rendering_is_exact_where_every_pixel_is(three: Dataset) -> None:
    logits = np.where(three.squares, 3.0, -3.0)[..., None].astype(np.float32)
    logits[1, 63, 63] = 0.1  # one pixel too many
    logits[2, 6:15, 36:41] = -1  # five columns of the square missing
    measured = TASKS["rendering"].measure(three, logits)
    assert measured["exact"].tolist() == [True, False, False]
    np.testing.assert_allclose(measured["iou"], [1, 81 / 82, 36 / 81], rtol=1e-6)
    probabilities = TASKS["rendering"].predictions(logits)
    assert probabilities.shape == (3, 64, 64)
    assert probabilities[0, 4, 4] == pytest.approx(1 / (1 + np.exp(-3)), rel=1e-5)


def test_sigmoid_does_not_overflow() -> None:
    extreme = np.array([[[[-1e4], [1e4]]]], np.float32)
    with np.errstate(all="raise"):
        assert TASKS["rendering"].predictions(extreme).tolist() == [[[0, 1]]]


def test_losses_against_numpy(three: Dataset) -> None:
    def loss(task: str, name: str, outputs: np.ndarray[Any, Any]) -> float:
        return float(TASKS[task].losses[name]()(TASKS[task].targets(three), outputs))

    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4096)).astype(np.float32)
    log_sum = np.log(np.exp(logits.astype(np.float64)).sum(axis=1))
    expected = (log_sum - logits[np.arange(3), TASKS["classification"].targets(three)]).mean()
    assert loss("classification", "cross_entropy", logits) == pytest.approx(expected, rel=1e-5)

    points = random.normal(size=(3, 2)).astype(np.float32)
    expected = ((points - three.coordinates) ** 2).mean()
    assert loss("regression", "squared_error", points) == pytest.approx(expected, rel=1e-5)

    logits = random.normal(size=(3, 64, 64, 1)).astype(np.float32)
    targets = TASKS["rendering"].targets(three)
    expected = np.log1p(np.exp(np.where(targets == 1, -1.0, 1.0) * logits)).mean()
    assert loss("rendering", "cross_entropy", logits) == pytest.approx(expected, rel=1e-5)
    expected = ((logits + 0.5 - targets) ** 2).mean()
    assert loss("rendering", "squared_error", logits) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_measures_what_it_declares(name: str, three: Dataset) -> None:
    task = TASKS[name]
    outputs = np.zeros(
        {"classification": (3, 4096), "regression": (3, 2), "rendering": (3, 64, 64, 1)}[name], np.float32
    )
    measured = task.measure(three, outputs)
    assert list(measured) == [metric.name for metric in task.metrics]
    assert set(measured) <= set(METRICS)
    assert task.predictions(outputs).shape == (3, *task.answer_shape)
    assert getattr(three, task.target).shape == (3, 64, 64)
    if task.points:
        assert task.points(outputs).shape == (3, 2)


def test_only_painters_paint() -> None:
    assert [name for name, task in TASKS.items() if task.paints] == ["rendering"]


def test_large_logits_do_not_overflow() -> None:
    logits = np.full((1, 4096), -1e4, np.float32)
    logits[0, 5] = 1e4
    with np.errstate(over="raise", invalid="raise"):
        assert TASKS["classification"].predictions(logits)[0, 0, 5] == 1


def test_what_lies_between_two_answers(full: Dataset) -> None:
    """Halves are rounded to even; a pixel that is neither lit nor dark is dark."""
    two = full[np.array([0, 1])]  # at (4, 4) and (4, 5)
    between = np.array([[4.5, 4], [4.5, 5]], np.float32)
    assert TASKS["regression"].measure(two, between)["exact"].tolist() == [True, True]
    assert TASKS["rendering"].measure(two, np.zeros((2, 64, 64, 1)))["iou"].tolist() == [0, 0]
