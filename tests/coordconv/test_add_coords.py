import itertools
import json

import keras
import numpy as np
import pytest
import reference
from cases import numpy
from keras import ops

from coordconv import AddCoords
from coordconv.add_coords import coordinate_grid

SHAPES = {1: (9,), 2: (14, 6), 3: (4, 7, 5)}


def inputs_of(spatial_shape, channels=2, batch=3):
    return np.random.default_rng(0).normal(size=(batch, *spatial_shape, channels)).astype("float32")


def channels_first(array):
    return np.moveaxis(array, -1, 1)


@pytest.mark.parametrize("rank, radius, order", list(itertools.product(SHAPES, (False, True), ("ij", "xy"))))
def test_values(rank, radius, order):
    inputs = inputs_of(SHAPES[rank])
    expected = reference.concatenate(inputs, radius, order)
    outputs = numpy(AddCoords(radius=radius, order=order)(inputs))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_array_equal(outputs[..., :2], inputs)
    outputs = numpy(AddCoords(radius=radius, order=order, data_format="channels_first")(channels_first(inputs)))
    np.testing.assert_allclose(outputs, channels_first(expected), atol=1e-6)


def test_14_by_6_where_the_paper_divides_by_the_other_length():
    height, width = 14, 6
    paper_rows = np.arange(height) / (width - 1) * 2 - 1
    paper_columns = np.arange(width) / (height - 1) * 2 - 1
    assert (paper_rows[-1], round(paper_columns[-1], 2)) == (pytest.approx(4.2), -0.23)
    outputs = numpy(AddCoords()(inputs_of((height, width))))
    rows, columns = outputs[0, :, 0, 2], outputs[0, 0, :, 3]
    np.testing.assert_allclose(rows, np.linspace(-1, 1, height), atol=1e-6)
    np.testing.assert_allclose(columns, np.linspace(-1, 1, width), atol=1e-6)


def test_radius_is_0_in_the_centre_and_the_root_of_2_in_the_corners():
    radius = numpy(AddCoords(radius=True)(inputs_of((5, 3))))[0, :, :, -1]
    assert radius[2, 1] == 0
    np.testing.assert_allclose(radius[[0, 0, -1, -1], [0, -1, 0, -1]], np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("length", [2, 3, 10, 255, 1024, 4097])
def test_ends_are_exact_and_halves_mirror_each_other(length):
    axis = numpy(coordinate_grid((length,)))[0, :, 0]
    assert (axis[0], axis[-1]) == (-1, 1)
    np.testing.assert_array_equal(axis, -axis[::-1])
    assert np.all(np.diff(axis) > 0)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 5), (5, 1), (1, 1, 1), (3, 1, 2)])
def test_axis_of_one_pixel_is_0(shape):
    outputs = numpy(AddCoords(radius=True)(inputs_of(shape)))
    np.testing.assert_allclose(outputs, reference.concatenate(inputs_of(shape), radius=True), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_grid_is_the_float32_grid_cast_once(dtype):
    # Counted in bfloat16, 1,000 pixels would not even be 1,000 numbers: it has 8 bits.
    layer = AddCoords(dtype=dtype)
    outputs = layer(ops.zeros((1, 1000, 2, 1), dtype))
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    exact = ops.cast(ops.convert_to_tensor(numpy(coordinate_grid((1000, 2)))), dtype)
    np.testing.assert_array_equal(numpy(ops.cast(outputs[..., 1:], "float32")), numpy(ops.cast(exact, "float32")))


@pytest.mark.parametrize(
    "data_format, jit_compile", [("channels_last", False), ("channels_first", False), ("channels_last", True)]
)
def test_unknown_lengths(data_format, jit_compile):
    last = data_format == "channels_last"
    shape = (None, None, 2) if last else (2, None, None)
    model = keras.Sequential([keras.Input(shape), AddCoords(radius=True, data_format=data_format)])
    assert model.output_shape == ((None, None, None, 5) if last else (None, 5, None, None))
    model.compile(jit_compile=jit_compile)
    assert model.jit_compile == jit_compile
    for spatial_shape in ((4, 7), (6, 3)):
        inputs = inputs_of(spatial_shape)
        expected = reference.concatenate(inputs, radius=True)
        if not last:
            inputs, expected = channels_first(inputs), channels_first(expected)
        np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-6)


