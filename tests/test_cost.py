from __future__ import annotations

import keras
import pytest

from notsoclevr.config import load
from notsoclevr.cost import forward_operations, training_operations
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS

from .conftest import ROOT

RECIPES = load(ROOT / "params.yaml").models


def network(model: str) -> keras.Model:
    return MODELS[model].build(RECIPES[model])


def test_every_pixel_of_the_classifier_is_five_small_products() -> None:
    # (row, column and the pixel's own two coordinates) -> 32 -> 32 -> 64 -> 64 -> 1
    products = 4 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64
    assert forward_operations(network("coordconv_classifier")) == 2 * products * 64 * 64


def test_a_transposed_convolution_works_at_the_size_of_its_input() -> None:
    inputs = keras.Input((8, 10, 3))
    made = keras.Model(inputs, keras.layers.Conv2DTranspose(5, 4, strides=2, padding="same")(inputs))
    assert forward_operations(made) == 2 * (8 * 10) * 4 * 4 * 3 * 5


def test_a_convolution_works_at_the_size_of_its_output_and_a_dense_layer_once() -> None:
    inputs = keras.Input((8, 10, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="valid")(inputs)  # 3 x 4
    made = keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(x)))
    assert forward_operations(made) == 2 * (3 * 4 * 9 * 3 * 4 + 3 * 4 * 4 * 7)
    assert training_operations(made, 10) == 30 * forward_operations(made)


@pytest.mark.parametrize("model", MODELS)
def test_no_kernel_is_forgotten(model: str) -> None:
    made = network(model)
    kernels = sum(weight.value.shape.num_elements() for weight in made.trainable_weights if "kernel" in weight.name)
    assert forward_operations(made) >= 2 * kernels


def test_networks_in_a_network_count() -> None:
    inputs = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5), keras.layers.Dense(2)])
    assert forward_operations(keras.Model(inputs, inner(inputs))) == 2 * (3 * 5 + 5 * 2)


def test_weights_whose_cost_is_not_known_are_refused() -> None:
    inputs = keras.Input((3,))
    made = keras.Model(inputs, keras.layers.Embedding(10, 4, name="table")(inputs), name="own")
    with pytest.raises(StudyError, match="own: the operations of layer table are not counted: its weight embeddings"):
        forward_operations(made)
