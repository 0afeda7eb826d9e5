"""The models: one builder each, and the table that names them.

Shapes are written with these letters: n examples, h = w = 64 rows and columns of the canvas, f channels.
Painters and classifiers take coordinates (n, 2) and give a logit a pixel, (n, h, w, 1) from the first and (n, h * w)
from the second; regressors take images (n, h, w, 1) and give coordinates (n, 2).
Coordinates are (row, column) in pixels at both ends of every network: scaling is a layer of the network, so that a
saved model needs nothing beside it.

Keras is imported inside the builders: the table serves the command line, which must start at once.

Source: the structures are those of the code that the paper's authors released, and of the tutorial where it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from notsoclevr.dataset import CANVAS
from notsoclevr.recipes import (
    CoordConvRecipe,
    CoordConvRegressorRecipe,
    DeconvPainterRecipe,
    DeconvRecipe,
    PooledRegressorRecipe,
    Recipe,
    StridedRegressorRecipe,
    TwoStagePainterRecipe,
)

if TYPE_CHECKING:
    import keras

CENTRE = (CANVAS - 1) / 2  # of the canvas, and half its extent, in pixels


def _coordinates_in(recipe: Recipe) -> tuple[Any, Any]:
    """Input of a painter or classifier, and what its first trained layer sees: two (n, 2) tensors."""
    from keras import Input, layers

    inputs = Input((2,), name="coordinates")
    if recipe.scale_coordinates:
        return inputs, layers.Rescaling(1 / CENTRE, offset=-1, name="to_unit")(inputs)
    return inputs, inputs


def _coordinates_out(x: Any, recipe: Recipe) -> Any:
    """Output of a regressor, (n, 2), from what its last trained layer gives."""
    from keras import layers

    return layers.Rescaling(CENTRE, offset=CENTRE, name="to_pixels")(x) if recipe.scale_coordinates else x


def _tiled(coordinates: Any) -> Any:
    """The two numbers repeated at every pixel: (n, 2) -> (n, h, w, 2)."""
    from keras import layers

    x = layers.RepeatVector(CANVAS * CANVAS, name="tile")(coordinates)  # (n, h * w, 2)
    return layers.Reshape((CANVAS, CANVAS, 2), name="canvas")(x)


def _convolution(recipe: CoordConvRecipe, place: int, filters: int, kernel_size: int, **arguments: Any) -> Any:
    """Make the layer at a place, from 1, of a stack: a CoordConv or a plain convolution, as the recipe says."""
    from keras import layers

    from coordconv import CoordConv2D

    arguments["kernel_initializer"] = recipe.kernel_initializer
    if recipe.coordinate_layers == "every" or (recipe.coordinate_layers == "first" and place == 1):
        name = f"coordconv_{place}"
        if isinstance(recipe, CoordConvRegressorRecipe) and recipe.separate_coordinates:
            arguments["coord_kernel_size"] = 1
        return CoordConv2D(filters, kernel_size, radius=recipe.radius, **{"name": name} | arguments)
    return layers.Conv2D(filters, kernel_size, **{"name": f"conv_{place}"} | arguments)


def _pointwise_stack(coordinates: Any, recipe: CoordConvRecipe) -> Any:
    """The paper's CoordConv classifier: tile, add coordinates, five 1x1 convolutions: (n, 2) -> (n, h, w, 1)."""
    x = _tiled(coordinates)
    for place, filters in enumerate((32, 32, 64, 64), start=1):
        x = _convolution(recipe, place, filters, 1, activation="relu")(x)
    return _convolution(recipe, 5, 1, 1, name="logits")(x)


def build_coordconv_classifier(recipe: CoordConvRecipe) -> keras.Model:
    """The paper's CoordConv classifier: 1x1 convolutions over the tiled coordinate, one logit a pixel."""
    import keras
    from keras import layers

    inputs, coordinates = _coordinates_in(recipe)
    return keras.Model(inputs, layers.Flatten(name="pixels")(_pointwise_stack(coordinates, recipe)))


