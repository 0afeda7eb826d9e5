"""The paper's CoordConv regressor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from notsoclevr.models.model import BLUE, Model
from notsoclevr.models.parts import convolution, coordinates_out, image_in
from notsoclevr.recipes import CoordConvRecipe, Positive, Switch

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordConvRegressorRecipe(CoordConvRecipe):
    """The paper's CoordConv regressor.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
        activation: The activation of the hidden layers; the paper's code has none, "linear".
        pooling: What the canvas is reduced to a point with.
        separate_coordinates: The coordinates have a filter of 1x1 of their own, the paper's footnote 2.
    """

    pixel_value: Positive
    activation: Literal["linear", "relu"]
    pooling: Literal["max", "average"]
    separate_coordinates: Switch


def build_coordconv_regressor(recipe: CoordConvRegressorRecipe) -> keras.Model:
    """Return the paper's regressor: five convolutions, then one number for the row and one for the column."""
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
    stack = ((8, 1), (8, 1), (8, 1), (8, 3), (2, 3))
    for place, (filters, kernel_size) in enumerate(stack, start=1):
        activation = recipe.activation if place < len(stack) else None
        x = convolution(recipe, place, filters, kernel_size, padding="same", activation=activation)(x)
    pool = {"max": layers.GlobalMaxPooling2D, "average": layers.GlobalAveragePooling2D}[recipe.pooling]
    return keras.Model(inputs, coordinates_out(pool(name="pool")(x), recipe))  # (n, 2)


ENTRY = Model(
    name="coordconv_regressor",
    title="CoordConv regressor",
    short="CoordConv",
    task="regression",
    recipe=CoordConvRegressorRecipe,
    build=build_coordconv_regressor,
    coordinates=True,
    colour=BLUE,
)
