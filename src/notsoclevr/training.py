"""Training: an experiment in, a fitted network and what was seen on the way out."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from notsoclevr.cost import layers_of
from notsoclevr.dataset import SplitDataset
from notsoclevr.evaluation import Canvas, Row, score
from notsoclevr.experiment import Experiment
from notsoclevr.recipes import Recipe
from notsoclevr.tasks import Floats

if TYPE_CHECKING:
    import keras

MOST_MEASUREMENTS = 12  # of a training
CACHED = 2**19  # numbers that the largest layer of a network may put out at a time: 2 MiB
TOGETHER = 8  # steps in one call of TensorFlow: a call costs about a millisecond, and Ctrl-C waits for its end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A finished training.

    Args:
        canvas: All examples, in the order of the dataset.
        network: The fitted network.
        history: One row per measured epoch, measured after it on the whole training set and test set: "epoch",
            "train_loss", "test_loss" and the means of the task's metrics, as "train_exact".
        epoch_seconds: Time each epoch trained, without what was measured after it.
        outputs: The outputs of the fitted network over the whole canvas, in the order of the dataset.
        showcase: Places in the canvas of the showcase squares, (k,).
        snapshots: Predictions for these before training and after each measured epoch, (1 + measured epochs, k, ...).
    """

    canvas: Canvas
    network: keras.Model
    history: list[Row]
    epoch_seconds: list[float]
    outputs: Floats
    showcase: npt.NDArray[np.int_]
    snapshots: Floats


def import_tensorflow(threads: int = 1) -> None:
    """Import TensorFlow and Keras, set up for speed, without what TensorFlow says of itself meanwhile.

    oneDNN is off by default on some processors where it trains two to three times as fast.

    Args:
        threads: Threads that TensorFlow may use; to be said before it computes anything. The last digits of a result
            depend on them, which is why one is the default.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # the first messages come from C++, before that level is read
    sys.stderr.flush()
    with tempfile.TemporaryFile() as unread, _hidden("sklearn"):
        stderr = os.dup(2)
        os.dup2(unread.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Make imports of a package fail, if none has been made yet.

    Keras imports scikit-learn where it is installed, for wrappers that nobody here calls: a fifth of what the import
    of Keras takes.
    """
    modules: dict[str, Any] = sys.modules
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


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


def _build(experiment: Experiment) -> keras.Model:
    import keras

    recipe = experiment.recipe
    network = experiment.entry.build(recipe)
    if recipe.optimizer == "adam" and recipe.weight_decay:
        for weight in network.trainable_variables:
            if "kernel" in weight.name:
                weight.regularizer = keras.regularizers.L2(recipe.weight_decay)
    return network


