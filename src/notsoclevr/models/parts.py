"""What several models share: layers, stacks of them, and recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from notsoclevr.dataset import CANVAS
from notsoclevr.recipes import CoordConvRecipe, Count, Positive, Recipe, Switch

CENTRE = (CANVAS - 1) / 2  # of the canvas, and half its extent, in pixels


def coordinates_in(recipe: Recipe) -> tuple[Any, Any]:
    """Return the input of a painter or classifier and what its first trained layer sees: two (n, 2) tensors."""
    from keras import Input, layers

    inputs = Input((2,), name="coordinates")
    if recipe.scale_coordinates:
        return inputs, layers.Rescaling(1 / CENTRE, offset=-1, name="to_unit")(inputs)
    return inputs, inputs


def coordinates_out(x: Any, recipe: Recipe, *, lowest: float = -1) -> Any:
    """Return the output of a regressor in pixels, (n, 2), from that of its last trained layer.

    Args:
        x: (n, 2).
        recipe: Its `scale_coordinates` says whether `x` is in pixels or goes from `lowest` to 1 over the canvas.
        lowest: 0 for a network that ends in a ReLU, which has no negative output.
    """
    from keras import layers

    if not recipe.scale_coordinates:
        return x
    pixels = (CANVAS - 1) / (1 - lowest)
    return layers.Rescaling(pixels, offset=-lowest * pixels, name="to_pixels")(x)


def tiled(coordinates: Any) -> Any:
    """Return the two numbers repeated at every pixel: (n, 2) -> (n, h, w, 2)."""
    from keras import layers

    x = layers.RepeatVector(CANVAS * CANVAS, name="tile")(coordinates)  # (n, h * w, 2)
    return layers.Reshape((CANVAS, CANVAS, 2), name="canvas")(x)


def convolution(recipe: CoordConvRecipe, place: int, filters: int, kernel_size: int, **arguments: Any) -> Any:
    """Return the layer at a place, from 1, of a stack: a CoordConv or a plain convolution, as the recipe says."""
    from keras import layers

    from coordconv import CoordConv2D

    arguments["kernel_initializer"] = recipe.kernel_initializer
    if recipe.coordinate_layers == "every" or (recipe.coordinate_layers == "first" and place == 1):
        if getattr(recipe, "separate_coordinates", False):
            arguments["coord_kernel_size"] = 1
        return CoordConv2D(filters, kernel_size, radius=recipe.radius, **{"name": f"coordconv_{place}"} | arguments)
    arguments = {"name": f"conv_{place}"} | arguments
    if kernel_size == 1 and arguments.get("strides", 1) == 1:
        # the same function, which TensorFlow trains faster as a product of matrices
        arguments = {name: value for name, value in arguments.items() if name not in ("padding", "strides")}
        return layers.Dense(filters, **arguments)
    return layers.Conv2D(filters, kernel_size, **arguments)


def pointwise_stack(coordinates: Any, recipe: CoordConvRecipe) -> Any:
    """Return the paper's CoordConv classifier on coordinates: (n, 2) -> (n, h, w, 1).

    They are tiled, coordinate channels are added, and five 1x1 convolutions follow.
    """
    x = tiled(coordinates)
    for place, filters in enumerate((32, 32, 64, 64), start=1):
        x = convolution(recipe, place, filters, 1, activation="relu")(x)
    return convolution(recipe, 5, 1, 1, name="logits")(x)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvRecipe(Recipe):
    """A stack of transposed convolutions.

    Args:
        width: Factor on the number of channels of the hidden layers, the paper's c.
        kernel_size: Side of the kernels in pixels, the paper's fs.
        batch_norm: Batch normalisation after each hidden layer: the paper's code has it, the tutorial's has not.
    """

    width: Count
    kernel_size: Count
    batch_norm: Switch


def deconv_stack(coordinates: Any, recipe: DeconvRecipe) -> Any:
    """Return six transposed convolutions, which double a single pixel up to the canvas: (n, 2) -> (n, h, w, 1)."""
    from keras import layers

    def deconv(x: Any, filters: int, name: str) -> Any:
        return layers.Conv2DTranspose(
            filters,
            recipe.kernel_size,
            strides=2,
            padding="same",
            kernel_initializer=recipe.kernel_initializer,
            name=name,
        )(x)

    x = layers.Reshape((1, 1, 2), name="pixel")(coordinates)
    for i, filters in enumerate((64, 64, 64, 32, 32), start=1):
        x = deconv(x, filters * recipe.width, f"deconv_{i}")
        if recipe.batch_norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
    return deconv(x, 1, "logits")


def image_in(pixel_value: float) -> tuple[Any, Any]:
    """Return the input of a regressor and the image that its first trained layer sees: two (n, h, w, 1) tensors."""
    from keras import Input, layers

    inputs = Input((CANVAS, CANVAS, 1), name="image")
    return inputs, layers.Rescaling(pixel_value, name="brighten")(inputs)


def dense_head(x: Any, recipe: Recipe) -> Any:
    """Return the point that two dense layers say, (n, 2), from features (n, f)."""
    from keras import layers

    x = layers.Dense(64, activation="relu", kernel_initializer=recipe.kernel_initializer, name="dense")(x)
    return layers.Dense(2, kernel_initializer=recipe.kernel_initializer, name="point")(x)


def padded(x: Any, kernel_size: int, strides: int, padding: str) -> tuple[Any, str]:
    """Return (n, h, w, f) padded as "same" would, but with what `padding` says, and the padding left for the layer."""
    from keras import ops

    if padding not in ("reflect", "circular"):
        return x, padding
    for axis in (1, 2):
        length = x.shape[axis]
        missing = max(kernel_size - strides if length % strides == 0 else kernel_size - length % strides, 0)
        before, after = missing // 2, missing - missing // 2  # as TensorFlow divides them
        if padding == "reflect":
            amounts = [(0, 0)] * 4
            amounts[axis] = (before, after)
            x = ops.pad(x, amounts, mode="reflect")
        else:
            x = ops.take(x, [place % length for place in range(-before, length + after)], axis=axis)
    return x, "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRegressorRecipe(CoordConvRecipe):
    """A plain convolutional regressor of the paper.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
        width: Factor on the number of channels of the hidden layers, the paper's c.
        padding: What the convolutions see beyond the edge: "same" is zeros, "reflect" the picture in a mirror,
            "circular" its other side, "valid" nothing: the picture shrinks from layer to layer.
    """

    pixel_value: Positive
    width: Count
    padding: Literal["same", "valid", "reflect", "circular"]

    def __post_init__(self) -> None:
        CoordConvRecipe.__post_init__(self)
        if self.padding in ("reflect", "circular") and self.coordinate_layers != "none":
            # the layers would see a larger picture, and stretch their coordinates over it
            problem = f"which takes coordinate_layers none, not {self.coordinate_layers}"
            raise ValueError(f"padding is {self.padding}, {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TutorialRegressorRecipe(Recipe):
    """A plain regressor of the tutorial.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
    """

    pixel_value: Positive


def unpadded_convolution(recipe: Recipe, place: int, filters: int, kernel_size: int, **arguments: Any) -> Any:
    """Return the convolution at a place, from 1, of one of the tutorial's regressors."""
    from keras import layers

    arguments |= {"activation": "relu", "kernel_initializer": recipe.kernel_initializer, "name": f"conv_{place}"}
    return layers.Conv2D(filters, kernel_size, **arguments)
