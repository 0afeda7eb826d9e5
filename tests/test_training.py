from __future__ import annotations

import gc
import hashlib
import os
import weakref
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import accumulate
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from notsoclevr import training
from notsoclevr.config import load
from notsoclevr.dataset import Dataset, SplitDataset, generate
from notsoclevr.evaluation import Canvas, score, summarise
from notsoclevr.experiment import Experiment
from notsoclevr.models import MODELS
from notsoclevr.splits import Quadrant

from . import preloaded
from .conftest import ROOT

CORNER = Quadrant(corner="lower_right", boundary=6)
RECIPES = load(ROOT / "params.yaml").models


def experiment(model: str = "coordconv_regressor", seed: int = 3, **settings: Any) -> Experiment:
    short = {"epochs": 2, "schedule": "cosine", "warmup_epochs": 1, "batch_size": 32}
    recipe = replace(RECIPES[model], **short | settings)
    return Experiment(model=model, split=CORNER, seed=seed, recipe=recipe)


def few_tested(full: Dataset) -> SplitDataset:
    split = CORNER(full)
    return SplitDataset(train=split.train, test=split.test[np.arange(0, 2916, 60)])  # 220 and 49


@pytest.fixture(scope="module")
def small(full: Dataset) -> SplitDataset:
    return few_tested(full)


SHOWCASE = np.array([0, 268])
STEPS: list[int] = []  # of the training of `first`
NOTED: list[tuple[dict[str, float], float]] = []


@pytest.fixture(scope="module")
def first(small: SplitDataset) -> training.Fit:
    """A training that several tests look at."""

    def note(row: dict[str, float], seconds: float) -> None:
        NOTED.append((row, seconds))

    return training.train(experiment(), small, showcase=SHOWCASE, on_steps=STEPS.append, on_epoch=note)


def test_history_is_what_the_outputs_say(first: training.Fit, small: SplitDataset) -> None:
    trained = first
    rows, seconds = zip(*NOTED, strict=True)
    assert seconds == (*accumulate(trained.epoch_seconds),)
    canvas = Canvas.of(small)
    assert [row["epoch"] for row in trained.history] == [1, 2]
    assert [*rows] == trained.history
    assert sum(STEPS) == 2 * 7  # 220 examples in batches of 32
    last = {name: value for name, value in trained.history[-1].items() if name != "epoch"}
    assert last == score(experiment(), canvas, trained.outputs)
    right = np.rint(trained.outputs) == canvas.dataset.coordinates
    assert last["test_exact"] == right.all(axis=1)[canvas.is_test].mean()
    assert trained.snapshots.shape == (3, 2, 2)
    np.testing.assert_array_equal(trained.snapshots[-1], trained.outputs[SHOWCASE])
    assert not np.array_equal(trained.snapshots[0], trained.snapshots[1])


