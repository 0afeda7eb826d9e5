"""The plain regressors as the tutorial built them: not quite the paper's, and without padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from notsoclevr.models.model import PURPLE, VERMILION, Model
from notsoclevr.models.parts import coordinates_out, image_in
from notsoclevr.recipes import Positive, Recipe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class TutorialRegressorRecipe(Recipe):
    """A plain regressor of the tutorial.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
    """

    pixel_value: Positive


def build_tutorial_pooled_regressor(recipe: TutorialRegressorRecipe) -> keras.Model:
    """Return the tutorial's regressor for the uniform split, which pools with a stride of 1: 2.9 million weights."""
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
    for i in range(1, 5):
        x = _convolution(recipe, i, 16, 3)(x)
        if i < 4:
            x = layers.MaxPooling2D(2, strides=1, name=f"pool_{i}")(x)
    x = layers.Flatten()(x)  # (n, 53 * 53 * 16)
    x = layers.Dense(64, activation="relu", kernel_initializer=recipe.kernel_initializer, name="dense")(x)
    x = layers.Dense(2, kernel_initializer=recipe.kernel_initializer, name="point")(x)
    return keras.Model(inputs, coordinates_out(x, recipe))


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
        x = _convolution(recipe, i, 16, kernel_size, strides=strides)(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
    x = _convolution(recipe, len(stack) + 1, 2, 2)(x)  # (n, 1, 1, 2)
    return keras.Model(inputs, coordinates_out(layers.Flatten()(x), recipe, lowest=0))


def _convolution(recipe: Recipe, place: int, filters: int, kernel_size: int, **arguments: Any) -> Any:
    from keras import layers

    arguments |= {"activation": "relu", "kernel_initializer": recipe.kernel_initializer, "name": f"conv_{place}"}
    return layers.Conv2D(filters, kernel_size, **arguments)


ENTRIES = (
    Model(
        name="tutorial_pooled_regressor",
        title="tutorial's regressor, pooled",
        short="tutorial's, pooled",
        task="regression",
        recipe=TutorialRegressorRecipe,
        build=build_tutorial_pooled_regressor,
        coordinates=False,
        colour=VERMILION,
    ),
    Model(
        name="tutorial_strided_regressor",
        title="tutorial's regressor, strided",
        short="tutorial's, strided",
        task="regression",
        recipe=TutorialRegressorRecipe,
        build=build_tutorial_strided_regressor,
        coordinates=False,
        colour=PURPLE,
    ),
)
