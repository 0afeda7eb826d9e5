"""The paper's plain regressor for the quadrant split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from notsoclevr.models.model import PURPLE, Model
from notsoclevr.models.parts import PlainRegressorRecipe, convolution, coordinates_out, image_in, padded

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class StridedRegressorRecipe(PlainRegressorRecipe):
    """A plain regressor that shrinks the picture by itself: without padding nothing would be left of it."""

    padding: Literal["same", "reflect", "circular"]


def build_strided_regressor(recipe: StridedRegressorRecipe) -> keras.Model:
    """Return the paper's plain regressor for the quadrant split: strided convolutions and a global average."""
    import keras
    from keras import layers

    inputs, x = image_in(recipe.pixel_value)
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
        x, padding = padded(x, kernel_size, strides, recipe.padding)
        x = convolution(recipe, i, filters, kernel_size, strides=strides, padding=padding)(x)
        if norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (n, 2)
    return keras.Model(inputs, coordinates_out(x, recipe, lowest=0))


ENTRY = Model(
    name="strided_regressor",
    title="conv regressor, strided",
    short="conv, strided",
    task="regression",
    recipe=StridedRegressorRecipe,
    build=build_strided_regressor,
    coordinates=False,
    colour=PURPLE,
)
