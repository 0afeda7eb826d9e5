import keras
import numpy as np
import pytest

from coordconv import AddCoords, CoordConv2D


@pytest.mark.parametrize(
    "arguments",
    [{}, {"strides": (2, 3)}, {"padding": "same", "dilation_rate": 2}, {"radius": True, "order": "xy"}],
)
def test_equals_convolution_over_concatenated_channels(arguments):
    draw = keras.initializers.GlorotUniform(seed=3)
    inputs = np.random.default_rng(0).normal(size=(3, 14, 6, 2)).astype("float32")
    layer = CoordConv2D(5, 3, kernel_initializer=draw, **arguments)
    add_coords = AddCoords(arguments.pop("radius", False), arguments.pop("order", "ij"))
    plain = keras.layers.Conv2D(5, 3, kernel_initializer=draw, **arguments)
    np.testing.assert_allclose(layer(inputs), plain(add_coords(inputs)), atol=1e-5)
    assert layer.count_params() == plain.count_params()


def test_keras_file_round_trip(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(3, 14, 6, 2)).astype("float32")
    model = keras.Sequential([keras.Input((14, 6, 2)), AddCoords(radius=True), CoordConv2D(5, 3, order="xy")])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
