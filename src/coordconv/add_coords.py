"""The coordinate channels: what they are, and the layer that appends them.

Axis order is stated here, once: spatial axes are numbered as arrays number them, so a 2D coordinate is
(row, column), `order="ij"`. `order="xy"` lists the same channels from the last axis to the first: the paper's
(column, row).

Coordinates of your own, `layer(inputs, coordinates=...)`, take the place of those that a layer makes. They are a
tensor (batch or 1, *spatial, d), or (batch or 1, d, *spatial) where that is the layer's data format, with d numbers
for every pixel of the input. d is the number of coordinate channels of the layer: one for each spatial axis, and one
more with `radius`. The layer uses the numbers as they are: it does not reorder them and computes no radius from them.
Scale them to about -1 to 1, as any input of a network, whether they are places in a whole image, latitude and
longitude, or range and azimuth.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

ORDERS = ("ij", "xy")
DATA_FORMATS = ("channels_last", "channels_first")


def check_order(order: str) -> str:
    """Return `order`, or raise a ValueError that says what it takes."""
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {ORDERS}. Received: order={order!r}")
    return order


def check_radius(radius: bool) -> bool:
    """Return `radius`, or raise a ValueError that says what it takes."""
    if not isinstance(radius, bool):
        raise ValueError(f"`radius` must be True or False. Received: radius={radius!r}")
    return radius


def check_data_format(data_format: str | None) -> str:
    """Return `data_format`, Keras's setting for None, or raise a ValueError that says what it takes."""
    if data_format is not None and data_format not in DATA_FORMATS:
        raise ValueError(f"`data_format` must be one of {DATA_FORMATS}. Received: data_format={data_format!r}")
    return data_format or str(keras.config.image_data_format())


