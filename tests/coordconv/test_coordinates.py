"""Coordinates of one's own: `layer(inputs, coordinates=...)`."""

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

from coordconv import AddCoords, CoordConv2D, CoordConv2DTranspose, convert_model
from coordconv.add_coords import coordinate_grid


def expected_outputs(layer, inputs, grid, **arguments):
    """What NumPy gives for channels_last inputs and coordinates."""
    transposed = isinstance(layer, CoordConv2DTranspose)
    convolve = reference.convolve_transposed if transposed else reference.convolve
    channels = reference.concatenate(inputs, grid=grid, groups=arguments.get("groups", 1))
    return convolve(channels, concatenated_kernel(layer), numpy(layer.bias), **arguments)


# Values


@every_layer
@every_format
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("radius", [False, True])
def test_values(layer_class, data_format, batch, radius):
    spatial = SHAPES[layer_class]
    inputs, grid = normal(3, *spatial, 2), normal(batch, *spatial, len(spatial) + radius, seed=9)
    layer = layer_class(4, 3, radius=radius, padding="same", strides=2, data_format=data_format)
    with_random_weights(layer, as_format(inputs, data_format))
    outputs = layer(as_format(inputs, data_format), coordinates=as_format(grid, data_format))
    strides = (2,) * len(spatial)
    expected = as_format(expected_outputs(layer, inputs, grid, padding="same", strides=strides), data_format)
    np.testing.assert_allclose(numpy(outputs), expected, rtol=1e-4, atol=1e-4)


def test_values_with_groups():
    inputs, grid = normal(3, 9, 6, 4), normal(3, 9, 6, 2, seed=9)
    layer = with_random_weights(CoordConv2D(6, 3, groups=2), inputs)
    expected = expected_outputs(layer, inputs, grid, groups=2)
    np.testing.assert_allclose(numpy(layer(inputs, coordinates=grid)), expected, rtol=1e-4, atol=1e-4)


@every_format
@pytest.mark.parametrize("batch", [1, 3])
def test_add_coords_appends_them(data_format, batch):
    inputs, grid = normal(3, 9, 6, 2), normal(batch, 9, 6, 2, seed=9)
    outputs = AddCoords(data_format=data_format)(
        as_format(inputs, data_format), coordinates=as_format(grid, data_format)
    )
    expected = as_format(reference.concatenate(inputs, grid=grid), data_format)
    np.testing.assert_array_equal(numpy(outputs), expected.astype("float32"))


@every_layer
@pytest.mark.parametrize("options", [{}, {"radius": True, "order": "xy"}, {"coord_kernel_size": 2}], ids=str)
def test_the_layer_s_own_given_back_to_it_change_nothing(layer_class, options):
    inputs = normal(3, *SHAPES[layer_class], 2)
    layer = with_random_weights(layer_class(4, 3, **options), inputs)
    grid = coordinate_grid(inputs.shape[1:-1], layer.radius, layer.order)
    np.testing.assert_array_equal(numpy(layer(inputs, coordinates=grid)), numpy(layer(inputs)))


def test_those_of_one_example_are_convolved_once_and_those_of_each_for_each(monkeypatch):
    inputs, convolved = normal(3, 9, 6, 2), []
    layer = with_random_weights(CoordConv2D(4, 3), inputs)
    convolve = layer._convolve
    monkeypatch.setattr(layer, "_convolve", lambda x, kernel: convolved.append(len(x)) or convolve(x, kernel))
    for grid, batches in ((None, [1, 3]), (normal(1, 9, 6, 2), [1, 3]), (normal(3, 9, 6, 2), [3, 3])):
        convolved.clear()
        layer(inputs, coordinates=grid)
        assert convolved == batches


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_any_precision_is_cast_to_that_of_the_layer(dtype):
    inputs, grid = normal(3, 9, 6, 2), normal(1, 9, 6, 2).astype("float16")
    layer = with_random_weights(CoordConv2D(4, 3), inputs)
    np.testing.assert_array_equal(
        numpy(layer(inputs, coordinates=grid.astype(dtype))), numpy(layer(inputs, coordinates=grid.astype("float32")))
    )


def test_mixed_precision():
    inputs, grid = normal(3, 9, 6, 2), normal(3, 9, 6, 2, seed=9)
    layer = with_random_weights(CoordConv2D(4, 3, dtype="mixed_float16"), inputs)
    outputs = layer(inputs, coordinates=grid)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    expected = expected_outputs(layer, inputs, grid)
    np.testing.assert_allclose(numpy(ops.cast(outputs, "float32")), expected, atol=0.01 * np.abs(expected).max())


