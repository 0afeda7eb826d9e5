"""The tutorial's plain regressor for the quadrant split: not quite the paper's, and without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import PURPLE, Model
from notsoclevr.models.parts import TutorialRegressorRecipe, coordinates_out, image_in, unpadded_convolution

if TYPE_CHECKING:
    import keras


def build_tutorial_strided_regressor(recipe: TutorialRegressorRecipe) -> keras.Model:
    """Return the tutorial's regressor for the quadrant split, which ends in a 2x2 convolution and no average.

    Its batch normalisation stands after the activation. The tutorial's own takes mean and variance from the batch when
    it is tested, too; this one takes those that it has seen in training, as Keras does.
    """
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
    # kernel size, stride, batch normalisation after the activation; 16 filters each
    stack = ((5, 2, False), (1, 1, True), (3, 1, False), (3, 2, False), (3, 2, True), (3, 2, False), (1, 1, False))
    for i, (kernel_size, strides, norm) in enumerate(stack, start=1):
        x = unpadded_convolution(recipe, i, 16, kernel_size, strides=strides)(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
    x = unpadded_convolution(recipe, len(stack) + 1, 2, 2)(x)  # (n, 1, 1, 2)
    return keras.Model(inputs, coordinates_out(layers.Flatten()(x), recipe, lowest=0))


ENTRY = Model(
    name="tutorial_strided_regressor",
    title="tutorial's regressor, strided",
    short="tutorial's, strided",
    task="regression",
    recipe=TutorialRegressorRecipe,
    build=build_tutorial_strided_regressor,
    coordinates=False,
    colour=PURPLE,
)
