"""Properties that hold for any shape and any arguments of the layers."""

import keras
import numpy as np
from cases import LAYERS, SHAPES, numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from coordconv import AddCoords, CoordConv2DTranspose
from coordconv.add_coords import coordinate_grid

# JAX compiles every operation for every shape.
examples = 10 if keras.backend.backend() == "jax" else 30
bounded = settings(max_examples=examples, deadline=None, derandomize=True)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@st.composite
def layers_with_inputs(draw):
    """A class, arguments that Keras takes, and inputs no smaller than the kernel."""
    layer_class = draw(st.sampled_from(list(LAYERS)))
    rank = len(SHAPES[layer_class])
    sizes = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    kernel_size, groups = draw(sizes), 1
    stretch = draw(st.sampled_from(["strides", "dilation_rate"]))
    factors = draw(sizes)
    if layer_class is CoordConv2DTranspose and stretch == "dilation_rate":
        factors = (1,) * rank
    if layer_class is not CoordConv2DTranspose:
        groups = draw(st.sampled_from([1, 1, 2]))
    arguments = {
        "filters": draw(st.integers(1, 3)) * groups,
        "kernel_size": kernel_size,
        stretch: factors,
        "padding": draw(st.sampled_from(["valid", "same"] + ["causal"] * (rank == 1))),
        "use_bias": draw(st.booleans()),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    }
    options = {"radius": draw(st.booleans()), "order": draw(st.sampled_from(["ij", "xy"]))}
    reach = [(k - 1) * f + 1 for k, f in zip(kernel_size, factors, strict=True)]
    spatial = [n + draw(st.integers(0, 4)) for n in reach]
    channels = draw(st.integers(1, 3)) * groups
    shape = (*spatial, channels) if arguments["data_format"] == "channels_last" else (channels, *spatial)
    inputs = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    return layer_class, arguments, options, groups, inputs


@bounded
@given(case=layers_with_inputs())
def test_any_layer_equals_a_convolution_over_concatenated_channels(case):
    layer_class, arguments, options, groups, inputs = case
    seed = {"kernel_initializer": keras.initializers.GlorotUniform(seed=2)}
    grouped = {"groups": groups} if groups > 1 else {}
    layer = layer_class(**arguments, **options, **grouped, **seed)
    axis = -1 if arguments["data_format"] == "channels_last" else 1
    # Each group with coordinates of its own.
    add_coords = AddCoords(**options, data_format=arguments["data_format"])
    parts = [numpy(add_coords(part)) for part in np.split(inputs, groups, axis)]
    channels = np.concatenate(parts, axis)
    plain = LAYERS[layer_class](**arguments, **grouped, **seed)
    np.testing.assert_allclose(numpy(layer(inputs)), numpy(plain(channels)), atol=1e-5)
    assert layer.count_params() == plain.count_params()
    assert tuple(layer.compute_output_shape(inputs.shape)) == tuple(plain.compute_output_shape(channels.shape))
    again = layer_class.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@bounded
@given(shape=lengths, radius=st.booleans())
def test_any_grid_is_finite_within_bounds_and_odd(shape, radius):
    grid = numpy(coordinate_grid(shape, radius))[0]
    assert grid.shape == (*shape, len(shape) + radius)
    coordinates = grid[..., : len(shape)]
    assert np.all(np.abs(coordinates) <= 1)
    # Turned around the centre, coordinates change sign and the radius stays.
    turned = np.flip(grid, axis=tuple(range(len(shape))))
    np.testing.assert_array_equal(turned[..., : len(shape)], -coordinates)
    np.testing.assert_array_equal(turned[..., len(shape) :], grid[..., len(shape) :])


@bounded
@given(shape=lengths, radius=st.booleans())
def test_any_grid_in_the_other_order_is_that_of_the_transposed_shape(shape, radius):
    grid = numpy(coordinate_grid(shape, radius, order="xy"))[0]
    transposed = numpy(coordinate_grid(shape[::-1], radius, order="ij"))[0]
    axes = (*range(len(shape) - 1, -1, -1), len(shape))
    np.testing.assert_allclose(grid, transposed.transpose(axes), atol=1e-6)
