"""Convolutions that know where they are: conv(inputs, kernel) + conv(coordinates, coord_kernel).

That is the function of a convolution over [inputs, coordinates], written as a sum, since a convolution is
linear in its input channels. The second term is the same for every example: it is computed once a batch,
together with the bias, and nothing is ever concatenated. Coordinates of your own (`layer(inputs, coordinates=...)`,
see add_coords.py) are convolved in its place: once a batch as well if they are (1, *spatial, d), for each example
if they are (batch, *spatial, d).

Letters: c input channels, c' filters, k^r kernel size with r spatial axes, d coordinate channels, g groups.

What the layers share:

- `kernel` and `bias` have the shapes of the Keras layer's, `coord_kernel` is (*kernel_size, d, c'), or
  (*kernel_size, c', d) transposed. Padding is that of the inputs: with "same", coordinates beyond the border
  are 0, as they are after concatenation.
- With `groups`, every group sees all coordinates. A concatenation would hold them g times, after each group's
  inputs: a kernel (*kernel_size, c / g + d, c').
- Both kernels are cut from one draw of the concatenated kernel. Their variance is that of a plain
  convolution over c + d channels, and a seeded initializer gives the very weights that one would have.
  `coord_kernel_initializer` draws `coord_kernel` on its own. Where `kernel_initializer` is a constant kernel
  (fixed filters), it is "zeros".
- `coord_kernel_size` makes the coordinate filter smaller (the paper's footnote 2: 1). It lies in the middle
  of the kernel's window, or at the window's end, the present, where padding is "causal": the function of a
  whole coordinate kernel that is 0 elsewhere. Being a filter of its own, it is drawn on its own.
- `kernel_regularizer` and `kernel_constraint` hold for both kernels, each by itself: L1 and L2 penalties and
  constraints on single weights are those of the concatenated kernel, a constraint on a norm is not.
- LoRA (`enable_lora`, `lora_rank`) acts on `kernel`; `coord_kernel` stays trainable.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from coordconv.add_coords import TakesCoordinates, check_order, check_radius, coordinate_channels


def _part_of_one_draw(initializer: Callable[..., Any], axis: int, others: int, last: bool) -> Callable[..., Any]:
    """Return an initializer for the first or the last part of a kernel that is drawn whole.

    Args:
        initializer: Draws the whole. Keras's own give the same values whenever they are asked for the same
            shape, so asking once a part is one draw; with a `SeedGenerator`, it is two draws alike.
        axis: The axis of the kernel that is cut.
        others: The length of the other part on that axis.
        last: Whether the part wanted is the last.

    Returns:
        The initializer, which raises a ValueError if the whole that it is given is of another shape.
    """

    def draw(shape: Sequence[int], dtype: Any = None) -> Any:
        whole = list(shape)
        whole[axis] += others
        first_length = others if last else shape[axis]
        # Cast, as Keras does what any other initializer gives: a function may draw with NumPy, in float64.
        drawn = ops.cast(initializer(tuple(whole), dtype=dtype), dtype or keras.config.floatx())
        if tuple(drawn.shape) != tuple(whole):
            raise ValueError(
                f"`kernel_initializer` must draw kernel and coordinate kernel as one array of shape {tuple(whole)}, "
                f"unless there is a `coord_kernel_initializer`. Received: an array of shape {tuple(drawn.shape)}"
            )
        return ops.split(drawn, [first_length], axis=axis)[int(last)]

    return draw


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copy the weights of `source` to `target`, and which are frozen.

    Coordinate kernels that `source` does not have are left as they are.

    Args:
        source: A built layer.
        target: The same, built, with the convolutions that it holds replaced by CoordConv layers.

    Raises:
        ValueError: if `target` has other weights.
    """
    weights: list[Any] = source.weights
    copies: list[Any] = []
    for new in target.weights:
        expected = weights[len(copies)].name if len(copies) < len(weights) else None
        if new.name != "coord_kernel" or expected == "coord_kernel":
            copies.append(new)
    shapes = [[tuple(each.shape) for each in own] for own in (weights, copies)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Layer '{source.name}' of class {type(source).__name__} cannot be copied: its weights have the shapes "
            f"{shapes[0]}, those of a layer made from its config {shapes[1]}"
        )
    for weight, new in zip(weights, copies, strict=True):
        # A copy: JAX would share the array, and a training step deletes those it starts from.
        new.assign(ops.copy(weight))
        if weight.trainable != new.trainable:
            new.trainable = weight.trainable


