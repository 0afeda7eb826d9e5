"""The paper's CoordConv classifier: 1x1 convolutions, the first of which is CoordConv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import BLUE, Model
from notsoclevr.models.parts import coordinates_in, pointwise_stack
from notsoclevr.recipes import CoordConvRecipe

if TYPE_CHECKING:
    import keras


def build_coordconv_classifier(recipe: CoordConvRecipe) -> keras.Model:
    """Return the paper's CoordConv classifier: 1x1 convolutions over the tiled coordinate, one logit per pixel."""
    import keras
    from keras import layers

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, layers.Flatten(name="pixels")(pointwise_stack(coordinates, recipe)))


ENTRY = Model(
    name="coordconv_classifier",
    title="CoordConv classifier",
    short="CoordConv",
    task="classification",
    recipe=CoordConvRecipe,
    build=build_coordconv_classifier,
    coordinates=True,
    colour=BLUE,
)