def build_coordconv_painter(recipe: CoordConvRecipe) -> keras.Model:
    """The classifier's stack as a painter: every pixel decides for itself whether the square covers it.

    The paper and the tutorial paint in two stages, see `build_two_stage_painter`; one is enough.
    """
    import keras

    inputs, coordinates = _coordinates_in(recipe)
    return keras.Model(inputs, _pointwise_stack(coordinates, recipe))


def build_two_stage_painter(recipe: TwoStagePainterRecipe) -> keras.Model:
    """The paper's and the tutorial's painter: classify, softmax over the canvas, then draw around the likely pixel."""
    import keras
    from keras import layers

    inputs, coordinates = _coordinates_in(recipe)
    x = layers.Flatten()(_pointwise_stack(coordinates, recipe))  # (n, h * w)
    x = layers.Softmax(name="where")(x)
    x = layers.Reshape((CANVAS, CANVAS, 1))(x)
    for i, filters in enumerate((8, 8, 16, 16), start=1):
        x = layers.Conv2D(
            filters * recipe.width,
            recipe.kernel_size,
            padding="same",
            activation="relu",
            kernel_initializer=recipe.kernel_initializer,
            name=f"draw_{i}",
        )(x)
    x = layers.Conv2D(
        1, recipe.kernel_size, padding="same", kernel_initializer=recipe.kernel_initializer, name="paint"
    )(x)
    return keras.Model(inputs, x)


def _deconv_stack(coordinates: Any, recipe: DeconvRecipe) -> Any:
    """Six transposed convolutions double a single pixel up to the canvas: (n, 2) -> (n, h, w, 1)."""
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


def build_deconv_classifier(recipe: DeconvRecipe) -> keras.Model:
    """The paper's rival classifier: transposed convolutions, one logit a pixel."""
    import keras
    from keras import layers

    inputs, coordinates = _coordinates_in(recipe)
    return keras.Model(inputs, layers.Flatten(name="pixels")(_deconv_stack(coordinates, recipe)))


def build_deconv_painter(recipe: DeconvRecipe) -> keras.Model:
    """The paper's rival painter: the classifier's transposed convolutions."""
    import keras

    inputs, coordinates = _coordinates_in(recipe)
    return keras.Model(inputs, _deconv_stack(coordinates, recipe))


def _image_in(pixel_value: float) -> tuple[Any, Any]:
    """Input of a regressor, and the image its first trained layer sees: two (n, h, w, 1) tensors."""
    from keras import Input, layers

    inputs = Input((CANVAS, CANVAS, 1), name="image")
    return inputs, layers.Rescaling(pixel_value, name="brighten")(inputs)


def build_coordconv_regressor(recipe: CoordConvRegressorRecipe) -> keras.Model:
    """The paper's CoordConv regressor: five convolutions without any activation, then the maximum over the canvas."""
    import keras
    from keras import layers

    inputs, x = _image_in(recipe.pixel_value)
    stack = ((8, 1), (8, 1), (8, 1), (8, 3), (2, 3))
    for place, (filters, kernel_size) in enumerate(stack, start=1):
        activation = recipe.activation if place < len(stack) else None
        x = _convolution(recipe, place, filters, kernel_size, padding="same", activation=activation)(x)
    pool = {"max": layers.GlobalMaxPooling2D, "average": layers.GlobalAveragePooling2D}[recipe.pooling]
    return keras.Model(inputs, _coordinates_out(pool(name="pool")(x), recipe))  # (n, 2)


def _padded(x: Any, kernel_size: int, strides: int, padding: str) -> tuple[Any, str]:
    """Pad (n, h, w, f) as "same" would, but with what `padding` says; the layer is left with the padding given."""
    from keras import ops

    if padding not in ("reflect", "circular"):
        return x, padding
    for axis in (1, 2):
        length = x.shape[axis]
        lacking = max(kernel_size - strides if length % strides == 0 else kernel_size - length % strides, 0)
        before, after = lacking // 2, lacking - lacking // 2  # as TensorFlow divides them
        if padding == "reflect":
            amounts = [(0, 0)] * 4
            amounts[axis] = (before, after)
            x = ops.pad(x, amounts, mode="reflect")
        else:
            x = ops.take(x, [place % length for place in range(-before, length + after)], axis=axis)
    return x, "valid"


