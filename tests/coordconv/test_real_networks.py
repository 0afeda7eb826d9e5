"""Networks of keras.applications, converted: the same outputs but for rounding; one of them saved and loaded too."""

import keras
import numpy as np
import pytest

from coordconv import CoordConv2D, convert_model

applications = keras.applications


@pytest.mark.parametrize(
    "make, convolutions",
    [(applications.ResNet50, 53), (applications.MobileNetV2, 35), (applications.EfficientNetV2B0, 75)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_converted_computes_the_same(make, convolutions, tmp_path):
    keras.utils.set_random_seed(0)
    model = make(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg")
    converted = convert_model(model)
    assert sum(type(layer) is CoordConv2D for layer in converted.layers) == convolutions
    images = np.random.default_rng(0).uniform(0, 255, size=(2, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(images))
    assert np.ptp(expected) > 0
    rounding = 1e-5 * np.ptp(expected)  # a 1x1 convolution is a matrix product here
    np.testing.assert_allclose(keras.ops.convert_to_numpy(converted(images)), expected, rtol=0, atol=rounding)
    # The convolutions of the others have no arguments that this network's lack but a size and a padding: they are
    # written and read alike. Its have activations, biases or none, and initializers that are not the default.
    if make is applications.EfficientNetV2B0:
        converted.save(tmp_path / "converted.keras")
        loaded = keras.models.load_model(tmp_path / "converted.keras")
        np.testing.assert_allclose(keras.ops.convert_to_numpy(loaded(images)), expected, rtol=0, atol=rounding)
