"""The three tasks: what goes in, what should come out, and when an answer is right.

A prediction is what a person would look at: for classification the probability of each pixel to be the centre,
(n, 64, 64); for rendering the probability of each pixel to be covered by the square, (n, 64, 64); for regression the
point (row, column) in pixels, (n, 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from notsoclevr.dataset import CANVAS, Dataset

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.floating[Any]]
Measures = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question about Not-so-Clevr.

    Args:
        inputs: Dataset to what the network is given, float32 (n, ...).
        targets: Dataset to what the loss compares with, (n, ...).
        loss: Makes the loss of one batch.
        predictions: Outputs of the network to predictions.
        measures: Dataset and network outputs to one value an example, arrays (n,): "exact" (bool: the whole answer
            is right), and where they mean something "iou" (intersection over union of the squares, 0 to 1) and
            "error_px" (distance from the right point, pixels).
    """

    inputs: Callable[[Dataset], Floats]
    targets: Callable[[Dataset], npt.NDArray[Any]]
    loss: Callable[[], keras.losses.Loss]
    predictions: Callable[[Floats], Floats]
    measures: Callable[[Dataset, Floats], Measures]


def _coordinates(dataset: Dataset) -> Floats:
    return dataset.coordinates.astype(np.float32)


def _image(images: npt.NDArray[np.uint8]) -> Floats:
    return images[..., None].astype(np.float32)  # (n, 64, 64, 1)


def _distance(points: Floats, dataset: Dataset) -> Floats:
    distances: Floats = np.hypot(*(points - _coordinates(dataset)).T)  # (n,)
    return distances


def _centre_pixel(dataset: Dataset) -> npt.NDArray[np.int32]:
    """Index of the centre among the pixels of the canvas, counted row by row."""
    row, column = dataset.coordinates.T.astype(np.int32)
    pixels: npt.NDArray[np.int32] = row * CANVAS + column
    return pixels


def _classification_loss() -> keras.losses.Loss:
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _softmax(logits: Floats) -> Floats:
    """Logits (n, 4096) to probabilities (n, 64, 64)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities.reshape(-1, CANVAS, CANVAS)


def _classification_measures(dataset: Dataset, logits: Floats) -> Measures:
    top = logits.argmax(axis=1)
    points = np.stack(np.divmod(top, CANVAS), axis=1).astype(np.float32)
    return {"exact": top == _centre_pixel(dataset), "error_px": _distance(points, dataset)}


def _regression_loss() -> keras.losses.Loss:
    import keras

    return keras.losses.MeanSquaredError()


def _regression_measures(dataset: Dataset, points: Floats) -> Measures:
    return {
        "exact": (np.rint(points) == dataset.coordinates).all(axis=1),
        "error_px": _distance(points, dataset),
    }


def _rendering_loss() -> keras.losses.Loss:
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True)


def _squared_error_loss() -> keras.losses.Loss:
    """Make the paper's other loss for painters: outputs should be -1/2 or 1/2, so that what is positive is painted."""
    import keras

    class SquaredError(keras.losses.MeanSquaredError):  # type: ignore[misc]
        def call(self, targets: Any, outputs: Any) -> Any:
            return super().call(targets, outputs + 0.5)

    return SquaredError()


PAINTER_LOSSES: Mapping[str, Callable[[], keras.losses.Loss]] = MappingProxyType(
    {"cross_entropy": _rendering_loss, "squared_error": _squared_error_loss}
)


def _sigmoid(logits: Floats) -> Floats:
    """Logits (n, 64, 64, 1) to probabilities (n, 64, 64)."""
    probabilities: Floats = 0.5 * (1 + np.tanh(0.5 * logits))  # the form that cannot overflow
    return probabilities[..., 0]


def _rendering_measures(dataset: Dataset, logits: Floats) -> Measures:
    painted, square = logits[..., 0] > 0, dataset.squares.view(bool)
    both = (painted & square).sum(axis=(1, 2))
    either = (painted | square).sum(axis=(1, 2))
    return {"exact": both == either, "iou": (both / either).astype(np.float32)}


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "classification": Task(
            inputs=_coordinates,
            targets=_centre_pixel,
            loss=_classification_loss,
            predictions=_softmax,
            measures=_classification_measures,
        ),
        "regression": Task(
            inputs=lambda dataset: _image(dataset.onehots),
            targets=_coordinates,
            loss=_regression_loss,
            predictions=lambda points: points,
            measures=_regression_measures,
        ),
        "rendering": Task(
            inputs=_coordinates,
            targets=lambda dataset: _image(dataset.squares),
            loss=_rendering_loss,
            predictions=_sigmoid,
            measures=_rendering_measures,
        ),
    }
)
