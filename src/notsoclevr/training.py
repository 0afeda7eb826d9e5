"""Training: an experiment in, a fitted network and what was seen on the way out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from notsoclevr.dataset import SplitDataset
from notsoclevr.evaluation import Canvas, score
from notsoclevr.experiment import Experiment
from notsoclevr.recipes import Recipe
from notsoclevr.tasks import Floats

if TYPE_CHECKING:
    import keras

Row = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A finished training.

    Args:
        network: The fitted network.
        history: A row a measured epoch, measured after it on the whole training set and test set: "epoch",
            "train_loss", "test_loss" and the means of the task's metrics, as "train_exact".
        epoch_seconds: Time each epoch trained, without what was measured after it.
        outputs: Of the fitted network over the whole canvas, in the order of the dataset.
        snapshots: Predictions for the showcase squares before training and after each measured epoch,
            (1 + epochs, k, ...).
    """

    network: keras.Model
    history: list[Row]
    epoch_seconds: list[float]
    outputs: Floats
    snapshots: Floats


def import_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow and Keras, set up for speed, without what TensorFlow says of itself meanwhile.

    oneDNN is off by default on some processors where it trains two to three times as fast.

    Args:
        threads: Processor cores that TensorFlow may use, all by default; to be said before it computes anything.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # the first messages come from C++, before that level is read
    sys.stderr.flush()
    with tempfile.TemporaryFile() as unread:
        stderr = os.dup(2)
        os.dup2(unread.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def _optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    import keras

    rate: Any = recipe.learning_rate
    warmup = recipe.warmup_epochs * steps_per_epoch
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else recipe.learning_rate,
            decay_steps=max(1, recipe.epochs * steps_per_epoch - warmup),
            warmup_target=recipe.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    elif recipe.schedule == "steps":
        boundaries = [round(recipe.epochs * steps_per_epoch * fifth / 5) - 1 for fifth in range(1, 5)]
        rates = [recipe.learning_rate / 10**fifth for fifth in range(5)]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
    elif warmup:
        rate = keras.optimizers.schedules.PolynomialDecay(0.0, warmup, end_learning_rate=recipe.learning_rate)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, beta_2=recipe.beta_2)
    return keras.optimizers.Adam(rate, beta_2=recipe.beta_2)


def _build(experiment: Experiment, steps_per_epoch: int) -> keras.Model:
    import keras

    recipe = experiment.recipe
    network = experiment.entry.build(recipe)
    if recipe.optimizer == "adam" and recipe.weight_decay:
        for weight in network.trainable_variables:
            if "kernel" in weight.name:
                weight.regularizer = keras.regularizers.L2(recipe.weight_decay)
    network.compile(_optimizer(recipe, steps_per_epoch), experiment.loss())
    return network


def train(
    experiment: Experiment,
    split: SplitDataset,
    showcase: npt.NDArray[Any],
    *,
    measure_every: int = 1,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> Fit:
    """Train one network; what is measured on the way never steers it.

    Args:
        experiment: What to train.
        split: The examples; only its training set is trained on.
        showcase: Places in the canvas, see `Canvas.of`, of the squares whose snapshots are kept.
        measure_every: Epochs from one measurement to the next; the last epoch is always measured.
        on_step: Called after each step.
        on_epoch: Called after each measured epoch with its row of the history.

    Returns:
        The fitted network and the record of its training.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(experiment.seed)
    tf.config.experimental.enable_op_determinism()

    task, recipe = experiment.task, experiment.recipe
    canvas = Canvas.of(split)
    network = _build(experiment, steps_per_epoch=-(-len(split.train) // recipe.batch_size))
    measured = {*range(measure_every, recipe.epochs, measure_every), recipe.epochs}
    recorder = _recorder(experiment, canvas, showcase, measured, on_step, on_epoch)
    network.fit(
        task.inputs(split.train),
        task.targets(split.train),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        callbacks=[recorder],
        verbose=0,
    )
    return Fit(
        network=network,
        history=recorder.history,
        epoch_seconds=recorder.epoch_seconds,
        outputs=recorder.outputs,
        snapshots=np.stack(recorder.snapshots),
    )


def _recorder(
    experiment: Experiment,
    canvas: Canvas,
    showcase: npt.NDArray[Any],
    measured: set[int],
    on_step: Callable[[], None],
    on_epoch: Callable[[Row], None],
) -> Any:
    """Return the Keras callback that keeps what `Fit` holds; a function, since its base class comes with Keras."""
    import keras

    task = experiment.task

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.history: list[Row] = []
            self.epoch_seconds: list[float] = []
            self.snapshots: list[Floats] = []
            self.inputs = task.inputs(canvas.dataset)
            self._measure()

        def _measure(self) -> None:
            self.outputs = self.model.predict(self.inputs, batch_size=128, verbose=0)
            self.snapshots.append(task.predictions(self.outputs[showcase]))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            on_step()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epoch_seconds.append(perf_counter() - self.started)
            if epoch + 1 not in measured:
                return
            self._measure()
            row = {"epoch": epoch + 1, **score(experiment, canvas, self.outputs)}
            self.history.append(row)
            on_epoch(row)

    return Recorder()
