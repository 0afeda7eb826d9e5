"""The paper's baseline classifier, of transposed convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notsoclevr.models.model import VERMILION, Model
from notsoclevr.models.parts import DeconvRecipe, coordinates_in, deconv_stack

if TYPE_CHECKING:
    import keras


def build_deconv_classifier(recipe: DeconvRecipe) -> keras.Model:
    """Return the paper's baseline classifier: transposed convolutions, one logit per pixel."""
    import keras
    from keras import layers

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, layers.Flatten(name="pixels")(deconv_stack(coordinates, recipe)))


ENTRY = Model(
    name="deconv_classifier",
    title="deconv classifier",
    short="deconv",
    task="classification",
    recipe=DeconvRecipe,
    build=build_deconv_classifier,
    coordinates=False,
    colour=VERMILION,
)