class _CoordConv(TakesCoordinates):
    """What all the layers share; goes before the Keras layer that each stands in for."""

    # The Keras layer, and which axis of its kernel counts the input channels.
    _stands_in_for: Any
    _channel_axis = -2
    _why_smallest = ""  # of the sizes of a coordinate kernel

    kernel_initializer: Any

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        *args: Any,
        radius: bool = False,
        order: str = "ij",
        coord_kernel_size: int | Sequence[int] | None = None,
        coord_kernel_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, *args, **kwargs)
        self.radius = check_radius(radius)
        self.order = check_order(order)
        self.coord_kernel_size = self._check_coord_kernel_size(coord_kernel_size)
        self.coord_kernel_initializer = keras.initializers.get(coord_kernel_initializer)
        self.input_spec = keras.InputSpec(ndim=self.rank + 2)

    def _smallest_coord_kernel(self) -> tuple[int, ...]:
        return (1,) * int(self.rank)

    def _check_coord_kernel_size(self, size: int | Sequence[int] | None) -> tuple[int, ...] | None:
        if size is None:
            return None
        sizes = tuple(size) if isinstance(size, tuple | list) else (size,) * self.rank
        smallest, largest = self._smallest_coord_kernel(), self.kernel_size
        if len(sizes) != self.rank or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) and low <= n <= high
            for n, low, high in zip(sizes, smallest, largest, strict=True)
        ):
            raise ValueError(
                f"`coord_kernel_size` of layer '{self.name}' must be None, an integer or one per axis, "
                f"from {smallest}{self._why_smallest} to `kernel_size`, {largest}. Received: coord_kernel_size={size!r}"
            )
        return tuple(map(int, sizes))

    @classmethod
    def from_conv(
        cls,
        layer: keras.layers.Layer,
        *,
        radius: bool = False,
        order: str = "ij",
        coord_kernel_size: int | Sequence[int] | None = None,
        name: str | None = None,
    ) -> Self:
        """Make a layer that computes what `layer` does, with coordinate weights of zero to be trained.

        Args:
            layer: A built layer of the Keras class that this one stands in for. It is left as it is.
            radius: As of the class.
            order: As of the class.
            coord_kernel_size: As of the class.
            name: Its name. Defaults to that of `layer`, which then cannot be in the same model.

        Returns:
            A built layer with the arguments and the weights of `layer`.

        Raises:
            ValueError: if `layer` is of another class, a subclass included, or not built.

        Example:
        >>> conv = keras.layers.Conv2D(8, 3)
        >>> conv.build((None, 32, 48, 3))
        >>> tuple(CoordConv2D.from_conv(conv).coord_kernel.shape)
        (3, 3, 2, 8)
        """
        # A subclass may compute something else, which would be lost.
        if type(layer) is not cls._stands_in_for:
            raise ValueError(
                f"`layer` must be a keras.layers.{cls._stands_in_for.__name__}. "
                f"Received: layer={layer} of class {type(layer).__name__}"
            )
        if not layer.built:
            raise ValueError(f"`layer` must be built, so that it has weights. Received: layer={layer}")
        new = cls._like(layer, radius=radius, order=order, coord_kernel_size=coord_kernel_size, name=name or layer.name)
        channels = layer.kernel.shape[cls._channel_axis] * getattr(layer, "groups", 1)
        new.build(new._shape_of(channels))
        copy_weights(layer, new)
        return new

    @classmethod
    def _like(cls, layer: keras.layers.Layer, **arguments: Any) -> Self:
        """Return a layer that is not built, with the arguments of `layer` and these, and coordinate weights of zero."""
        config = layer.get_config()
        # Keras makes nothing from the config of a function or an object that is not registered.
        own = {name: getattr(layer, name, None) for name in config}
        own = {name: each for name, each in own.items() if callable(each) and not isinstance(each, keras.layers.Layer)}
        # Not from_config, which makes a TypeError of any error.
        return cls(**{**config, **own, "coord_kernel_initializer": "zeros", **arguments})

    def _shape_of(self, channels: int) -> tuple[int | None, ...]:
        """Return the shape of an input with `channels`, everything else unknown."""
        shape: list[int | None] = [None] * (self.rank + 2)
        shape[1 if self.data_format == "channels_first" else -1] = channels
        return tuple(shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create `kernel` and `bias` as the Keras layer does, then `coord_kernel`."""
        given, axis = self.kernel_initializer, self._channel_axis
        initializer = given or keras.initializers.GlorotUniform()  # which is what None means to Keras
        channels = coordinate_channels(self.rank, self.radius)
        own = self.coord_kernel_initializer
        if own is None and np.ndim(getattr(initializer, "value", 0)) > 0:
            own = keras.initializers.Zeros()  # fixed filters have none for coordinates
        whole = own is None and self.coord_kernel_size is None
        if whole:
            self.kernel_initializer = _part_of_one_draw(initializer, axis, channels, last=False)
        try:
            super().build(input_shape)
        finally:
            self.kernel_initializer = given
        self.input_spec = keras.InputSpec(ndim=self.rank + 2, axes=self.input_spec.axes)
        shape = [*(self.coord_kernel_size or self.kernel_size), *self.kernel.shape[-2:]]
        shape[axis] = channels
        if whole:
            own = _part_of_one_draw(initializer, axis, self.kernel.shape[axis], last=True)
        self.coord_kernel = self.add_weight(
            name="coord_kernel",
            shape=tuple(shape),
            initializer=own or initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def _whole_coord_kernel(self) -> Any:
        """Return `coord_kernel` with the zeros around it that make it as large as `kernel`."""
        kernel = self.coord_kernel
        # Concatenated, because padding a filter crashes TensorFlow 2.21: with oneDNN, its graph optimizer
        # takes the Pad of the filter for one of the inputs.
        for axis, size in enumerate(self.coord_kernel_size or ()):
            missing = self.kernel_size[axis] - size
            before = missing if self.padding == "causal" else missing // 2
            shapes = [list(kernel.shape), list(kernel.shape)]
            shapes[0][axis], shapes[1][axis] = before, missing - before
            zeros = [ops.zeros(shape, self.compute_dtype) for shape in shapes]
            kernel = ops.concatenate([zeros[0], kernel, zeros[1]], axis)
        return kernel

    def call(self, inputs: Any, coordinates: Any = None) -> Any:
        """Convolve the inputs, and add the convolved coordinates and the bias."""
        # (1, *new_spatial, c'), or (batch, ...) of coordinates that differ: the bias is added here, so that one
        # addition as large as the batch is left, as many as a plain convolution has.
        offset = self._convolve(self._grid(inputs, coordinates), self._whole_coord_kernel())
        if self.use_bias:
            channels_first = self.data_format == "channels_first"
            offset = offset + ops.reshape(self.bias, (-1,) + (1,) * self.rank if channels_first else (-1,))
        outputs = self._convolve(inputs, self.kernel) + offset
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        config = {
            "radius": self.radius,
            "order": self.order,
            "coord_kernel_size": self.coord_kernel_size,
            "coord_kernel_initializer": keras.initializers.serialize(self.coord_kernel_initializer),
        }
        return {**super().get_config(), **config}


class _CoordConvForward(_CoordConv):
    """What the convolutions share that are not transposed."""

    lora_rank: Any

    @property
    def _is_pointwise(self) -> bool:
        """Whether every position is convolved by itself: a product of matrices, which TensorFlow trains faster."""
        return self.data_format == "channels_last" and {*self.kernel_size, *self.strides} == {1}

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, those of LoRA last: they close a layer to new ones."""
        lora_rank, self.lora_rank = self.lora_rank, None
        super().build(input_shape)
        if lora_rank:
            # Keras 3.3 has no lora_alpha.
            alpha = {"lora_alpha": self.lora_alpha} if hasattr(self, "lora_alpha") else {}
            self.enable_lora(lora_rank, **alpha)

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        if self._is_pointwise and inputs.shape[-1] == kernel.shape[-2]:
            return ops.matmul(inputs, ops.reshape(kernel, kernel.shape[-2:]))
        padding = self.padding
        if padding == "causal":
            before = (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)
            nothing = (0, 0)
            channels_first = self.data_format == "channels_first"
            inputs = ops.pad(inputs, [nothing, nothing, before] if channels_first else [nothing, before, nothing])
            padding = "valid"
        return ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
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
class CoordConv1D(_CoordConvForward, keras.layers.Conv1D):  # type: ignore[misc]
    """A 1D convolution over its input and the position of every step.

    The function and the number of weights, (c + d) c' k, of a `keras.layers.Conv1D` over
    `AddCoords()(inputs)`, without the concatenation; with `coord_kernel_size=1`, c c' k + d c' weights. d is
    1, or 2 with the radius. How groups, initializers, regularizers and LoRA are meant: see `CoordConv2D`.

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Integer, in steps.
        *args: As of `keras.layers.Conv1D`.
        radius: Boolean, whether the distance from the centre is a coordinate too.
        order: `"ij"` or `"xy"`: the same for a single axis.
        coord_kernel_size: Integer from 1 to `kernel_size`, the size of the coordinate filter, which lies in
            the middle of the window, or at its end where `padding="causal"`. Defaults to `kernel_size`.
        coord_kernel_initializer: Draws the coordinate weights. Defaults to `kernel_initializer`, see `CoordConv2D`.
        **kwargs: As of `keras.layers.Conv1D`.

    Call arguments:
        inputs: The tensor to convolve.
        coordinates: Coordinates of your own in place of those that the layer makes, floating-point,
            `(batch or 1, steps, d)` or `(batch or 1, d, steps)`.

    Input shape:
        `(batch, steps, channels)` or `(batch, channels, steps)`, floating-point.

    Output shape:
        `(batch, new_steps, filters)` or `(batch, filters, new_steps)`.

    Raises:
        ValueError: for a `radius` that is no boolean, an unknown `order`, a `coord_kernel_size` that does not fit,
            inputs that are not 3D, integer inputs, coordinates that do not fit the inputs, and whatever
            `keras.layers.Conv1D` refuses.

    Example:
    >>> x = keras.ops.zeros((8, 100, 3))
    >>> keras.ops.shape(CoordConv1D(16, 5, padding="causal")(x))
    (8, 100, 16)

    Reference:
        Liu et al., [arXiv:1807.03247](https://arxiv.org/abs/1807.03247), section 3 and footnote 2.
    """

    _stands_in_for = keras.layers.Conv1D


@keras.saving.register_keras_serializable(package="coordconv")
class CoordConv2D(_CoordConvForward, keras.layers.Conv2D):  # type: ignore[misc]
    """A 2D convolution over its input and the coordinates of every pixel.

    The function and the number of weights, (c + d) c' k^2, of a `keras.layers.Conv2D` over
    `AddCoords()(inputs)`, without the concatenation; with `coord_kernel_size=1`, c c' k^2 + d c' weights. d
    is 2, or 3 with the radius.

    Weights: `kernel` (*kernel_size, c / groups, c'), `bias` (c',) and `coord_kernel` (*kernel_size, d, c').
    With `groups`, every group sees all coordinates. `kernel` and `coord_kernel` are cut from one draw of the
    concatenated kernel, so their variance is that of a convolution over c + d channels; a smaller
    `coord_kernel` is drawn on its own. `kernel_regularizer` and `kernel_constraint` hold for each of the two.
    LoRA acts on `kernel`; `coord_kernel` stays trainable.

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Integer or two integers, in pixels.
        *args: As of `keras.layers.Conv2D`.
        radius: Boolean, whether the distance from the centre is a coordinate too.
        order: `"ij"` for (row, column), `"xy"` for (column, row), as in the paper.
        coord_kernel_size: Integer or two integers from 1 to `kernel_size`, the size of the coordinate filter,
            which lies in the middle of the window. Defaults to `kernel_size`.
        coord_kernel_initializer: Draws the coordinate weights; `"zeros"` begins as the convolution without
            coordinates. Defaults to `kernel_initializer`, as said above, or to zeros where that is a constant kernel.
        **kwargs: As of `keras.layers.Conv2D`.

    Call arguments:
        inputs: The tensor to convolve.
        coordinates: Coordinates of your own in place of those that the layer makes, floating-point,
            `(batch or 1, height, width, d)` or `(batch or 1, d, height, width)`.

    Input shape:
        `(batch, height, width, channels)` or `(batch, channels, height, width)`, floating-point.

    Output shape:
        `(batch, new_height, new_width, filters)` or `(batch, filters, new_height, new_width)`.

    Raises:
        ValueError: for a `radius` that is no boolean, an unknown `order`, a `coord_kernel_size` that does not fit,
            inputs that are not 4D, integer inputs, coordinates that do not fit the inputs, and whatever
            `keras.layers.Conv2D` refuses.

    Example:
    >>> x = keras.ops.zeros((8, 48, 64, 3))
    >>> keras.ops.shape(CoordConv2D(16, 3, padding="same", activation="relu")(x))
    (8, 48, 64, 16)

    Reference:
        Liu et al., [arXiv:1807.03247](https://arxiv.org/abs/1807.03247), section 3 and footnote 2.
    """

    _stands_in_for = keras.layers.Conv2D


@keras.saving.register_keras_serializable(package="coordconv")
class CoordConv3D(_CoordConvForward, keras.layers.Conv3D):  # type: ignore[misc]
    """A 3D convolution over its input and the coordinates of every voxel.

    The function and the number of weights, (c + d) c' k^3, of a `keras.layers.Conv3D` over
    `AddCoords()(inputs)`, without the concatenation; with `coord_kernel_size=1`, c c' k^3 + d c' weights. d
    is 3, or 4 with the radius. How groups, initializers, regularizers and LoRA are meant: see `CoordConv2D`.

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Integer or three integers, in voxels.
        *args: As of `keras.layers.Conv3D`.
        radius: Boolean, whether the distance from the centre is a coordinate too.
        order: `"ij"` for the first axis first, `"xy"` for the last axis first.
        coord_kernel_size: Integer or three integers from 1 to `kernel_size`, the size of the coordinate
            filter, which lies in the middle of the window. Defaults to `kernel_size`.
        coord_kernel_initializer: Draws the coordinate weights. Defaults to `kernel_initializer`, see `CoordConv2D`.
        **kwargs: As of `keras.layers.Conv3D`.

    Call arguments:
        inputs: The tensor to convolve.
        coordinates: Coordinates of your own in place of those that the layer makes, floating-point,
            `(batch or 1, *three_axes, d)` or `(batch or 1, d, *three_axes)`.

    Input shape:
        `(batch, *three_axes, channels)` or `(batch, channels, *three_axes)`, floating-point.

    Output shape:
        `(batch, *three_new_axes, filters)` or `(batch, filters, *three_new_axes)`.

    Raises:
        ValueError: for a `radius` that is no boolean, an unknown `order`, a `coord_kernel_size` that does not fit,
            inputs that are not 5D, integer inputs, coordinates that do not fit the inputs, and whatever
            `keras.layers.Conv3D` refuses.

    Example:
    >>> x = keras.ops.zeros((2, 8, 24, 32, 1))
    >>> keras.ops.shape(CoordConv3D(4, 3, radius=True)(x))
    (2, 6, 22, 30, 4)

    Reference:
        Liu et al., [arXiv:1807.03247](https://arxiv.org/abs/1807.03247), section 3 and footnote 2.
    """

    _stands_in_for = keras.layers.Conv3D


@keras.saving.register_keras_serializable(package="coordconv")
class CoordConv2DTranspose(_CoordConv, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """A transposed 2D convolution over its input and the coordinates of every pixel of the input.

    The function and the number of weights, (c + d) c' k^2, of a `keras.layers.Conv2DTranspose` over
    `AddCoords()(inputs)`, without the concatenation: coordinates live at the resolution of the input feature
    map. With `coord_kernel_size=n`, c c' k^2 + d c' n^2 weights. d is 2, or 3 with the radius. How
    initializers and regularizers are meant: see `CoordConv2D`; the kernels are (*kernel_size, c', c) and
    (*kernel_size, c', d).

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Integer or two integers, in pixels.
        *args: As of `keras.layers.Conv2DTranspose`.
        radius: Boolean, whether the distance from the centre is a coordinate too.
        order: `"ij"` for (row, column), `"xy"` for (column, row), as in the paper.
        coord_kernel_size: Integer or two integers, the size of the coordinate filter, which lies in the
            middle of the window: from `strides`, since a filter smaller than the stride would leave some
            output pixels without coordinates, to `kernel_size`, the default. Where `kernel_size` is below `strides`,
            that is the only size allowed.
        coord_kernel_initializer: Draws the coordinate weights. Defaults to `kernel_initializer`, see `CoordConv2D`.
        **kwargs: As of `keras.layers.Conv2DTranspose`.

    Call arguments:
        inputs: The tensor to convolve.
        coordinates: Coordinates of your own in place of those that the layer makes, floating-point,
            `(batch or 1, height, width, d)` or `(batch or 1, d, height, width)`.

    Input shape:
        `(batch, height, width, channels)` or `(batch, channels, height, width)`, floating-point.

    Output shape:
        `(batch, new_height, new_width, filters)` or `(batch, filters, new_height, new_width)`.

    Raises:
        ValueError: for a `radius` that is no boolean, an unknown `order`, a `coord_kernel_size` that does not fit,
            inputs that are not 4D, integer inputs, coordinates that do not fit the inputs, and whatever
            `keras.layers.Conv2DTranspose` refuses.

    Example:
    >>> x = keras.ops.zeros((8, 12, 16, 3))
    >>> keras.ops.shape(CoordConv2DTranspose(16, 4, strides=2, padding="same")(x))
    (8, 24, 32, 16)

    Reference:
        Liu et al., [arXiv:1807.03247](https://arxiv.org/abs/1807.03247), section 3 and footnote 2.
    """

    _stands_in_for = keras.layers.Conv2DTranspose
    _channel_axis = -1
    _why_smallest = " (`strides`, or `kernel_size` where that is smaller)"

    def _smallest_coord_kernel(self) -> tuple[int, ...]:
        return tuple(min(s, k) for s, k in zip(self.strides, self.kernel_size, strict=True))

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
