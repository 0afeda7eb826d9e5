"""The three tasks: what goes in, what should come out, when an answer is right, and how that is measured.

A prediction is what a person would look at: an image, the probability of each pixel to be lit, (n, 64, 64), or a
point (row, column) in pixels, (n, 2). Everything that is shown of a task (columns, tables, figures, the report)
follows from what is declared here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from notsoclevr.dataset import CANVAS, Dataset

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.floating[Any]]
Loss = Callable[[], "keras.losses.Loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric: one number for every answer.

    Args:
        name: Its key in files; there the training set's mean is train_<name>, the test set's test_<name>.
        label: What people call it.
        unit: "share" for a value from 0 to 1 that is written in percent, "" for another without a unit, or its unit.
        perfect: The value of a perfect answer.
        worst: The value that figures show as the worst.
        digits: Decimals that tables show of it.
    """

    name: str
    label: str
    unit: str
    perfect: float
    worst: float
    digits: int

    @property
    def bounded(self) -> bool:
        """Whether it runs from 0 to 1, the best."""
        return (self.worst, self.perfect) == (0, 1)

    @property
    def heading(self) -> str:
        """Its label, with its unit if it has one."""
        return f"{self.label}, {self.unit}" if self.unit not in ("", "share") else self.label


# In the order of the columns in files. To add a metric, add it here and to the tasks that compute it.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="exact", label="exact answers", unit="share", perfect=1, worst=0, digits=1),
        Metric(name="iou", label="IoU", unit="", perfect=1, worst=0, digits=3),
        Metric(name="error_px", label="error", unit="px", perfect=0, worst=40, digits=2),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question about Not-so-Clevr.

    Args:
        question: The task in words.
        answer: What the network answers with.
        target: The images of the dataset that show the right answer, a field of `Dataset`.
        metric: The metric beside "exact", which every task has: how far from right an answer is, a key of METRICS.
        more_metrics: Further keys of METRICS.
        inputs: Returns what the network is given for a dataset, float32 (n, ...).
        targets: Returns what the loss compares the outputs with, (n, ...).
        losses: Losses of a batch by name; the first is the task's own, a recipe with a `loss` may choose another.
        predictions: Returns the predictions that outputs of the network stand for.
        measure: Returns the metrics of the outputs of the network for a dataset, arrays (n,), one value per example;
            "exact" is bool: the whole answer is right.
        activation: What makes probabilities of the outputs of the network, by its Keras name; None for points.
        relative: Images are shown relative to their most likely pixel, which alone is the answer.
        points: Returns the points (row, column) that outputs of the network name, (n, 2); None if they name none.
    """

    question: str
    answer: Literal["image", "point"]
    target: str
    metric: str
    inputs: Callable[[Dataset], Floats]
    targets: Callable[[Dataset], npt.NDArray[Any]]
    losses: Mapping[str, Loss]
    predictions: Callable[[Floats], Floats]
    measure: Callable[[Dataset, Floats], dict[str, npt.NDArray[Any]]]
    more_metrics: Sequence[str] = ()
    activation: Literal["softmax", "sigmoid"] | None = None
    relative: bool = False
    points: Callable[[Floats], Floats] | None = None

    @property
    def paints(self) -> bool:
        """Whether it answers with images all of whose pixels count."""
        return self.answer == "image" and not self.relative

    @property
    def metrics(self) -> Sequence[Metric]:
        """Its metrics, "exact" first."""
        return [METRICS[name] for name in ("exact", self.metric, *self.more_metrics)]

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of one prediction."""
        return (2,) if self.answer == "point" else (CANVAS, CANVAS)


def _coordinates(dataset: Dataset) -> Floats:
    return dataset.coordinates.astype(np.float32)


def _image(images: npt.NDArray[np.uint8]) -> Floats:
    return images[..., None].astype(np.float32)  # (n, 64, 64, 1)


def _distance(points: Floats, dataset: Dataset) -> Floats:
    distances: Floats = np.hypot(*(points - _coordinates(dataset)).T)  # (n,)
    return distances


