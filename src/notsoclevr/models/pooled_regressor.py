"""The paper's plain regressor for the uniform split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import VERMILION, Model
from notsoclevr.models.parts import PlainRegressorRecipe, convolution, coordinates_out, dense_head, image_in, padded

if TYPE_CHECKING:
    import keras


def build_pooled_regressor(recipe: PlainRegressorRecipe) -> keras.Model:
    """Return the paper's plain regressor for the uniform split: convolutions, max pooling and two dense layers."""
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
    for i in range(1, 5):
        x, padding = padded(x, 3, 1, recipe.padding)
        x = convolution(recipe, i, 16 * recipe.width, 3, padding=padding, activation="relu")(x)
        if i < 4:
            x = layers.MaxPooling2D(2, name=f"pool_{i}")(x)
    x = layers.Flatten()(x)  # (n, 8 * 8 * 16 c), of which "valid" leaves 4 * 4
    return keras.Model(inputs, coordinates_out(dense_head(x, recipe), recipe))


ENTRY = Model(
    name="pooled_regressor",
    title="conv regressor, pooled",
    short="conv, pooled",
    task="regression",
    recipe=PlainRegressorRecipe,
    build=build_pooled_regressor,
    coordinates=False,
    colour=VERMILION,
)