def check_floating(tensor: Any, argument: str, layer_name: str) -> None:
    """Raise a ValueError if `tensor` is not floating-point: a coordinate in an integer would be -1, 0 or 1."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if "float" not in dtype:
        raise ValueError(
            f"`{argument}` of layer '{layer_name}' must be floating-point, not integers or booleans. "
            f"Received: {argument}.dtype={dtype}"
        )


def coordinate_channels(rank: int, radius: bool) -> int:
    """Return d, the number of coordinate channels for `rank` spatial axes."""
    return rank + int(radius)


def coordinate_grid(
    spatial_shape: Sequence[Any],
    radius: bool = False,
    order: str = "ij",
    data_format: str | None = None,
    dtype: str = "float32",
) -> Any:
    """Make the coordinate channels of one example.

    Each coordinate runs from -1 at the first pixel of its axis to 1 at the last; on an axis of one pixel
    it is 0. Computed in float32 whatever `dtype` is, then cast once: bfloat16 cannot even count to 257.

    Args:
        spatial_shape: The length of each spatial axis, in pixels: integers, or scalar integer tensors where
            a length is only known when the graph runs.
        radius: Whether to append the distance from the centre, the root of the sum of the squared
            coordinates.
        order: `"ij"` from the first axis to the last, `"xy"` from the last to the first.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dtype: The dtype of the result, a floating-point one.

    Returns:
        A tensor (1, *spatial_shape, d) or (1, d, *spatial_shape), d = rank + 1 with the radius, else rank.

    Raises:
        ValueError: for a `spatial_shape` that is no sequence, is empty or has a None, a `radius` that is no boolean, an
            unknown `order` or `data_format`, a `dtype` that is not floating-point.

    Example:
    >>> ops.convert_to_numpy(coordinate_grid((2, 3))[0, :, :, 1])
    array([[-1.,  0.,  1.],
           [-1.,  0.,  1.]], dtype=float32)
    """
    if not hasattr(spatial_shape, "__len__") or len(spatial_shape) == 0 or any(n is None for n in spatial_shape):
        raise ValueError(
            f"`spatial_shape` must be a sequence of lengths, one per axis. Received: spatial_shape={spatial_shape!r}"
        )
    check_radius(radius)
    check_order(order)
    data_format = check_data_format(data_format)
    if "float" not in keras.backend.standardize_dtype(dtype):
        raise ValueError(f"`dtype` must be floating-point. Received: dtype={dtype!r}")
    # (2 i - (n - 1)) / (n - 1): numerator and denominator are exact, so a single rounding is left, both ends
    # are exactly -1 and 1, the middle is exactly 0, and n = 1 gives 0 / 1.
    axes = [
        ops.divide(
            ops.cast(2 * ops.arange(n, dtype="int32") - (n - 1), "float32"),
            ops.cast(ops.maximum(n - 1, 1), "float32"),
        )
        for n in spatial_shape
    ]
    channels = ops.meshgrid(*axes, indexing="ij")
    if order == "xy":
        channels = channels[::-1]
    if radius:
        channels = [*channels, ops.sqrt(sum(ops.square(channel) for channel in channels))]
    grid = ops.stack(channels, axis=0 if data_format == "channels_first" else -1)
    return ops.cast(ops.expand_dims(grid, 0), dtype)


class TakesCoordinates(keras.layers.Layer):  # type: ignore[misc]
    """What `AddCoords` and the convolutions share: the coordinates of one call, made here or given."""

    radius: bool
    order: str
    data_format: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A Keras model drops an argument of its call that no layer registers, without a word (3.15); earlier ones
        # refuse it. Registered, `model(x, coordinates=...)` gives it to those of these layers that are the model's
        # own, which check it; those in a nested model, a wrapper or another layer do not get it.
        if hasattr(keras.layers.Layer, "_resolve_and_populate_arg"):
            self._register_call_context_args("coordinates")

    def _resolve_and_populate_arg(self, arg_name: str, *args: Any) -> None:
        """Keep Keras from handing the coordinates of one layer on to the next, as it does with `training`."""
        if arg_name != "coordinates":
            super()._resolve_and_populate_arg(arg_name, *args)

    def _grid(self, inputs: Any, coordinates: Any) -> Any:
        """Return the coordinate channels of `inputs`, in their dtype; those given have been checked."""
        self._check_inputs(inputs, coordinates)
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if coordinates is not None:
            return ops.cast(coordinates, dtype)
        shape = ops.shape(inputs)
        spatial_shape = shape[2:] if self.data_format == "channels_first" else shape[1:-1]
        return coordinate_grid(spatial_shape, self.radius, self.order, self.data_format, dtype)

    def _check_inputs(self, inputs: Any, coordinates: Any) -> None:
        """Raise a ValueError for integers, and for coordinates that do not fit the inputs."""
        check_floating(inputs, "inputs", self.name)
        if coordinates is None:
            return
        if not hasattr(coordinates, "shape"):
            raise ValueError(
                f"`coordinates` of layer '{self.name}' must be a tensor or an array. "
                f"Received: coordinates of type {type(coordinates).__name__}"
            )
        check_floating(coordinates, "coordinates", self.name)
        given, fitting = tuple(coordinates.shape), list(inputs.shape)
        channels = coordinate_channels(len(fitting) - 2, self.radius)
        fitting[1 if self.data_format == "channels_first" else -1] = channels
        unlike = [
            axis
            for axis, (n, m) in enumerate(zip(given, fitting, strict=False))
            # Only what is known can be compared: a length may be None, or a symbol of the backend.
            if isinstance(n, int) and isinstance(m, int) and n != m and (axis, n) != (0, 1)
        ]
        if unlike or len(given) != len(fitting):
            raise ValueError(
                f"`coordinates` of layer '{self.name}' must have shape {tuple(fitting)}, or 1 in place of the batch, "
                f"to fit inputs of shape {tuple(inputs.shape)} with {channels} coordinate channels in "
                f"data_format={self.data_format!r}. Received: coordinates.shape={given}"
            )

    def compute_output_spec(self, inputs: Any, coordinates: Any = None) -> Any:
        """Refuse what does not fit where the model is built, not first where it runs."""
        self._check_inputs(inputs, coordinates)
        return super().compute_output_spec(inputs)


@keras.saving.register_keras_serializable(package="coordconv")
class AddCoords(TakesCoordinates):
    """Appends the coordinates of every pixel as channels, after the channels of the input.

    A channel for each spatial axis, running from -1 at its first pixel to 1 at its last (0 on an axis of one
    pixel), then, with `radius`, the distance from the centre in the same units. The layer has no weights. To
    convolve the result, a `CoordConv` layer computes the same without ever concatenating.

    Args:
        radius: Boolean, whether to append the distance from the centre, the root of the sum of the squared
            coordinates: from 0 at the centre to the root of the number of axes in the corners.
        order: `"ij"` (default) appends the coordinate of the first spatial axis first, (row, column) in 2D;
            `"xy"` that of the last first, (column, row) in 2D, as in the paper.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: As for every Keras layer: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: The tensor to append to.
        coordinates: Coordinates of your own, `(batch or 1, *spatial, d)` or `(batch or 1, d, *spatial)`, to be
            appended in place of those that the layer makes.

    Input shape:
        Floating-point, with 1, 2 or 3 spatial axes of any length, known or not:
        `(batch, *spatial, channels)` or `(batch, channels, *spatial)`. Without the batch axis, an image would be
        taken for a batch of sequences.

    Output shape:
        The same with `channels + d` channels, d the number of spatial axes, and one more with `radius`.

    Raises:
        ValueError: for a `radius` that is no boolean, an unknown `order` or `data_format`, a wrong number of axes,
            integer inputs, coordinates that do not fit the inputs.

    Example:
    >>> x = keras.ops.zeros((1, 2, 3, 1))
    >>> _, rows, columns = keras.ops.unstack(AddCoords()(x)[0], axis=-1)
    >>> keras.ops.convert_to_numpy(rows)
    array([[-1., -1., -1.],
           [ 1.,  1.,  1.]], dtype=float32)
    >>> keras.ops.convert_to_numpy(columns)
    array([[-1.,  0.,  1.],
           [-1.,  0.,  1.]], dtype=float32)

    Reference:
        Liu et al., An intriguing failing of convolutional neural networks and the CoordConv solution,
        [arXiv:1807.03247](https://arxiv.org/abs/1807.03247), section 3. Its own code divides by the length of
        the other axis: right on squares only.
    """

    def __init__(
        self,
        *,
        radius: bool = False,
        order: str = "ij",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.radius = check_radius(radius)
        self.order = check_order(order)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.InputSpec(min_ndim=3, max_ndim=5)
        self.supports_masking = True  # what follows in a sequence may need it
        self.built = True

    def call(self, inputs: Any, coordinates: Any = None) -> Any:
        """Concatenate `inputs` and the coordinates, repeated for every example if they are those of one."""
        grid = self._grid(inputs, coordinates)
        grid = ops.broadcast_to(grid, (ops.shape(inputs)[0], *ops.shape(grid)[1:]))
        return ops.concatenate([inputs, grid], axis=1 if self.data_format == "channels_first" else -1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `input_shape` with d more channels."""
        shape = list(input_shape)
        axis = 1 if self.data_format == "channels_first" else -1
        channels = shape[axis]
        if channels is not None:
            shape[axis] = channels + coordinate_channels(len(shape) - 2, self.radius)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        config = {"radius": self.radius, "order": self.order, "data_format": self.data_format}
        return {**super().get_config(), **config}