# Models


def crop_model(layer_class=CoordConv2D, spatial=(None, None)):
    """Two convolutions that share the coordinates of an input, one that makes its own."""
    image = keras.Input((*spatial, 2), name="image")
    where = keras.Input((*spatial, len(spatial)), name="where")
    hidden = layer_class(4, 1, activation="relu", name="first")(image, coordinates=where)
    hidden = layer_class(3, 1, name="own")(hidden)
    hidden = layer_class(3, 1, name="second")(hidden, coordinates=where)
    return keras.Model({"image": image, "where": where}, hidden)


def by_hand(model, image, where):
    hidden = np.maximum(expected_outputs(model.get_layer("first"), image, where), 0)
    hidden = expected_outputs(model.get_layer("own"), hidden, None)
    return expected_outputs(model.get_layer("second"), hidden, where)


@pytest.mark.parametrize(
    "layer_class, jit_compile", [*((layer_class, False) for layer_class in LAYERS), (CoordConv2D, True)]
)
def test_model_with_coordinates_as_an_input(layer_class, jit_compile, tmp_path):
    spatial = SHAPES[layer_class]
    model = crop_model(layer_class, (None,) * len(spatial))
    assert model.output_shape == (None,) * (len(spatial) + 1) + (3,)
    model.set_weights([normal(*w.shape, seed=i) for i, w in enumerate(model.weights)])
    data = {"image": normal(4, *spatial, 2), "where": normal(4, *spatial, len(spatial), seed=9)}
    expected = by_hand(model, **data)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    assert model.jit_compile == jit_compile
    np.testing.assert_allclose(model.predict(data, verbose=0, batch_size=3), expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(model.train_on_batch(data, expected + 1))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(data)), numpy(model(data)))


def test_convert_model_keeps_what_a_layer_is_called_with():
    image, where = keras.Input((9, 6, 2)), keras.Input((9, 6, 2))
    hidden = keras.layers.Conv2D(4, 3, padding="same")(image)
    model = keras.Model([image, where], CoordConv2D(3, 1)(hidden, coordinates=where))
    converted = convert_model(model)
    assert [type(layer) for layer in converted.layers].count(CoordConv2D) == 2
    data = [normal(3, 9, 6, 2), normal(3, 9, 6, 2, seed=9)]
    np.testing.assert_allclose(numpy(converted(data)), numpy(model(data)), rtol=1e-5, atol=1e-5)
    assert np.abs(numpy(converted([data[0], 2 * data[1]])) - numpy(model(data))).max() > 0.1


def test_a_converted_layer_takes_them():
    inputs, grid = normal(3, 9, 6, 2), normal(3, 9, 6, 2, seed=9)
    conv = keras.layers.Conv2D(4, 3)
    conv.build(inputs.shape)
    layer = CoordConv2D.from_conv(conv)
    layer.coord_kernel.assign(normal(3, 3, 2, 4, seed=1))
    expected = expected_outputs(layer, inputs, grid)
    np.testing.assert_allclose(numpy(layer(inputs, coordinates=grid)), expected, rtol=1e-4, atol=1e-4)


def test_constant_coordinates_are_part_of_the_model(tmp_path):
    grid = normal(1, 9, 6, 2, seed=9)
    image = keras.Input((9, 6, 2))
    model = keras.Model(image, CoordConv2D(3, 1)(image, coordinates=ops.convert_to_tensor(grid)))
    inputs = normal(3, 9, 6, 2)
    expected = expected_outputs(model.layers[-1], inputs, grid)
    np.testing.assert_allclose(numpy(model(inputs)), expected, rtol=1e-4, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))


class Place(keras.layers.Layer):
    """Coordinates that are weights: what trains them is their gradient."""

    def build(self, input_shape):
        self.grid = self.add_weight(shape=(1, *input_shape[1:-1], 2), initializer="ones", name="grid")
        self.conv = CoordConv2D(3, 1, kernel_initializer=keras.initializers.GlorotUniform(1))
        self.conv.build(input_shape)

    def call(self, inputs):
        return self.conv(inputs, coordinates=self.grid)


def test_gradient_of_the_coordinates():
    inputs = normal(2, 4, 3, 2)
    model = keras.Sequential([keras.Input((4, 3, 2)), Place()])
    targets = normal(2, 4, 3, 3, seed=9)
    conv, error = model.layers[0].conv, numpy(model(inputs)) - targets
    # The loss is a mean over all outputs; a 1x1 kernel: each output sees the coordinates of its own pixel.
    expected = np.sum(2 * error / error.size, axis=0) @ numpy(conv.coord_kernel)[0, 0].T
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    model.train_on_batch(inputs, targets)
    np.testing.assert_allclose(1 - numpy(model.layers[0].grid)[0], expected, atol=1e-6)


