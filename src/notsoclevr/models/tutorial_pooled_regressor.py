"""The tutorial's plain regressor for the uniform split: not quite the paper's, and without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import VERMILION, Model
from notsoclevr.models.parts import TutorialRegressorRecipe, coordinates_out, dense_head, image_in, unpadded_convolution

if TYPE_CHECKING:
    import keras


def build_tutorial_pooled_regressor(recipe: TutorialRegressorRecipe) -> keras.Model:
    """Return the tutorial's regressor for the uniform split, which pools with a stride of 1: 2.9 million weights."""
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
    for i in range(1, 5):
        x = unpadded_convolution(recipe, i, 16, 3)(x)
        if i < 4:
            x = layers.MaxPooling2D(2, strides=1, name=f"pool_{i}")(x)
    x = layers.Flatten()(x)  # (n, 53 * 53 * 16)
    return keras.Model(inputs, coordinates_out(dense_head(x, recipe), recipe))


ENTRY = Model(
    name="tutorial_pooled_regressor",
    title="tutorial's regressor, pooled",
    short="tutorial's, pooled",
    task="regression",
    recipe=TutorialRegressorRecipe,
    build=build_tutorial_pooled_regressor,
    coordinates=False,
    colour=VERMILION,
)