def build_pooled_regressor(recipe: PooledRegressorRecipe) -> keras.Model:
    """The paper's plain regressor for the uniform split: convolutions, max pooling and two dense layers."""
    import keras
    from keras import layers

    inputs, x = _image_in(recipe.pixel_value)
    for i in range(1, 5):
        x, padding = _padded(x, 3, 1, recipe.padding)
        x = _convolution(recipe, i, 16 * recipe.width, 3, padding=padding, activation="relu")(x)
        if i < 4:
            x = layers.MaxPooling2D(2, name=f"pool_{i}")(x)
    x = layers.Flatten()(x)  # (n, 8 * 8 * 16 c), of which "valid" leaves 4 * 4
    x = layers.Dense(64, activation="relu", kernel_initializer=recipe.kernel_initializer, name="dense")(x)
    x = layers.Dense(2, kernel_initializer=recipe.kernel_initializer, name="point")(x)
    return keras.Model(inputs, _coordinates_out(x, recipe))


def build_strided_regressor(recipe: StridedRegressorRecipe) -> keras.Model:
    """The paper's plain regressor for the quadrant split: strided convolutions and a global average."""
    import keras
    from keras import layers

    inputs, x = _image_in(recipe.pixel_value)
    f = 16 * recipe.width
    # filters, kernel size, stride, batch normalisation before the activation
    stack = (
        (f, 5, 2, False),
        (f, 1, 1, True),
        (f, 3, 1, False),
        (f, 3, 2, False),
        (f, 3, 2, True),
        (f, 3, 2, False),
        (f, 1, 1, False),
        (f, 3, 2, False),
        (2, 3, 1, False),
    )
    for i, (filters, kernel_size, strides, norm) in enumerate(stack, start=1):
        x, padding = _padded(x, kernel_size, strides, recipe.padding)
        x = _convolution(recipe, i, filters, kernel_size, strides=strides, padding=padding)(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (n, 2)
    return keras.Model(inputs, _coordinates_out(x, recipe))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An entry of the table.

    Args:
        title: Its name for people.
        task: The task it is made for, a key of `notsoclevr.tasks.TASKS`.
        recipe: The class that its section of params.yaml is read into.
        build: Recipe to an untrained network.
        coordinates: Whether its convolutions are told where on the canvas they are: CoordConv, or a rival of it.
        compared: Whether it is one of the models that the study compares.
    """

    title: str
    task: str
    recipe: type[Recipe]
    build: Callable[[Any], keras.Model]
    coordinates: bool
    compared: bool = True


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "coordconv_classifier": Model(
            title="CoordConv classifier",
            task="classification",
            recipe=CoordConvRecipe,
            build=build_coordconv_classifier,
            coordinates=True,
        ),
        "deconv_classifier": Model(
            title="deconv classifier",
            task="classification",
            recipe=DeconvRecipe,
            build=build_deconv_classifier,
            coordinates=False,
        ),
        "coordconv_regressor": Model(
            title="CoordConv regressor",
            task="regression",
            recipe=CoordConvRegressorRecipe,
            build=build_coordconv_regressor,
            coordinates=True,
        ),
        "pooled_regressor": Model(
            title="conv regressor, pooled",
            task="regression",
            recipe=PooledRegressorRecipe,
            build=build_pooled_regressor,
            coordinates=False,
        ),
        "strided_regressor": Model(
            title="conv regressor, strided",
            task="regression",
            recipe=StridedRegressorRecipe,
            build=build_strided_regressor,
            coordinates=False,
        ),
        "coordconv_painter": Model(
            title="CoordConv painter",
            task="rendering",
            recipe=CoordConvRecipe,
            build=build_coordconv_painter,
            coordinates=True,
        ),
        "deconv_painter": Model(
            title="deconv painter",
            task="rendering",
            recipe=DeconvPainterRecipe,
            build=build_deconv_painter,
            coordinates=False,
        ),
        "two_stage_painter": Model(
            title="CoordConv painter, two-stage",
            task="rendering",
            recipe=TwoStagePainterRecipe,
            build=build_two_stage_painter,
            coordinates=True,
            compared=False,
        ),
    }
)

# The models of the study's cells, in the order in which they are shown.
MATRIX = tuple(name for name, model in MODELS.items() if model.compared)
