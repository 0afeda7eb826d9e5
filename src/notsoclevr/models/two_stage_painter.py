"""The paper's and the tutorial's painter, which classifies first and draws then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from notsoclevr.dataset import CANVAS
from notsoclevr.models.model import BLUE, Model
from notsoclevr.models.parts import coordinates_in, pointwise_stack
from notsoclevr.recipes import CoordConvRecipe, Count

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStagePainterRecipe(CoordConvRecipe):
    """The paper's and the tutorial's painter.

    Args:
        width: Factor on the number of channels of the convolutions that draw, the paper's c.
        kernel_size: Side of their kernels in pixels, the paper's fs.
    """

    width: Count
    kernel_size: Count


def build_two_stage_painter(recipe: TwoStagePainterRecipe) -> keras.Model:
    """Return the paper's and the tutorial's painter: classify, softmax over the canvas, draw around the top pixel."""
    import keras
    from keras import layers

    inputs, coordinates = coordinates_in(recipe)
    x = layers.Flatten()(pointwise_stack(coordinates, recipe))  # (n, h * w)
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


ENTRY = Model(
    name="two_stage_painter",
    title="CoordConv painter, two-stage",
    short="CoordConv, two-stage",
    task="rendering",
    recipe=TwoStagePainterRecipe,
    build=build_two_stage_painter,
    coordinates=True,
    colour=BLUE,
)
