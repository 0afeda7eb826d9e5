"""The layers that the tests try, and arrays to try them on."""

import keras
import numpy as np
import pytest
from keras import ops

from coordconv import CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D

LAYERS = {
    CoordConv1D: keras.layers.Conv1D,
    CoordConv2D: keras.layers.Conv2D,
    CoordConv3D: keras.layers.Conv3D,
    CoordConv2DTranspose: keras.layers.Conv2DTranspose,
}
SHAPES = {CoordConv1D: (9,), CoordConv2D: (9, 6), CoordConv3D: (5, 6, 4), CoordConv2DTranspose: (5, 4)}

every_layer = pytest.mark.parametrize("layer_class", LAYERS, ids=lambda layer: layer.__name__)
every_format = pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])


def numpy(tensor):
    """Return a tensor of any backend as an array."""
    return ops.convert_to_numpy(tensor)


def normal(*shape, seed=0):
    """Return an array of normally distributed numbers, the same each time."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def as_format(array, data_format):
    """Return a channels_last array in `data_format`."""
    return np.moveaxis(array, -1, 1) if data_format == "channels_first" else array


def with_random_weights(layer, inputs, seed=1):
    """Return a layer that is built for inputs, all its weights random, biases too."""
    layer.build(inputs.shape)
    layer.set_weights([normal(*w.shape, seed=seed + i) for i, w in enumerate(layer.weights)])
    return layer


def concatenated_kernel(layer):
    """Return the kernel that a convolution over inputs and coordinates would have."""
    axis = -1 if isinstance(layer, CoordConv2DTranspose) else -2
    return np.concatenate([numpy(layer.kernel), numpy(layer.coord_kernel)], axis)