def _centre_pixel(dataset: Dataset) -> npt.NDArray[np.int32]:
    """Return the index of the centre among the pixels of the canvas, counted row by row, (n,)."""
    row, column = dataset.coordinates.T.astype(np.int32)
    pixels: npt.NDArray[np.int32] = row * CANVAS + column
    return pixels


def _categorical_cross_entropy() -> keras.losses.Loss:
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _softmax(logits: Floats) -> Floats:
    """Return the probability of each pixel, (n, 64, 64), from logits (n, 4096)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities.reshape(-1, CANVAS, CANVAS)


def _top_pixel(logits: Floats) -> Floats:
    """Return (row, column) of the highest logit, (n, 2), from logits (n, 4096)."""
    return np.stack(np.divmod(logits.argmax(axis=1), CANVAS), axis=1).astype(np.float32)


def _measure_pixels(dataset: Dataset, logits: Floats) -> dict[str, npt.NDArray[Any]]:
    points = _top_pixel(logits)
    return {"exact": (points == dataset.coordinates).all(axis=1), "error_px": _distance(points, dataset)}


def _squared_error() -> keras.losses.Loss:
    import keras

    return keras.losses.MeanSquaredError()


def _as_they_are(points: Floats) -> Floats:
    return points


def _measure_points(dataset: Dataset, points: Floats) -> dict[str, npt.NDArray[Any]]:
    return {
        "exact": (np.rint(points) == dataset.coordinates).all(axis=1),
        "error_px": _distance(points, dataset),
    }


def _binary_cross_entropy() -> keras.losses.Loss:
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True)


def _shifted_squared_error() -> keras.losses.Loss:
    """Return the paper's other loss for painters; outputs should be -1/2 or 1/2, so that a positive one is painted."""
    import keras

    class SquaredError(keras.losses.MeanSquaredError):  # type: ignore[misc]
        def call(self, targets: Any, outputs: Any) -> Any:
            return super().call(targets, outputs + 0.5)

    return SquaredError()


def _sigmoid(logits: Floats) -> Floats:
    """Return the probability of each pixel, (n, 64, 64), from logits (n, 64, 64, 1)."""
    probabilities: Floats = 0.5 * (1 + np.tanh(0.5 * logits))  # the form that cannot overflow
    return probabilities[..., 0]


def _measure_squares(dataset: Dataset, logits: Floats) -> dict[str, npt.NDArray[Any]]:
    painted, square = logits[..., 0] > 0, dataset.squares.view(bool)
    both = (painted & square).sum(axis=(1, 2))
    either = (painted | square).sum(axis=(1, 2))
    return {"exact": both == either, "iou": (both / either).astype(np.float32)}


TASKS: dict[str, Task] = {
    "classification": Task(
        question="given row and column, light the pixel of the centre",
        answer="image",
        target="onehots",
        metric="error_px",
        inputs=_coordinates,
        targets=_centre_pixel,
        losses={"cross_entropy": _categorical_cross_entropy},
        predictions=_softmax,
        measure=_measure_pixels,
        activation="softmax",
        relative=True,
        points=_top_pixel,
    ),
    "regression": Task(
        question="shown the pixel of the centre, say its row and column",
        answer="point",
        target="onehots",
        metric="error_px",
        inputs=lambda dataset: _image(dataset.onehots),
        targets=_coordinates,
        losses={"squared_error": _squared_error},
        predictions=_as_they_are,
        measure=_measure_points,
        points=_as_they_are,
    ),
    "rendering": Task(
        question="given row and column, paint the square",
        answer="image",
        target="squares",
        metric="iou",
        inputs=_coordinates,
        targets=lambda dataset: _image(dataset.squares),
        losses={"cross_entropy": _binary_cross_entropy, "squared_error": _shifted_squared_error},
        predictions=_sigmoid,
        measure=_measure_squares,
        activation="sigmoid",
    ),
}
