from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from notsoclevr import models
from notsoclevr.config import load
from notsoclevr.models import MODELS
from notsoclevr.models.parts import padded as padded_image
from notsoclevr.tasks import TASKS

from ..conftest import ROOT

RECIPES = load(ROOT / "params.yaml").models


def build(name: str, **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    network: keras.Model = MODELS[name].build(replace(RECIPES[name], **settings))
    return network


def trainable(network: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)


@pytest.mark.parametrize(
    ("name", "settings", "parameters"),
    [
        ("coordconv_classifier", {}, 7_553),
        ("coordconv_painter", {}, 7_553),
        ("coordconv_regressor", {}, 906),
        ("pooled_regressor", {"width": 1}, 72_850),
        ("strided_regressor", {"width": 1}, 12_914),
        ("deconv_classifier", {"width": 1, "kernel_size": 2, "batch_norm": True}, 46_465),
        ("deconv_classifier", {"width": 3, "kernel_size": 4, "batch_norm": True}, 1_632_001),
        ("deconv_painter", {"width": 1, "kernel_size": 2, "batch_norm": True}, 46_465),
        ("two_stage_painter", {"width": 1, "kernel_size": 1}, 8_074),
        ("two_stage_painter", {"width": 2, "kernel_size": 2}, 15_010),
        ("tutorial_pooled_regressor", {}, 10 * 16 + 3 * 145 * 16 + (53 * 53 * 16 + 1) * 64 + 65 * 2),
        ("tutorial_strided_regressor", {}, 26 * 16 + 2 * 17 * 16 + 4 * 145 * 16 + 65 * 2 + 2 * 32),
    ],
)
def test_parameters_are_as_published(name: str, settings: dict[str, Any], parameters: int) -> None:
    assert trainable(build(name, **settings)) == parameters


@pytest.mark.parametrize(
    ("name", "settings", "parameters"),
    [
        ("coordconv_classifier", {"coordinate_layers": "none"}, 7_553 - 2 * 32),
        ("coordconv_classifier", {"coordinate_layers": "every"}, 7_553 + 2 * (32 + 64 + 64 + 1)),
        ("coordconv_painter", {"radius": True}, 7_553 + 32),
        ("coordconv_regressor", {"coordinate_layers": "every"}, 906 + 2 * (8 + 8) + 2 * 9 * (8 + 2)),
        (
            "coordconv_regressor",
            {"coordinate_layers": "every", "separate_coordinates": True},
            906 + 2 * (8 + 8) + 2 * (8 + 2),
        ),
        ("strided_regressor", {"width": 1, "coordinate_layers": "first"}, 12_914 + 2 * 25 * 16),
        ("pooled_regressor", {"width": 1, "padding": "circular"}, 72_850),
        ("pooled_regressor", {"width": 1, "padding": "valid"}, 72_850 - 64 * 16 * (64 - 16)),
    ],
)
def test_parameters_of_the_ablations(name: str, settings: dict[str, Any], parameters: int) -> None:
    assert trainable(build(name, **settings)) == parameters


@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("circular", "wrap")])
@pytest.mark.parametrize(("kernel_size", "strides", "before", "after"), [(3, 1, 1, 1), (3, 2, 0, 1), (5, 2, 1, 2)])
def test_padding_is_as_much_as_zeros_would_be(
    padding: str, mode: Any, kernel_size: int, strides: int, before: int, after: int
) -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    padded, left = padded_image(keras.ops.convert_to_tensor(x), kernel_size, strides, padding)
    amounts = [(0, 0), (before, after), (before, after), (0, 0)]
    np.testing.assert_array_equal(np.asarray(padded), np.pad(x, amounts, mode=mode))
    assert left == "valid"
    convolution = keras.layers.Conv2D(1, kernel_size, strides=strides, padding="valid")
    assert convolution(padded).shape[1:3] == (6 // strides, 8 // strides)


def test_a_circular_network_cannot_tell_a_shift_round_the_canvas() -> None:
    image = np.zeros((2, 64, 64, 1), np.float32)
    image[0, 5, 6] = image[1, 5 + 32, 6 + 32] = 1  # 32: the product of the strides
    first, second = np.asarray(build("strided_regressor", padding="circular")(image))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    first, second = np.asarray(build("strided_regressor", padding="same")(image))
    assert not np.allclose(first, second, rtol=1e-3)


def test_an_average_is_not_a_maximum() -> None:
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[0, 5, 6] = 1
    for pooling, function in (("max", np.max), ("average", np.mean)):
        network = build("coordconv_regressor", pooling=pooling)
        before = np.asarray(keras.Model(network.input, network.get_layer("pool").input)(image))
        np.testing.assert_allclose(np.asarray(network(image)), function(before, axis=(1, 2)), rtol=1e-4)


def test_a_deconv_without_normalisation_has_no_normalisation() -> None:
    network = build("deconv_painter", width=1, kernel_size=2, batch_norm=False)
    assert trainable(network) == network.count_params() == 46_465 - 2 * 256


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scaled", [True, False])
def test_shapes_and_finite_outputs(name: str, scaled: bool, full: Any) -> None:
    network = build(name, scale_coordinates=scaled)
    task = TASKS[MODELS[name].task]
    examples = full[np.array([0, 1000, 3135])]
    outputs = np.asarray(network(task.inputs(examples)))
    assert task.predictions(outputs).shape == (3, *task.answer_shape)
    assert np.isfinite(outputs).all()
    for loss in task.losses.values():
        assert np.isfinite(float(loss()(task.targets(examples), outputs)))


def test_scaled_coordinates_span_minus_one_to_one() -> None:
    network = build("coordconv_painter", scale_coordinates=True)
    unit = keras.Model(network.input, network.get_layer("to_unit").output)
    ends = np.array([[0, 63], [31.5, 31.5]], np.float32)
    np.testing.assert_allclose(unit(ends), [[-1, 1], [0, 0]], atol=1e-6)


def test_regressors_answer_in_pixels() -> None:
    """A network that computes nothing but 0 must answer the middle of the canvas, scaled, and 0, unscaled."""
    image = np.zeros((1, 64, 64, 1), np.float32)
    for scaled, answer in ((True, 31.5), (False, 0.0)):
        network = build("pooled_regressor", scale_coordinates=scaled)
        network.get_layer("point").kernel.assign(np.zeros((64, 2)))
        np.testing.assert_allclose(network(image), [[answer, answer]])


def test_a_regressor_that_ends_in_a_relu_can_answer_every_pixel() -> None:
    """Scaled to -1 to 1, its output of at least 0 would be no less than the middle of the canvas."""
    network = build("strided_regressor", scale_coordinates=True)
    ends = keras.Model(network.get_layer("pool").output, network.output)(np.array([[0.0, 1.0]], np.float32))
    np.testing.assert_allclose(ends, [[0, 63]])


def test_the_pixel_has_the_value_of_the_recipe() -> None:
    network = build("coordconv_regressor", pixel_value=7.0)
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[0, 5, 6] = 1
    seen = keras.Model(network.input, network.get_layer("brighten").output)(image)
    assert float(seen[0, 5, 6, 0]) == float(np.asarray(seen).sum()) == 7


def test_the_painter_decides_pixel_by_pixel() -> None:
    """With 1x1 kernels and one input everywhere, a pixel's logit is a function of four numbers: (r, c) and (i, j)."""
    network = build("coordconv_painter")
    weights = {layer.name: layer for layer in network.layers if layer.weights}
    (centre, pixel) = np.array([20.0, 50.0]), (9, 33)
    x = np.concatenate([centre / 31.5 - 1, np.array(pixel) / 31.5 - 1])
    first = weights["coordconv_1"]
    kernel = np.concatenate([np.asarray(first.kernel)[0, 0], np.asarray(first.coord_kernel)[0, 0]])
    x = np.maximum(x @ kernel + np.asarray(first.bias), 0)
    for name in ("conv_2", "conv_3", "conv_4"):
        x = np.maximum(x @ np.asarray(weights[name].kernel) + np.asarray(weights[name].bias), 0)
    expected = x @ np.asarray(weights["logits"].kernel) + np.asarray(weights["logits"].bias)
    got = network(centre[None].astype(np.float32))[0, pixel[0], pixel[1]]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_models_survive_saving(name: str, tmp_path: Path, full: Any) -> None:
    network = build(name)
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = TASKS[MODELS[name].task].inputs(full[np.array([3, 2000])])
    np.testing.assert_array_equal(network(inputs), loaded(inputs))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("from notsoclevr.models.deconv_painter import ENTRY", "models/other.py: ENTRY is named 'deconv_painter'"),
        (
            "from dataclasses import replace\nfrom notsoclevr.models.deconv_painter import ENTRY\n"
            "ENTRY = replace(ENTRY, name='other', task='rendring')",
            "models/other.py: task 'rendring' is none of classification, ",
        ),
    ],
)
def test_a_wrong_entry_is_refused_with_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str
) -> None:
    (tmp_path / "other.py").write_text(source, "utf-8")
    monkeypatch.setattr(models, "__path__", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "notsoclevr.models.other", None)  # so that it is taken away again
    del sys.modules["notsoclevr.models.other"]
    with pytest.raises(ValueError, match=re.escape(says)):
        list(models._entries())