def test_a_mask_is_passed_on():
    steps = np.zeros((1, 4, 2), "float32")
    steps[:, :2] = 1
    masked = AddCoords()(keras.layers.Masking()(steps))
    assert numpy(masked._keras_mask).tolist() == [[True, True, False, False]]


def test_compute_output_shape():
    assert AddCoords().compute_output_shape((None, 9, 3)) == (None, 9, 4)
    assert AddCoords(radius=True).compute_output_shape((2, None, 6, 3)) == (2, None, 6, 6)
    layer = AddCoords(radius=True, data_format="channels_first")
    assert layer.compute_output_shape((2, 3, 4, 5, 6)) == (2, 7, 4, 5, 6)
    assert AddCoords().compute_output_shape((2, 4, 5, None)) == (2, 4, 5, None)


def test_has_no_weights():
    layer = AddCoords()
    layer(inputs_of((3, 4)))
    assert layer.weights == []


def test_get_config_is_the_inverse_of_init(tmp_path):
    arguments = {"radius": True, "order": "xy", "data_format": "channels_first", "name": "where"}
    config = AddCoords(**arguments).get_config()
    assert arguments.items() <= config.items()
    assert AddCoords.from_config(json.loads(json.dumps(config))).get_config() == config

    model = keras.Sequential([keras.Input((2, 5, 4)), AddCoords(**arguments)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = channels_first(inputs_of((5, 4)))
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"radius": 2}, "`radius` must be True or False. Received: radius=2"),
        ({"radius": "no"}, "`radius` must be True or False. Received: radius='no'"),
        ({"order": "yx"}, r"`order` must be one of \('ij', 'xy'\). Received: order='yx'"),
        ({"data_format": "NHWC"}, "`data_format` must be one of .* Received: data_format='NHWC'"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AddCoords(**arguments)


@pytest.mark.parametrize(
    "shape, arguments, message",
    [
        (5, {}, "`spatial_shape` must be a sequence of lengths, one per axis. Received: spatial_shape=5"),
        ((n for n in (3, 4)), {}, "`spatial_shape` must be a sequence"),
        ((), {}, r"`spatial_shape` must be .* Received: spatial_shape=\(\)"),
        ((None, 4), {}, r"`spatial_shape` must be .* Received: spatial_shape=\(None, 4\)"),
        ((3, 4), {"radius": "no"}, "`radius` must be True or False. Received: radius='no'"),
        ((3, 4), {"order": "yx"}, "`order` must be one of"),
        ((3, 4), {"data_format": "NCHW"}, "`data_format` must be one of"),
        ((3, 4), {"dtype": "int32"}, "`dtype` must be floating-point. Received: dtype='int32'"),
    ],
)
def test_grid_refuses_arguments(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        coordinate_grid(shape, **arguments)


def test_grid_takes_the_shape_of_a_tensor():
    images = ops.zeros((2, 3, 4, 1))
    assert tuple(coordinate_grid(images.shape[1:-1]).shape) == (1, 3, 4, 2)


def test_grid_has_the_data_format_of_the_layers():
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        assert tuple(coordinate_grid((3, 4)).shape) == (1, 2, 3, 4)
    finally:
        keras.config.set_image_data_format(before)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5, 6, 7)])
def test_refuses_wrong_rank(shape):
    with pytest.raises(ValueError, match=r"expected m.._ndim=., found ndim="):
        AddCoords()(np.zeros(shape, "float32"))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_refuses_integers_when_run_and_when_a_model_is_built(dtype):
    message = f"must be floating-point.*Received: inputs.dtype={dtype}"
    with pytest.raises(ValueError, match=message):
        AddCoords()(np.zeros((2, 3, 4, 1), dtype))
    with pytest.raises(ValueError, match=message):
        AddCoords()(keras.Input((3, 4, 1), dtype=dtype))
