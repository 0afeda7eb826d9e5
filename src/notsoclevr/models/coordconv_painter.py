"""A CoordConv painter: the classifier's 1x1 convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import BLUE, Model
from notsoclevr.models.parts import coordinates_in, pointwise_stack
from notsoclevr.recipes import CoordConvRecipe

if TYPE_CHECKING:
    import keras


def build_coordconv_painter(recipe: CoordConvRecipe) -> keras.Model:
    """Return the classifier's stack as a painter: every pixel decides for itself whether the square covers it.

    The paper and the tutorial paint in two stages, see `notsoclevr.models.two_stage_painter`; one is enough.
    """
    import keras

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, pointwise_stack(coordinates, recipe))


ENTRY = Model(
    name="coordconv_painter",
    title="CoordConv painter",
    short="CoordConv",
    task="rendering",
    recipe=CoordConvRecipe,
    build=build_coordconv_painter,
    coordinates=True,
    colour=BLUE,
)