# Bad input


@pytest.mark.parametrize("layer", [CoordConv2D(4, 3), AddCoords()], ids=lambda layer: layer.name)
@pytest.mark.parametrize(
    "shape",
    [
        (9, 6, 2),  # no batch
        (3, 9, 2),
        (3, 9, 6, 1, 2),
        (3, 9, 6),  # without the last axis
        (3, 1, 6, 2),  # one for all rows
        (2, 9, 6, 2),  # another batch
        (3, 6, 9, 2),
        (3, 8, 6, 2),
        (3, 2, 9, 6),  # channels first
        (3, 9, 6, 3),
    ],
)
def test_refuses_another_shape_when_run_and_when_a_model_is_built(layer, shape):
    message = r"`coordinates` of layer '.*' must have shape \(.*, 9, 6, 2\), or 1 in place of the batch, .*Received: "
    with pytest.raises(ValueError, match=message):
        layer(normal(3, 9, 6, 2), coordinates=normal(*shape))
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(batch_shape=(3, 9, 6, 2)), coordinates=keras.Input(batch_shape=shape))


@pytest.mark.parametrize(
    "layer", [CoordConv2D(4, 3, radius=True), AddCoords(radius=True)], ids=lambda layer: layer.name
)
def test_the_radius_is_a_coordinate_to_be_given(layer):
    with pytest.raises(ValueError, match=r"must have shape \(3, 9, 6, 3\).* with 3 coordinate channels"):
        layer(normal(3, 9, 6, 2), coordinates=normal(3, 9, 6, 2))


@pytest.mark.parametrize("layer", [CoordConv2D(4, 3), AddCoords()], ids=lambda layer: layer.name)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_refuses_integers_when_run_and_when_a_model_is_built(layer, dtype):
    message = f"`coordinates` of layer '.*' must be floating-point.*Received: coordinates.dtype={dtype}"
    with pytest.raises(ValueError, match=message):
        layer(normal(3, 9, 6, 2), coordinates=np.zeros((3, 9, 6, 2), dtype))
    with pytest.raises(ValueError, match=message):
        layer(keras.Input((9, 6, 2)), coordinates=keras.Input((9, 6, 2), dtype=dtype))


def test_refuses_what_is_no_tensor():
    with pytest.raises(ValueError, match=r"must be a tensor or an array\. Received: coordinates of type str"):
        CoordConv2D(4, 3)(normal(3, 9, 6, 2), coordinates="ij")


# A Sequential model has one input


handed_on = pytest.mark.skipif(
    not hasattr(keras.layers.Layer, "_register_call_context_args"),
    reason="this Keras refuses arguments of a model's call",
)


@handed_on
@pytest.mark.parametrize("built", [False, True])
def test_sequential_gives_them_to_its_layers_or_refuses_them(built):
    inputs, grid = normal(3, 9, 6, 2), normal(3, 9, 6, 2, seed=9)
    first = [keras.Input((9, 6, 2))] if built else []
    layer = CoordConv2D(4, 1)
    model = keras.Sequential([*first, layer])
    np.testing.assert_array_equal(numpy(model(inputs, coordinates=grid)), numpy(layer(inputs, coordinates=grid)))
    model = keras.Sequential([*first, keras.layers.Conv2D(4, 3, strides=2), CoordConv2D(4, 1)])
    with pytest.raises(ValueError, match=r"`coordinates` of layer '.*' must have shape \(3, 4, 2, 2\)"):
        model(inputs, coordinates=grid)


def test_coordinates_of_one_layer_are_not_those_of_the_next():
    model = crop_model(spatial=(9, 6))
    data = {"image": normal(4, 9, 6, 2), "where": normal(4, 9, 6, 2, seed=9)}
    np.testing.assert_allclose(numpy(model(data)), by_hand(model, **data), rtol=1e-4, atol=1e-4)


@handed_on
def test_those_of_a_models_call_take_the_place_of_those_in_the_model():
    image, where = keras.Input((9, 6, 2)), keras.Input((9, 6, 2))
    model = keras.Model([image, where], CoordConv2D(4, 1)(image, coordinates=where))
    inputs, own, grid = normal(3, 9, 6, 2), normal(3, 9, 6, 2, seed=8), normal(3, 9, 6, 2, seed=9)
    np.testing.assert_array_equal(numpy(model([inputs, own], coordinates=grid)), numpy(model([inputs, grid])))
