"""Convolutions that know where they are: conv(inputs, kernel) + conv(coordinates, coord_kernel).

That is the function of a convolution over [inputs, coordinates], written as a sum, since a convolution is
linear in its input channels. The second term is the same for every example: it is computed once a batch,
together with the bias, and nothing is ever concatenated.

Letters: c input channels, c' filters, k kernel size, d coordinate channels, g groups.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from coordconv.add_coords import check_order, coordinate_channels, coordinate_grid, floating_dtype


def _part_of_one_draw(initializer: Callable[..., Any], axis: int, others: int, last: bool) -> Callable[..., Any]:
    """Return an initializer for the first or the last part of a kernel that is drawn whole.

    The two parts then have the variance, and for a seeded initializer the very values, that they have in a
    convolution over concatenated channels.

    Args:
        initializer: Draws the whole.
        axis: The axis of the kernel along which it is split.
        others: The length of the other part on that axis.
        last: Whether the part wanted is the last.
    """

    def draw(shape: Sequence[int], dtype: Any = None) -> Any:
        whole = list(shape)
        whole[axis] += others
        first_length = others if last else shape[axis]
        return ops.split(initializer(tuple(whole), dtype=dtype), [first_length], axis=axis)[int(last)]

    return draw


class _CoordConv(keras.layers.Layer):  # type: ignore[misc]
    """What all the layers share; goes before the Keras layer that each stands in for."""

    # Which axis of a kernel counts the input channels.
    _channel_axis = -2

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        *args: Any,
        radius: bool = False,
        order: str = "ij",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, *args, **kwargs)
        self.radius = radius
        self.order = check_order(order)
        self.input_spec = keras.InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create `kernel` and `bias` as the Keras layer does, then `coord_kernel`."""
        initializer: Any = self.kernel_initializer
        axis = self._channel_axis
        channels = coordinate_channels(self.rank, self.radius)
        self.kernel_initializer = _part_of_one_draw(initializer, axis, channels, last=False)
        try:
            super().build(input_shape)
        finally:
            self.kernel_initializer = initializer
        self.input_spec = keras.InputSpec(ndim=self.rank + 2, axes=self.input_spec.axes)
        shape = list(self.kernel.shape)
        shape[axis] = channels
        self.coord_kernel = self.add_weight(
            name="coord_kernel",
            shape=tuple(shape),
            initializer=_part_of_one_draw(initializer, axis, self.kernel.shape[axis], last=True),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def call(self, inputs: Any) -> Any:
        """Convolve the inputs, and add the convolved coordinates and the bias."""
        dtype = floating_dtype(inputs, self.name)
        shape = ops.shape(inputs)
        channels_first = self.data_format == "channels_first"
        spatial_shape = shape[2:] if channels_first else shape[1:-1]
        grid = coordinate_grid(spatial_shape, self.radius, self.order, self.data_format, dtype)
        # (1, *new_spatial, c'): the bias is added here, so that one addition as large as the batch is left,
        # as many as a plain convolution has.
        offset = self._convolve(grid, self.coord_kernel)
        if self.use_bias:
            offset = offset + ops.reshape(self.bias, (-1,) + (1,) * self.rank if channels_first else (-1,))
        outputs = self._convolve(inputs, self.kernel) + offset
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Refuse integers where the model is built, not first where it runs."""
        floating_dtype(inputs, self.name)
        return super().compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {**super().get_config(), "radius": self.radius, "order": self.order}


class _CoordConvForward(_CoordConv):
    """What the convolutions share that are not transposed."""

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def save_own_variables(self, store: Any) -> None:
        """Save `coord_kernel` besides what the Keras layer saves."""
        super().save_own_variables(store)
        if self.built:
            store["coord_kernel"] = self.coord_kernel

    def load_own_variables(self, store: Any) -> None:
        """Load `coord_kernel` besides what the Keras layer loads."""
        super().load_own_variables(store)
        if self.built:
            self.coord_kernel.assign(store["coord_kernel"])


@keras.saving.register_keras_serializable(package="coordconv")
class CoordConv2D(_CoordConvForward, keras.layers.Conv2D):  # type: ignore[misc]
    """A 2D convolution over its input and the coordinates of every pixel.

    The function, and the number of weights, (c + d) c' k^2, of a convolution over `AddCoords()(inputs)`,
    without the concatenation.

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Integer or two integers.
        *args: As of `keras.layers.Conv2D`.
        radius: Boolean, whether the distance from the centre is a coordinate too.
        order: `"ij"` for (row, column), `"xy"` for (column, row): see `AddCoords`.
        **kwargs: As of `keras.layers.Conv2D`.

    Raises:
        ValueError: for an unknown `order`, inputs that are not 4D, integer inputs.

    Example:
    >>> x = keras.ops.zeros((8, 48, 64, 3))
    >>> CoordConv2D(16, 3, padding="same", activation="relu")(x).shape
    (8, 48, 64, 16)
    """
