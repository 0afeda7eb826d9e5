"""Weights and models from elsewhere: convolutions made CoordConv, concatenated kernels loaded."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from coordconv.add_coords import check_order, coordinate_channels
from coordconv.coord_conv import CoordConv1D, CoordConv2D, CoordConv2DTranspose, CoordConv3D, copy_weights

_COORD_CONVS = (CoordConv1D, CoordConv2D, CoordConv3D, CoordConv2DTranspose)
_STAND_INS = {each._stands_in_for: each for each in _COORD_CONVS}


def convert_model(
    model: keras.Model,
    *,
    layers: Iterable[str] | None = None,
    radius: bool = False,
    order: str = "ij",
    coord_kernel_size: int | Sequence[int] | None = None,
) -> keras.Model:
    """Make a model that computes what `model` does, with a CoordConv in place of its convolutions.

    Replaces `Conv1D`, `Conv2D`, `Conv3D` and `Conv2DTranspose`, shared ones, those in nested models and those
    in wrappers such as `TimeDistributed` included. Coordinate weights are zero, so the outputs are the same
    until they are trained. All other layers are kept as they are: other convolutions, subclasses of these,
    CoordConv layers that are there already, and what a custom layer holds inside, or a wrapper with a `from_config` of
    its own. What `keras.models.clone_model` cannot copy cannot be converted. A model of a class with an `__init__` of
    its own becomes a plain functional or sequential one.

    Args:
        model: A built functional or sequential model. It is left as it is.
        layers: Names of the convolutions to replace; of one in a wrapper, its own. Defaults to all of them.
        radius: As of the layers.
        order: As of the layers.
        coord_kernel_size: As of the layers.

    Returns:
        A new model with the names and weights of `model`, not compiled. What is frozen stays frozen; a frozen layer's
        coordinate weights are frozen too.

    Raises:
        ValueError: if `model` is not built or neither functional nor sequential, if it or a model in it has a `call` of
            its own that the copy would not have, if a layer cannot be copied, if there is nothing to replace and
            `layers` is None, if one of `layers` is no convolution of it, or if `coord_kernel_size` does not fit one of
            those that are replaced.

    Example:
    >>> model = keras.Sequential([keras.Input((32, 48, 3)), keras.layers.Conv2D(8, 3)])
    >>> convert_model(model).count_params() - model.count_params()  # d c' k^2 = 2 * 8 * 9
    144
    """
    if isinstance(model, keras.Model) and not model.built:
        raise ValueError(f"`model` must be built, so that it has weights. Received: model={model}")
    if not isinstance(model, keras.Model) or not hasattr(model, "outputs"):
        raise ValueError(f"`model` must be a functional or sequential keras.Model. Received: model={model!r}")
    if isinstance(layers, str):
        raise ValueError(f"`layers` must be a list of names. Received: layers={layers!r}")
    names = None if layers is None else {*layers}
    arguments = {"radius": radius, "order": order, "coord_kernel_size": coord_kernel_size}
    clones: dict[int, keras.layers.Layer] = {}  # by the layer: one that is shared stays so
    pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
    convolutions: set[str] = set()

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in clones:
            if isinstance(layer, keras.Model) and hasattr(layer, "outputs"):  # not a subclassed one
                clones[id(layer)] = clone_all(layer)
            else:
                clones[id(layer)] = make(layer)
                if isinstance(layer, keras.layers.Layer):  # not an operation, as the sum in `x + 1`
                    pairs.append((layer, clones[id(layer)]))
        return clones[id(layer)]

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer) in _STAND_INS:
            convolutions.add(layer.name)
            if names is None or layer.name in names:
                return _STAND_INS[type(layer)]._like(layer, **arguments)
        inner = [clone(layer.layer)] if _takes_its_layer(layer) else []
        try:
            config = layer.get_config()
            if not inner:
                return type(layer).from_config(config)
            del config["layer"]
            return type(layer)(*inner, **config)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ValueError(
                f"Layer '{layer.name}' of class {type(layer).__name__} cannot be copied from its config"
            ) from error

    def clone_all(model: keras.Model) -> keras.Model:
        # Keras 3.9 and later would compile the clone, and cannot where a loss or a metric is not registered.
        compiled, model.compiled = model.compiled, False
        try:
            new = keras.models.clone_model(model, clone_function=clone)
        finally:
            model.compiled = compiled
        if type(model).call is not type(new).call:
            raise ValueError(
                f"`model` must have no `call` of its own, nor a model in it. Received: model '{model.name}' of class "
                f"{type(model).__name__}, whose copy is a {type(new).__name__}"
            )
        return new

    converted = clone_all(model)
    if names is None and not convolutions:
        raise ValueError(
            "`model` must have a convolution to replace, of a Keras class itself and not of a subclass. "
            f"Received: model={model}, which has none"
        )
    if unknown := sorted(map(str, (names or set()) - convolutions)):
        raise ValueError(
            "`layers` must name convolutions of `model`, of a Keras class itself and not of a subclass: "
            f"{', '.join(sorted(convolutions)) or 'it has none'}. Received: {', '.join(unknown)}"
        )
    for layer, new in pairs:
        if new.built:  # else its wrapper has made another one
            copy_weights(layer, new)
    for layer in converted._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with what it derives from its weights
    return converted


def _takes_its_layer(layer: keras.layers.Layer) -> bool:
    """Return whether `layer` is a wrapper without a `from_config` of its own, be it inherited."""
    return getattr(type(layer).from_config, "__func__", None) is keras.layers.Wrapper.from_config.__func__


def load_concatenated_kernel(layer: keras.layers.Layer, kernel: Any, bias: Any = None, order: str = "ij") -> None:
    """Set the weights of a CoordConv layer to those of a convolution over concatenated channels.

    Args:
        layer: A built CoordConv layer with `coord_kernel_size=None`.
        kernel: Array (*kernel_size, c / groups + d, filters), or (*kernel_size, filters, c + d) for a
            transposed convolution, as Keras stores it. The coordinate channels are the last d, the radius the
            very last if the layer has it.
        bias: Array (filters,), or None to leave the layer's bias as it is.
        order: That of the coordinate channels of `kernel`: `"ij"`, (row, column), as here, or `"xy"`,
            (column, row), as in the paper. The layer may have the other: channels are put in its order.

    Raises:
        ValueError: for a shape that does not fit, an unknown `order`, a layer that is no CoordConv, is not built, has a
            `coord_kernel_size` or LoRA enabled, a bias for a layer without one.

    Example:
    >>> layer = CoordConv2D(8, 1)
    >>> layer.build((None, 32, 48, 3))
    >>> load_concatenated_kernel(layer, np.ones((1, 1, 3 + 2, 8)), order="xy")
    """
    check_order(order)
    if not isinstance(layer, _COORD_CONVS):
        raise ValueError(f"`layer` must be a CoordConv layer. Received: layer={layer}")
    if not layer.built:
        raise ValueError(f"`layer` must be built, so that it has weights. Received: layer={layer}")
    if layer.coord_kernel_size is not None:
        raise ValueError(
            "`layer` must have coord_kernel_size=None, as a concatenated kernel is of one size. "
            f"Received: layer={layer} with coord_kernel_size={layer.coord_kernel_size}"
        )
    if getattr(layer, "lora_enabled", False):
        raise ValueError(f"`layer` must not have LoRA enabled yet; load first. Received: layer={layer}")
    axis = layer._channel_axis
    channels = layer.kernel.shape[axis]
    expected = list(layer.kernel.shape)
    expected[axis] += coordinate_channels(layer.rank, layer.radius)
    if np.shape(kernel) != tuple(expected):
        raise ValueError(
            f"`kernel` of layer '{layer.name}' must have shape {tuple(expected)}: on axis {axis}, {channels} channels "
            f"of the input, then {expected[axis] - channels} coordinates. Received: kernel of shape {np.shape(kernel)}"
        )
    if bias is not None and not layer.use_bias:
        raise ValueError(
            f"`bias` must be None for a layer with use_bias=False. Received: bias of shape {np.shape(bias)}"
        )
    if bias is not None and np.shape(bias) != (layer.filters,):
        raise ValueError(f"`bias` must have shape {(layer.filters,)}. Received: bias of shape {np.shape(bias)}")

    places = np.arange(expected[axis])
    if order != layer.order:
        places[channels : channels + layer.rank] = places[channels : channels + layer.rank][::-1]
    kernel = np.take(kernel, places, axis)
    inputs_part, coordinates_part = np.split(kernel, [channels], axis)
    layer.kernel.assign(inputs_part)
    layer.coord_kernel.assign(coordinates_part)
    if bias is not None:
        layer.bias.assign(bias)
