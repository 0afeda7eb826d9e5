"""Compute what the layers give on this backend: `python tests/coordconv/outputs.py outputs.npz`.

For every case the outputs, with coordinates of one's own too, and, after one step of gradient descent, the
weights; and those of a model that was converted. All from the same NumPy numbers, so that only the backend
(KERAS_BACKEND) can make a difference.
test_backends.py and test_distribution.py compare the files.
"""

import sys

import keras
import numpy as np

from coordconv import AddCoords, CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D, convert_model

CASES = [
    (CoordConv1D, (9,), {"padding": "causal", "dilation_rate": 2}),
    (CoordConv1D, (9,), {"padding": "valid", "radius": True}),
    (CoordConv2D, (9, 6), {"padding": "same", "strides": (2, 3)}),
    (CoordConv2D, (9, 6), {"padding": "valid", "radius": True, "order": "xy"}),
    (CoordConv2D, (9, 6), {"padding": "same", "dilation_rate": 2, "groups": 2, "coord_kernel_size": 1}),
    (CoordConv3D, (5, 6, 4), {"padding": "same", "radius": True}),
    (CoordConv2DTranspose, (5, 4), {"padding": "same", "strides": 2}),
    (CoordConv2DTranspose, (5, 4), {"padding": "valid", "strides": (2, 3), "coord_kernel_size": 3}),
]


def outputs_and_weights(layer_class, spatial_shape, arguments, data_format):
    """Return the outputs of one layer after AddCoords, those with given coordinates, the weights after a step."""
    normal = np.random.default_rng(0).normal
    shape = (2, *spatial_shape, 4) if data_format == "channels_last" else (2, 4, *spatial_shape)
    inputs = normal(size=shape).astype("float32")
    model = keras.Sequential(
        [
            keras.Input(shape[1:]),
            AddCoords(data_format=data_format),
            layer_class(4, 3, data_format=data_format, **arguments),
        ]
    )
    model.set_weights([normal(size=w.shape) / 4 for w in model.weights])
    outputs = keras.ops.convert_to_numpy(model(inputs))
    add_coords, layer = model.layers
    rank = len(spatial_shape)
    grid = normal(size=(1, *spatial_shape, rank + layer.radius)).astype("float32")
    grid = grid if data_format == "channels_last" else np.moveaxis(grid, -1, 1)
    given = keras.ops.convert_to_numpy(layer(add_coords(inputs), coordinates=grid))
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    model.train_on_batch(inputs, normal(size=outputs.shape).astype("float32"))
    return [outputs, given, *model.get_weights()]


def converted_outputs_and_weights():
    """Return what a model with a convolution two models deep gives, what it gives converted, and its weights then."""
    normal = np.random.default_rng(0).normal
    inner = keras.Sequential([keras.Input((9, 6, 2)), keras.layers.Conv2D(3, 3)])
    model = keras.Sequential([keras.Input((9, 6, 2)), keras.Sequential([keras.Input((9, 6, 2)), inner])])
    model.compile("sgd", lambda targets, outputs: targets - outputs)
    model.set_weights([normal(size=w.shape) / 4 for w in model.weights])
    inputs = normal(size=(2, 9, 6, 2)).astype("float32")
    converted = convert_model(model)
    outputs = [keras.ops.convert_to_numpy(each(inputs)) for each in (model, converted)]
    return [*outputs, *converted.get_weights()]


def main():
    """Write the arrays of all cases, in both data formats."""
    arrays = {}
    for data_format in ("channels_last", "channels_first"):
        for number, (layer_class, spatial_shape, arguments) in enumerate(CASES):
            results = outputs_and_weights(layer_class, spatial_shape, arguments, data_format)
            for place, array in enumerate(results):
                arrays[f"{data_format} {number} {layer_class.__name__} {place}"] = array
    arrays |= {f"converted {place}": array for place, array in enumerate(converted_outputs_and_weights())}
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