def train(
    experiment: Experiment,
    split: SplitDataset,
    *,
    showcase: Sequence[int] = (),
    measure_every: int | None = None,
    on_steps: Callable[[int], None] = lambda steps: None,
    on_epoch: Callable[[Row, float], None] = lambda row, seconds: None,
) -> Fit:
    """Train one network; what is measured on the way never steers it.

    Args:
        experiment: What to train.
        split: The examples; only its training set is trained on.
        showcase: Places in the canvas of the squares whose snapshots are kept.
        measure_every: Epochs from one measurement to the next; by default a long training is measured seven to
            twelve times. The last epoch is always measured.
        on_steps: Called after some steps, with their number.
        on_epoch: Called after each measured epoch with its row of the history, and with the seconds that all epochs
            until then have trained.

    Returns:
        The fitted network and the record of its training.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(experiment.seed)
    tf.config.experimental.enable_op_determinism()

    task, recipe, size = experiment.task, experiment.recipe, len(split.train)
    network = _build(experiment)
    optimizer = _optimizer(recipe, steps_per_epoch=-(-size // recipe.batch_size))
    examples = task.inputs(split.train), task.targets(split.train)
    make_steps = _steps(network, optimizer, experiment.loss(), *examples, recipe.batch_size)
    canvas = Canvas.of(split)
    predict = _predict(network, task.inputs(canvas.dataset))
    shuffle = np.random.default_rng(experiment.seed)
    measure_every = measure_every or -(-recipe.epochs // MOST_MEASUREMENTS)

    everywhere = np.arange(len(canvas.dataset))
    shown = np.array(showcase, int)
    snapshots = [task.predictions(predict(shown))]
    history: list[Row] = []
    epoch_seconds: list[float] = []
    trained = 0.0  # seconds, added up as `notsoclevr.cells.record` does it
    for epoch in range(1, recipe.epochs + 1):
        started = perf_counter()
        order = shuffle.permutation(size)
        for first in range(0, size, TOGETHER * recipe.batch_size):
            places = order[first : first + TOGETHER * recipe.batch_size]
            make_steps(places)
            on_steps(-(-len(places) // recipe.batch_size))
        epoch_seconds.append(perf_counter() - started)
        trained += epoch_seconds[-1]
        if epoch % measure_every == 0 or epoch == recipe.epochs:
            outputs = predict(everywhere)
            snapshots.append(task.predictions(outputs[shown]))
            history.append({"epoch": epoch, **score(experiment, canvas, outputs)})
            on_epoch(history[-1], trained)
    return Fit(
        canvas=canvas,
        network=network,
        history=history,
        epoch_seconds=epoch_seconds,
        outputs=outputs,
        showcase=shown,
        snapshots=np.stack(snapshots),
    )


def _steps(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    inputs: Floats,
    targets: npt.NDArray[Any],
    batch_size: int,
) -> Callable[[npt.NDArray[Any]], None]:
    """Return a function that takes the places of some batches among the inputs, (b,), and makes a step of each batch.

    A few examples at a time go through the network, as many as leave its activations in the cache of the processor,
    and their gradients are added up: the step is that of the whole batch, up to rounding.
    """
    import tensorflow as tf

    examples = tf.constant(inputs), tf.constant(targets)
    weights = network.trainable_variables
    optimizer.build(weights)
    at_once = _examples_at_once(network) or batch_size

    # The examples are arguments, since what a graph captures stays in memory for as long as the graph: for good, with
    # Keras's optimizers.
    def make_steps(all_inputs: Any, all_targets: Any, places: Any) -> None:
        def gradients(part: Any, share: Any = None) -> Any:
            with tf.GradientTape() as tape:
                outputs = network(tf.gather(all_inputs, part), training=True)
                error = tf.add_n([loss(tf.gather(all_targets, part), outputs), *network.losses])
                if share is not None:
                    error *= tf.cast(share, error.dtype)
            return tape.gradient(error, [weight.value for weight in weights])

        def in_parts(batch: Any) -> Any:
            size = tf.size(batch)

            def add(first: Any, *sums: Any) -> Any:
                part = batch[first : first + at_once]
                own = gradients(part, tf.size(part) / size)
                # the shape is said again: with a weight of one input channel TensorFlow does not know it any more
                added = [tf.ensure_shape(total + each, total.shape) for total, each in zip(sums, own, strict=True)]
                return first + tf.size(part), *added

            zeros = [tf.zeros(weight.shape) for weight in weights]
            return tf.while_loop(lambda first, *_: first < size, add, [0, *zeros])[1:]

        def step(first: Any) -> Any:
            batch = places[first : first + batch_size]
            optimizer.apply(in_parts(batch) if at_once < batch_size else gradients(batch), weights)
            return [first + batch_size]

        tf.while_loop(lambda first: first < tf.size(places), step, [0], parallel_iterations=1)

    signature = [*map(tf.TensorSpec.from_tensor, examples), tf.TensorSpec([None], tf.int64)]
    return partial(tf.function(make_steps, input_signature=signature, autograph=False), *examples)


def _predict(network: keras.Model, inputs: Floats) -> Callable[[npt.NDArray[Any]], Floats]:
    """Return a function that returns the outputs of a network, (k, ...), for the inputs at k places."""
    import tensorflow as tf

    all_inputs = tf.constant(inputs)
    outputs: Floats = np.empty((len(inputs), *network.output_shape[1:]), np.float32)
    at_once = 4 * (_examples_at_once(network) or 8)  # no activation is kept for a gradient

    predict = tf.function(
        lambda first: network(all_inputs[first : first + at_once], training=False),
        input_signature=[tf.TensorSpec([], tf.int32)],
        autograph=False,
    )

    def predict_at(places: npt.NDArray[Any]) -> Floats:
        for first in np.unique(places - places % at_once):  # a part is computed whole, so that its bits are the same
            outputs[first : first + at_once] = predict(int(first))
        chosen: Floats = outputs[places]
        return chosen

    return predict_at


def _examples_at_once(network: keras.Model) -> int | None:
    """Return how many examples have activations that fit the cache; None if a batch has to stay whole."""
    import keras

    layers = [*layers_of(network)]
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        return None  # it depends on all examples of a batch
    largest: int = max(math.prod(layer.output.shape[1:]) for layer in layers)
    return max(1, CACHED // largest)
