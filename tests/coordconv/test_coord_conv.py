import inspect
import itertools
import json
from functools import cache

import keras
import numpy as np
import pytest
import reference
from cases import (
    LAYERS,
    SHAPES,
    as_format,
    concatenated_kernel,
    every_format,
    every_layer,
    normal,
    numpy,
    with_random_weights,
)
from keras import ops

from coordconv import AddCoords, CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D, load_concatenated_kernel

KERNELS = {CoordConv1D: (3,), CoordConv2D: (3, 2), CoordConv3D: (2, 3, 2), CoordConv2DTranspose: (3, 4)}

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")


def step(model, inputs, targets):
    """The change that one step of gradient descent makes to each weight: its gradient, on any backend."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    model.train_on_batch(inputs, targets)
    return [old - new for old, new in zip(before, model.get_weights(), strict=True)]


# Values


@cache
def plain_convolution(layer_class, **arguments):
    """A convolution over inputs and coordinates: weights, outputs, targets, and the change that a step makes.

    channels_last: with oneDNN, TensorFlow 2.21 has a wrong gradient for the bias of a channels_first Conv2D.
    """
    groups = arguments.get("groups", 1)
    strides = (arguments.get("strides", 1),) * len(SHAPES[layer_class])
    channels = reference.concatenate(normal(2, *SHAPES[layer_class], 4), radius=True, groups=groups).astype("float32")
    plain = with_random_weights(LAYERS[layer_class](6, 1, **arguments), channels)
    kernel, bias = plain.get_weights()
    outputs = reference.convolve(channels, kernel, bias, strides=strides, groups=groups)
    targets = normal(*outputs.shape, seed=5)
    changes = step(keras.Sequential([keras.Input(channels.shape[1:]), plain]), channels, targets)
    return kernel, bias, outputs, targets, changes


@pytest.mark.parametrize("layer_class", [CoordConv1D, CoordConv2D, CoordConv3D])
@every_format
@pytest.mark.parametrize("arguments", [{}, {"strides": 2}, {"groups": 2}, {"padding": "same", "dilation_rate": 2}])
def test_a_kernel_of_one_pixel(layer_class, data_format, arguments):
    """Some of these are products of matrices inside; values and gradients are those of a convolution."""
    kernel, bias, outputs, targets, changes = plain_convolution(layer_class, **arguments)
    inputs = as_format(normal(2, *SHAPES[layer_class], 4), data_format)
    layer = layer_class(6, 1, radius=True, data_format=data_format, **arguments)
    layer.build(inputs.shape)
    load_concatenated_kernel(layer, kernel, bias)
    np.testing.assert_allclose(numpy(layer(inputs)), as_format(outputs, data_format), rtol=1e-5, atol=1e-5)

    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    names = [weight.name for weight in layer.weights]
    ours = dict(zip(names, step(model, inputs, as_format(targets, data_format)), strict=True))
    joined = np.concatenate([ours["kernel"], ours["coord_kernel"]], -2)
    np.testing.assert_allclose(joined, changes[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours["bias"], changes[1], rtol=1e-4, atol=1e-5)


@every_layer
@every_format
@pytest.mark.parametrize("radius, order", [(False, "ij"), (False, "xy"), (True, "ij"), (True, "xy")])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_values(layer_class, data_format, radius, order, padding):
    inputs = normal(2, *SHAPES[layer_class], 3)
    arguments = {"radius": radius, "order": order, "padding": padding, "data_format": data_format}
    layer = layer_class(4, KERNELS[layer_class], **arguments)
    outputs = numpy(with_random_weights(layer, as_format(inputs, data_format))(as_format(inputs, data_format)))
    transposed = layer_class is CoordConv2DTranspose
    convolve = reference.convolve_transposed if transposed else reference.convolve
    expected = convolve(
        reference.concatenate(inputs, radius, order),
        concatenated_kernel(layer),
        numpy(layer.bias),
        padding=padding,
    )
    np.testing.assert_allclose(outputs, as_format(expected, data_format), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer_class, arguments",
    [
        (CoordConv1D, {"padding": "causal"}),
        (CoordConv1D, {"padding": "causal", "dilation_rate": (2,)}),
        (CoordConv1D, {"padding": "causal", "strides": (2,)}),
        (CoordConv2D, {"padding": "same", "strides": (2, 3)}),
        (CoordConv2D, {"padding": "valid", "strides": (2, 3)}),
        (CoordConv2D, {"padding": "same", "dilation_rate": (3, 2)}),
        (CoordConv3D, {"padding": "same", "strides": (2, 1, 3)}),
        (CoordConv2DTranspose, {"padding": "same", "strides": (2, 3)}),
        (CoordConv2DTranspose, {"padding": "valid", "strides": (2, 3)}),
    ],
)
def test_values_with_strides_and_dilation(layer_class, arguments):
    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = with_random_weights(layer_class(4, KERNELS[layer_class], radius=True, **arguments), inputs)
    transposed = layer_class is CoordConv2DTranspose
    convolve = reference.convolve_transposed if transposed else reference.convolve
    channels = reference.concatenate(inputs, radius=True)
    expected = convolve(channels, concatenated_kernel(layer), numpy(layer.bias), **arguments)
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-4, atol=1e-4)


@every_format
def test_output_padding_is_that_of_keras(data_format):
    inputs = as_format(normal(2, 5, 4, 3), data_format)
    arguments = {"strides": 3, "padding": "same", "output_padding": 1, "data_format": data_format}
    plain = keras.layers.Conv2DTranspose(4, 3, **arguments)
    expected = numpy(plain(inputs))
    np.testing.assert_allclose(numpy(CoordConv2DTranspose.from_conv(plain)(inputs)), expected, rtol=1e-5, atol=1e-6)


@every_format
def test_groups_all_see_the_coordinates(data_format):
    inputs = normal(2, 7, 5, 6)
    layer = CoordConv2D(9, (3, 2), groups=3, padding="same", data_format=data_format)
    outputs = numpy(with_random_weights(layer, as_format(inputs, data_format))(as_format(inputs, data_format)))
    assert (layer.kernel.shape, layer.coord_kernel.shape) == ((3, 2, 2, 9), (3, 2, 2, 9))
    channels = reference.concatenate(inputs, groups=3)
    expected = reference.convolve(channels, concatenated_kernel(layer), numpy(layer.bias), padding="same", groups=3)
    np.testing.assert_allclose(outputs, as_format(expected, data_format), rtol=1e-4, atol=1e-4)


@every_layer
@pytest.mark.parametrize("spatial_length", [1, 2])
def test_small_inputs(layer_class, spatial_length):
    inputs = normal(2, *[spatial_length] * len(SHAPES[layer_class]), 3)
    layer = with_random_weights(layer_class(4, 3, padding="same", radius=True), inputs)
    transposed = layer_class is CoordConv2DTranspose
    convolve = reference.convolve_transposed if transposed else reference.convolve
    channels = reference.concatenate(inputs, radius=True)
    expected = convolve(channels, concatenated_kernel(layer), numpy(layer.bias), padding="same")
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-4, atol=1e-4)


@every_layer
@every_format
def test_without_bias_and_with_activation(layer_class, data_format):
    inputs = as_format(normal(2, *SHAPES[layer_class], 3), data_format)
    arguments = {"use_bias": False, "data_format": data_format}
    layer = with_random_weights(layer_class(4, 2, activation="relu", **arguments), inputs)
    linear = with_random_weights(layer_class(4, 2, **arguments), inputs)
    assert [weight.name for weight in layer.weights] == ["kernel", "coord_kernel"]
    np.testing.assert_allclose(numpy(layer(inputs)), np.maximum(numpy(linear(inputs)), 0), atol=1e-6)


# As a convolution over concatenated channels, and as a plain one


@every_layer
def test_is_drawn_like_a_convolution_over_concatenated_channels(layer_class):
    inputs = normal(2, *SHAPES[layer_class], 3)
    draw = keras.initializers.HeNormal(seed=4)
    layer = layer_class(5, KERNELS[layer_class], radius=True, kernel_initializer=draw)
    plain = LAYERS[layer_class](5, KERNELS[layer_class], kernel_initializer=draw)
    outputs, expected = layer(inputs), plain(AddCoords(radius=True)(inputs))
    np.testing.assert_array_equal(concatenated_kernel(layer), numpy(plain.kernel))
    np.testing.assert_allclose(numpy(outputs), numpy(expected), atol=1e-5)
    assert layer.count_params() == plain.count_params()


def test_variance_is_that_of_a_convolution_over_c_plus_d_channels():
    layer = CoordConv2D(512, 3, radius=True, kernel_initializer="he_normal")
    layer.build((None, 8, 8, 13))
    expected = np.sqrt(2 / ((13 + 3) * 9))
    assert np.std(numpy(layer.kernel)) == pytest.approx(expected, rel=0.02)
    assert np.std(numpy(layer.coord_kernel)) == pytest.approx(expected, rel=0.02)
    assert layer.get_config()["kernel_initializer"]["class_name"] == "HeNormal"


@every_layer
def test_gradients_are_those_of_concatenation(layer_class):
    inputs = normal(2, *SHAPES[layer_class], 3)
    draw = keras.initializers.GlorotUniform(seed=4)
    arguments = {"kernel_initializer": draw, "padding": "same", "strides": 2, "activation": "tanh"}
    # A first layer, so that the gradient of the inputs counts too.
    before = {"units": 3, "kernel_initializer": keras.initializers.GlorotUniform(seed=5)}
    summed = keras.Sequential([keras.layers.Dense(**before), layer_class(4, 3, **arguments)])
    concatenation = keras.Sequential(
        [keras.layers.Dense(**before), AddCoords(), LAYERS[layer_class](4, 3, **arguments)]
    )
    targets = normal(*summed(inputs).shape)
    concatenation(inputs)
    *dense, kernel, bias, coord_kernel = step(summed, inputs, targets)
    kernel = np.concatenate([kernel, coord_kernel], -1 if layer_class is CoordConv2DTranspose else -2)
    expected = step(concatenation, inputs, targets)
    for change, expected_change in zip([*dense, kernel, bias], expected, strict=True):
        assert np.abs(expected_change).max() > 1e-4
        np.testing.assert_allclose(change, expected_change, atol=1e-6)


@every_layer
def test_training_step_is_the_same_in_both_data_formats(layer_class):
    inputs = normal(2, *SHAPES[layer_class], 4)
    arguments = {"padding": "same", "strides": 2, "kernel_initializer": keras.initializers.GlorotUniform(1)}
    last = keras.Sequential([layer_class(4, 3, data_format="channels_last", **arguments)])
    first = keras.Sequential([layer_class(4, 3, data_format="channels_first", **arguments)])
    targets = normal(*last(inputs).shape)
    first(as_format(inputs, "channels_first"))
    expected = step(last, inputs, targets)
    changes = step(first, as_format(inputs, "channels_first"), as_format(targets, "channels_first"))
    for change, expected_change in zip(changes, expected, strict=True):
        np.testing.assert_allclose(change, expected_change, atol=1e-6)


@every_layer
@pytest.mark.parametrize("coord_kernel_size", [None, 1])
def test_is_drawn_by_any_function_that_keras_takes(layer_class, coord_kernel_size):
    def ones(shape, dtype=None):
        return np.ones(shape)  # float64, whatever is asked for

    layer = layer_class(4, 3, kernel_initializer=ones, coord_kernel_size=coord_kernel_size)
    layer.build((None, *SHAPES[layer_class], 3))
    for weight in (layer.kernel, layer.coord_kernel):
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
        np.testing.assert_array_equal(numpy(weight), np.ones(weight.shape))


@every_layer
@pytest.mark.parametrize("coord_kernel_size", [None, 2])
def test_coordinate_weights_may_be_drawn_by_themselves(layer_class, coord_kernel_size):
    draw = keras.initializers.GlorotUniform(seed=1)
    arguments = {"kernel_initializer": draw, "coord_kernel_size": coord_kernel_size}
    layer = layer_class(4, 3, coord_kernel_initializer="ones", **arguments)
    plain = LAYERS[layer_class](4, 3, kernel_initializer=draw)
    for each in (layer, plain):
        each.build((None, *SHAPES[layer_class], 3))
    np.testing.assert_array_equal(numpy(layer.kernel), numpy(plain.kernel))
    np.testing.assert_array_equal(numpy(layer.coord_kernel), np.ones(layer.coord_kernel.shape))


def test_an_initializer_of_one_shape_is_told_what_to_do():
    kernel = normal(3, 3, 2, 4)
    layer = CoordConv2D(4, 3, kernel_initializer=lambda shape, dtype=None: kernel)
    with pytest.raises(ValueError, match=r"one array of shape \(3, 3, 4, 4\), unless .* of shape \(3, 3, 2, 4\)"):
        layer.build((None, 9, 6, 2))
    layer = CoordConv2D(4, 3, kernel_initializer=keras.initializers.Constant(kernel))
    layer.build((None, 9, 6, 2))
    np.testing.assert_array_equal(numpy(layer.kernel), kernel)
    assert not np.any(numpy(layer.coord_kernel))


@every_layer
def test_zero_coordinate_weights_make_a_plain_convolution(layer_class):
    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = with_random_weights(layer_class(4, KERNELS[layer_class], radius=True), inputs)
    layer.coord_kernel.assign(np.zeros(layer.coord_kernel.shape))
    plain = LAYERS[layer_class](4, KERNELS[layer_class])
    plain.build(inputs.shape)
    plain.set_weights([numpy(layer.kernel), numpy(layer.bias)])
    np.testing.assert_allclose(numpy(layer(inputs)), numpy(plain(inputs)), rtol=1e-6, atol=1e-6)


@every_layer
@pytest.mark.parametrize("radius", [False, True])
def test_number_of_weights(layer_class, radius):
    rank = len(SHAPES[layer_class])
    c, filters, k, d = 5, 4, 3, rank + radius
    shape = (None,) * (rank + 1) + (c,)
    layer = layer_class(filters, k, radius=radius)
    layer.build(shape)
    assert layer.count_params() == (c + d) * filters * k**rank + filters
    layer = layer_class(filters, k, radius=radius, coord_kernel_size=1)
    layer.build(shape)
    assert layer.count_params() == c * filters * k**rank + d * filters + filters


def test_number_of_weights_with_groups():
    layer = CoordConv2D(6, 3, groups=2)
    layer.build((None, 8, 8, 4))
    assert layer.count_params() == (4 // 2 + 2) * 6 * 9 + 6


@every_layer
def test_weights_have_names_that_explain_themselves(layer_class):
    layer = layer_class(4, 3, name="where")
    layer.build((None,) * (len(SHAPES[layer_class]) + 1) + (2,))
    assert [weight.path for weight in layer.weights] == ["where/kernel", "where/bias", "where/coord_kernel"]


# A smaller filter for the coordinates


@every_layer
def test_coord_kernel_is_a_whole_one_with_zeros_around(layer_class):
    inputs = normal(2, *SHAPES[layer_class], 3)
    rank, axis = len(SHAPES[layer_class]), -1 if layer_class is CoordConv2DTranspose else -2
    layer = with_random_weights(layer_class(4, 4, padding="same", coord_kernel_size=2), inputs)
    whole = with_random_weights(layer_class(4, 4, padding="same"), inputs)
    kernel = numpy(layer.coord_kernel)
    assert kernel.shape == (*(2,) * rank, *((4, rank) if axis == -1 else (rank, 4)))
    padded = np.pad(kernel, [(1, 1)] * rank + [(0, 0)] * 2)
    whole.set_weights([numpy(layer.kernel), numpy(layer.bias), padded])
    np.testing.assert_allclose(numpy(layer(inputs)), numpy(whole(inputs)), rtol=1e-5, atol=1e-5)


def coordinates_seen(layer, spatial_shape):
    """What a filter of ones for each coordinate gives: which coordinates the layer sees at each output."""
    inputs = np.zeros((1, *spatial_shape, 1), "float32")
    layer.build(inputs.shape)
    kernel = np.zeros(layer.coord_kernel.shape)
    kernel[...] = np.eye(kernel.shape[-1])
    layer.coord_kernel.assign(kernel)
    return numpy(layer(inputs))[0]


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_with_same_padding_a_pixel_sees_its_own_coordinates(kernel_size):
    for layer_class in (CoordConv2D, CoordConv2DTranspose):
        layer = layer_class(2, kernel_size, padding="same", coord_kernel_size=1)
        np.testing.assert_allclose(coordinates_seen(layer, (6, 9)), reference.coordinates((6, 9)), atol=1e-6)


def test_with_causal_padding_a_step_sees_its_own_coordinate():
    layer = CoordConv1D(1, 3, padding="causal", dilation_rate=2, coord_kernel_size=1)
    np.testing.assert_allclose(coordinates_seen(layer, (8,)), reference.coordinates((8,)), atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_with_strides_a_pixel_sees_the_middle_of_its_window(padding):
    # Kernel 3, stride 2, length 9: "valid" has windows 0-2, 2-4, ..., "same" starts one pixel earlier.
    layer = CoordConv1D(1, 3, strides=2, padding=padding, coord_kernel_size=1)
    middles = reference.coordinates((9,))[slice(1, -1, 2) if padding == "valid" else slice(0, 9, 2)]
    np.testing.assert_allclose(coordinates_seen(layer, (9,)), middles, atol=1e-6)


@pytest.mark.parametrize("kernel_size", [2, 3, 4])
def test_transposed_every_output_sees_the_coordinates_of_the_input_above_it(kernel_size):
    layer = CoordConv2DTranspose(2, kernel_size, strides=2, padding="same", coord_kernel_size=2)
    nearest = reference.coordinates((4, 3)).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(coordinates_seen(layer, (4, 3)), nearest, atol=1e-6)


# Precision, compilation, unknown shapes


@every_layer
@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.15)])
def test_mixed_precision(layer_class, policy, tolerance):
    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = with_random_weights(layer_class(4, 3, dtype=policy, padding="same"), inputs)
    exact = with_random_weights(layer_class(4, 3, padding="same"), inputs)
    outputs = layer(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in layer.weights} == {"float32"}
    expected = numpy(exact(inputs))
    error = np.abs(numpy(ops.cast(outputs, "float32")) - expected).max()
    assert error < tolerance * np.abs(expected).max() / 4


@pytest.mark.parametrize(
    "layer_class, jit_compile",
    # Compiling takes seconds: two layers, which use different operations, are enough.
    [*((layer_class, False) for layer_class in LAYERS), (CoordConv2D, True), (CoordConv2DTranspose, True)],
)
def test_unknown_lengths_and_compilation(layer_class, jit_compile):
    if jit_compile and keras.backend.backend() == "torch" and layer_class is not CoordConv2D:
        pytest.skip("torch.compile takes half a minute a layer: one layer is enough")
    rank = len(SHAPES[layer_class])
    model = keras.Sequential(
        [keras.Input((*[None] * rank, 2)), layer_class(3, 3, strides=2, padding="same", radius=True)]
    )
    assert model.output_shape == (*[None] * (rank + 1), 3)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    assert model.jit_compile == jit_compile
    for spatial_shape in (SHAPES[layer_class], tuple(n + 2 for n in SHAPES[layer_class])):
        inputs = normal(2, *spatial_shape, 2)
        expected = numpy(model.layers[0](inputs))
        np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)
        assert tuple(model.layers[0].compute_output_shape(inputs.shape)) == expected.shape
        assert np.isfinite(model.train_on_batch(inputs, expected + 1))


# Saving


@every_layer
def test_get_config_is_the_inverse_of_init(layer_class):
    arguments = {
        "filters": 4,
        "kernel_size": KERNELS[layer_class],
        "strides": (1,) * len(KERNELS[layer_class]),
        "padding": "same",
        "data_format": "channels_first",
        "dilation_rate": (2,) * len(KERNELS[layer_class]),
        "activation": "relu",
        "use_bias": False,
        "radius": True,
        "order": "xy",
        "coord_kernel_size": (*KERNELS[layer_class][:-1], 1),
        "name": "where",
    }
    objects = {
        "kernel_initializer": keras.initializers.HeNormal(seed=3),
        "coord_kernel_initializer": keras.initializers.Zeros(),
        "bias_initializer": keras.initializers.Ones(),
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "bias_regularizer": keras.regularizers.L1(0.1),
        "activity_regularizer": keras.regularizers.L2(0.2),
        "kernel_constraint": keras.constraints.NonNeg(),
        "bias_constraint": keras.constraints.MaxNorm(3),
    }
    config = layer_class(**arguments, **objects).get_config()
    assert arguments.items() <= config.items()
    assert {name: config[name]["class_name"] for name in objects} == {
        name: type(value).__name__ for name, value in objects.items()
    }
    again = layer_class.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config


@every_layer
def test_keras_file_round_trip(layer_class, tmp_path):
    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = layer_class(4, 3, radius=True, order="xy", coord_kernel_size=1)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), with_random_weights(layer, inputs)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is layer_class
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))


def test_refuses_a_weights_file_without_coordinate_weights(tmp_path):
    plain = keras.Sequential([keras.Input((5, 4, 3)), keras.layers.Conv2D(2, 3, name="conv")])
    plain.save_weights(tmp_path / "plain.weights.h5")
    model = keras.Sequential([keras.Input((5, 4, 3)), CoordConv2D(2, 3, name="conv")])
    with pytest.raises(ValueError, match="expected 3 variables"):
        model.load_weights(tmp_path / "plain.weights.h5")


@tensorflow_only
@pytest.mark.parametrize("layer_class", [CoordConv1D, CoordConv3D, CoordConv2DTranspose])
def test_saved_model_of_unknown_lengths(layer_class, tmp_path):
    """As test_exports.py has it for CoordConv2D."""
    import tensorflow as tf

    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = with_random_weights(layer_class(4, 3, padding="same"), inputs)
    model = keras.Sequential([keras.Input((*[None] * len(SHAPES[layer_class]), 3)), layer])
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.serve(inputs), numpy(model(inputs)), atol=1e-5)


# What the layers inherit from Keras


def test_regularizer_and_constraint_hold_for_both_kernels():
    inputs = normal(2, 6, 5, 3)
    layer = CoordConv2D(
        4, 3, kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint=keras.constraints.NonNeg()
    )
    model = keras.Sequential([with_random_weights(layer, inputs)])
    model(inputs)
    penalty = 0.5 * np.sum(concatenated_kernel(layer) ** 2)
    assert sum(float(loss) for loss in layer.losses) == pytest.approx(penalty, rel=1e-5)
    step(model, inputs, np.zeros(model(inputs).shape))
    assert concatenated_kernel(layer).min() == 0


@pytest.mark.parametrize("layer_class", [CoordConv1D, CoordConv2D, CoordConv3D])
def test_lora_leaves_the_coordinate_weights_to_be_trained(layer_class, tmp_path):
    inputs = normal(2, *SHAPES[layer_class], 3)
    layer = with_random_weights(layer_class(4, 3), inputs)
    before = numpy(layer(inputs))
    layer.enable_lora(2)
    np.testing.assert_allclose(numpy(layer(inputs)), before, rtol=1e-5, atol=1e-5)
    trained = ["bias", "coord_kernel", "lora_kernel_a", "lora_kernel_b"]
    assert [weight.name for weight in layer.trainable_weights] == trained
    model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
    step(model, inputs, np.zeros(before.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(inputs)), numpy(model(inputs)), rtol=1e-5, atol=1e-5)
    assert [weight.name for weight in loaded.layers[0].trainable_weights] == trained


def test_a_constant_that_is_a_number_is_that_of_the_coordinates_too():
    layer = CoordConv2D(4, 3, kernel_initializer=keras.initializers.Constant(0.5))
    layer.build((None, 9, 6, 2))
    assert np.all(numpy(layer.coord_kernel) == 0.5)


def test_lora_has_the_alpha_that_it_is_given():
    if "lora_alpha" not in inspect.signature(keras.layers.Conv2D.enable_lora).parameters:
        pytest.skip("Keras 3.3 has no lora_alpha")
    layer = CoordConv2D(4, 3, lora_rank=2, lora_alpha=5.0)
    layer.build((None, 6, 5, 3))
    assert layer.lora_alpha == 5


def test_quantization_is_refused_as_keras_refuses_it():
    for layer in (CoordConv2D(4, 3), keras.layers.Conv2D(4, 3)):
        layer.build((None, 6, 5, 3))
        with pytest.raises(NotImplementedError):
            layer.quantize("int8")


# Bad input


@every_layer
def test_refuses_unknown_order(layer_class):
    with pytest.raises(ValueError, match=r"`order` must be one of \('ij', 'xy'\). Received: order='rc'"):
        layer_class(4, 3, order="rc")


@every_layer
def test_refuses_a_radius_that_is_no_boolean(layer_class):
    with pytest.raises(ValueError, match=r"`radius` must be True or False. Received: radius=2"):
        layer_class(4, 3, radius=2)


@pytest.mark.parametrize(
    "layer_class, arguments",
    [
        (CoordConv1D, {"coord_kernel_size": 4}),
        (CoordConv2D, {"coord_kernel_size": 0}),
        (CoordConv2D, {"coord_kernel_size": (1, 1, 1)}),
        (CoordConv2D, {"coord_kernel_size": (1, 5)}),
        (CoordConv2D, {"coord_kernel_size": 1.5}),
        (CoordConv2D, {"coord_kernel_size": "1"}),
        (CoordConv2D, {"coord_kernel_size": True}),
        (CoordConv3D, {"coord_kernel_size": -1}),
        (CoordConv2DTranspose, {"coord_kernel_size": 1, "strides": 2}),
    ],
)
def test_refuses_a_coord_kernel_size_that_does_not_fit(layer_class, arguments):
    with pytest.raises(
        ValueError, match=r"`coord_kernel_size` of layer '.*' must be None, an .* Received: coord_kernel_size="
    ):
        layer_class(4, 3, **arguments)


def test_a_coord_kernel_size_may_be_of_numpy():
    config = CoordConv2D(4, 3, coord_kernel_size=np.int64(1)).get_config()
    assert json.dumps(config["coord_kernel_size"]) == "[1, 1]"


def test_the_smallest_coord_kernel_of_a_transposed_convolution_is_named():
    with pytest.raises(ValueError, match=r"from \(2, 2\) \(`strides`, or `kernel_size` where that is smaller\) to"):
        CoordConv2DTranspose(2, 2, strides=3, coord_kernel_size=1)


@every_layer
def test_refuses_wrong_rank(layer_class):
    rank = len(SHAPES[layer_class])
    for wrong in (rank - 1, rank + 1):
        with pytest.raises(ValueError, match=f"expected ndim={rank + 2}, found ndim={wrong + 2}"):
            layer_class(4, 2)(np.zeros((2,) + (5,) * wrong + (3,), "float32"))


@every_layer
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_refuses_integers_when_run_and_when_a_model_is_built(layer_class, dtype):
    message = f"must be floating-point.*Received: inputs.dtype={dtype}"
    with pytest.raises(ValueError, match=message):
        layer_class(4, 2)(np.zeros((2, *SHAPES[layer_class], 3), dtype))
    with pytest.raises(ValueError, match=message):
        layer_class(4, 2)(keras.Input((*SHAPES[layer_class], 3), dtype=dtype))


def test_refuses_groups_that_do_not_divide():
    with pytest.raises(ValueError, match=r"evenly divisible.*groups=3"):
        CoordConv2D(4, 3, groups=3)
    with pytest.raises(ValueError, match=r"evenly divisible.*groups=2, but the input has 3 channels"):
        CoordConv2D(4, 3, groups=2)(np.zeros((2, 6, 5, 3), "float32"))


@every_layer
def test_refuses_other_channels_once_built(layer_class):
    layer = with_random_weights(layer_class(4, 2), normal(2, *SHAPES[layer_class], 3))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 3"):
        layer(normal(2, *SHAPES[layer_class], 4))


@pytest.mark.parametrize(
    "layer_class, arguments",
    list(itertools.product(LAYERS, [{"padding": "full"}, {"strides": 0}, {"filters": 0}])),
)
def test_refuses_what_keras_refuses(layer_class, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        layer_class(**{"filters": 4, "kernel_size": 3, **arguments})