def test_the_same_seed_gives_the_same_network_and_another_does_not(first: training.Fit, small: SplitDataset) -> None:
    again, other = (training.train(experiment(seed=seed), small, showcase=SHOWCASE) for seed in (3, 4))
    for a, b in zip(first.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.history == again.history != other.history


def test_only_the_training_set_is_trained_on(first: training.Fit, small: SplitDataset) -> None:
    other_test = SplitDataset(train=small.train, test=small.test[np.arange(5)])
    other = training.train(experiment(), other_test, showcase=SHOWCASE[:1])
    for x, y in zip(first.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_examples_leave_memory_after_the_training(small: SplitDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study trains hundreds of networks in one process."""
    kept: list[weakref.ref[Any]] = []
    constant = tf.constant

    def note(value: Any, *arguments: Any, **keywords: Any) -> Any:
        tensor = constant(value, *arguments, **keywords)
        if np.size(value) > 220:  # of the examples, not of a graph
            kept.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(tf, "constant", note)
    training.train(experiment(epochs=1, warmup_epochs=0), small, showcase=SHOWCASE)
    gc.collect()
    assert len(kept) == 3  # two of the training set, one of the canvas
    assert [tensor() for tensor in kept] == [None] * 3


def rates(steps: int, **settings: Any) -> list[float]:
    optimizer = training._optimizer(experiment(**settings).recipe, 10)
    schedule = optimizer._learning_rate
    return [float(schedule(step)) if callable(schedule) else float(optimizer.learning_rate) for step in range(steps)]


def test_schedules() -> None:
    constant = {"schedule": "constant", "learning_rate": 0.5}
    assert rates(3, **constant, warmup_epochs=0, epochs=4) == [0.5, 0.5, 0.5]
    warm = rates(13, **constant, warmup_epochs=1, epochs=4)
    np.testing.assert_allclose(warm, [min(step / 10, 1) * 0.5 for step in range(13)], rtol=1e-6)
    cosine = rates(41, schedule="cosine", learning_rate=0.5, warmup_epochs=1, epochs=4)
    expected = [0.05 * s if s < 10 else 0.25 * (1 + np.cos(np.pi * (s - 10) / 30)) for s in range(41)]
    np.testing.assert_allclose(cosine, expected, atol=1e-6)
    cold = rates(41, schedule="cosine", learning_rate=0.5, warmup_epochs=0, epochs=4)
    np.testing.assert_allclose(cold, [0.25 * (1 + np.cos(np.pi * s / 40)) for s in range(41)], atol=1e-6)
    steps = rates(50, schedule="steps", learning_rate=0.5, warmup_epochs=0, epochs=5)
    np.testing.assert_allclose(steps, np.repeat([0.5, 0.05, 0.005, 0.0005, 0.00005], 10), rtol=1e-6)


def test_measures_as_often_as_asked_and_at_the_end(small: SplitDataset) -> None:
    often, rarely = (
        training.train(experiment(epochs=5), small, showcase=SHOWCASE[:1], measure_every=n) for n in (1, 2)
    )
    assert [row["epoch"] for row in rarely.history] == [2, 4, 5]
    assert rarely.history == [often.history[1], often.history[3], often.history[4]]
    assert len(rarely.epoch_seconds) == 5


def test_weight_decay_is_decoupled_in_adamw_and_a_penalty_in_adam() -> None:
    decoupled, penalised = (experiment(optimizer=name, weight_decay=0.25) for name in ("adamw", "adam"))
    assert training._optimizer(decoupled.recipe, 10).weight_decay == 0.25
    assert not training._build(decoupled).losses
    assert not training._optimizer(penalised.recipe, 10).weight_decay
    penalised = training._build(penalised)
    kernels = [weight for weight in penalised.trainable_variables if "kernel" in weight.name]
    assert len(kernels) == 6  # five convolutions, the first of which has one more for the coordinates
    expected = 0.25 * sum(float((np.asarray(kernel) ** 2).sum()) for kernel in kernels)
    assert float(sum(map(float, penalised.losses))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("coordconv_classifier", {"optimizer": "adam"}),
        ("coordconv_classifier", {"optimizer": "adamw"}),
        ("pooled_regressor", {"optimizer": "adam"}),
        ("pooled_regressor", {"optimizer": "adamw"}),
        # its first weight has one input channel, and no penalty that tells TensorFlow the shape
        ("coordconv_regressor", {"coordinate_layers": "none", "weight_decay": 0.0}),
    ],
)
def test_a_step_in_parts_is_the_step_of_the_whole_batch(
    model: str, settings: dict[str, Any], small: SplitDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = experiment(model, **{"weight_decay": 0.01, "scale_coordinates": True, **settings})
    task = asked.task
    stepped = []
    for at_once in (None, 4):
        monkeypatch.setattr(training, "_examples_at_once", lambda network, at_once=at_once: at_once)
        keras.utils.set_random_seed(0)
        network = training._build(asked)
        before = network.get_weights()
        examples = task.inputs(small.train), task.targets(small.train)
        step = training._steps(network, keras.optimizers.SGD(1.0), asked.loss(), *examples, 32)
        changes = []
        for size in (32, 13):
            network.set_weights(before)
            step(np.arange(size))
            changes += [new - old for new, old in zip(network.get_weights(), before, strict=True)]
        stepped.append(changes)
    for whole, parts in zip(*stepped, strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-6 + 2e-5 * np.abs(whole).max())
    assert all(np.abs(whole).max() > 1e-4 for whole in stepped[0] if whole.size > 1)


@pytest.mark.parametrize("model", ["coordconv_painter", "strided_regressor"])
def test_steps_in_one_call_are_those_of_many(model: str, small: SplitDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    for together in (1, training.TOGETHER):
        monkeypatch.setattr(training, "TOGETHER", together)
        trained.append(training.train(experiment(model, epochs=1, warmup_epochs=0), small).network.get_weights())
    for one, many in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, many)


def test_a_batch_that_is_normalised_stays_whole_and_others_fit_the_cache() -> None:
    at_once = {model: training._examples_at_once(MODELS[model].build(recipe)) for model, recipe in RECIPES.items()}
    assert at_once["strided_regressor"] is None
    assert at_once["coordconv_classifier"] == 2  # of 64 channels on 64 x 64 pixels, 2^18 numbers
    assert at_once["coordconv_regressor"] == 16


def test_a_batch_that_a_network_in_a_network_normalises_stays_whole() -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    inputs = keras.Input((4,))
    assert training._examples_at_once(keras.Model(inputs, inner(inputs))) is None


def test_the_network_answers_as_keras_says(small: SplitDataset) -> None:
    trained = training.train(experiment("deconv_classifier"), small, showcase=SHOWCASE)
    inputs = experiment("deconv_classifier").task.inputs(Canvas.of(small).dataset)
    np.testing.assert_allclose(trained.outputs, trained.network.predict(inputs, verbose=0), rtol=1e-4, atol=1e-4)


def train_pinned(cores: list[int]) -> list[str]:
    """Return a digest of two trained networks and their answers."""
    os.sched_setaffinity(0, cores)
    training.import_tensorflow()
    digests = []
    for model in ("coordconv_classifier", "strided_regressor"):
        trained = training.train(experiment(model, epochs=1, batch_size=32), few_tested(generate()), showcase=SHOWCASE)
        bits = b"".join(each.tobytes() for each in (*trained.network.get_weights(), trained.outputs))
        digests.append(hashlib.sha256(bits).hexdigest())
    return digests


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="takes two cores")
def test_the_number_of_cores_changes_no_bit() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    with ProcessPoolExecutor(2, preloaded.CONTEXT, max_tasks_per_child=1) as pool:
        one, two = pool.map(train_pinned, (cores[:1], cores))
    assert len(set(one)) == 2  # of the two models
    assert one == two


@pytest.mark.parametrize("model", ["coordconv_regressor", "coordconv_classifier", "coordconv_painter"])
def test_training_lowers_the_loss(model: str, small: SplitDataset) -> None:
    trained = training.train(experiment(model, epochs=4, scale_coordinates=True), small, measure_every=4)
    untrained = keras.models.clone_model(trained.network)
    task = experiment(model).task
    before = score(
        experiment(model), Canvas.of(small), untrained.predict(task.inputs(Canvas.of(small).dataset), verbose=0)
    )
    assert trained.history[-1]["train_loss"] < 0.8 * before["train_loss"]


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_a_network_is_scored_by_the_loss_that_it_is_trained_on(loss: str, small: SplitDataset) -> None:
    asked = experiment("deconv_painter", loss=loss, optimizer="adamw")  # adam would add its penalty to Keras's figure
    trained = training.train(asked, small, showcase=SHOWCASE)
    for part in ("train", "test"):
        examples = getattr(small, part)
        trained.network.compile(loss=asked.loss())
        kept = trained.network.evaluate(asked.task.inputs(examples), asked.task.targets(examples), verbose=0)
        assert trained.history[-1][f"{part}_loss"] == pytest.approx(kept, rel=1e-5)
    measured = summarise(asked, Canvas.of(small), trained.outputs, trained.history, trained.network)
    assert measured["test_loss"] == trained.history[-1]["test_loss"]
