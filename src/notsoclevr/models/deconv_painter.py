"""The paper's baseline painter, of transposed convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from notsoclevr.models.model import VERMILION, Model
from notsoclevr.models.parts import DeconvRecipe, coordinates_in, deconv_stack

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvPainterRecipe(DeconvRecipe):
    """Transposed convolutions that paint.

    Args:
        loss: The loss of a pixel: "cross_entropy" of a logit, or "squared_error" of the output itself. The paper tried
            both. Outputs of the second should be -1/2 or 1/2; what is shown of them as a probability is their sigmoid,
            0.38 or 0.62.
    """

    loss: Literal["cross_entropy", "squared_error"]


def build_deconv_painter(recipe: DeconvRecipe) -> keras.Model:
    """Return the paper's baseline painter: the classifier's transposed convolutions."""
    import keras

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, deconv_stack(coordinates, recipe))


ENTRY = Model(
    name="deconv_painter",
    title="deconv painter",
    short="deconv",
    task="rendering",
    recipe=DeconvPainterRecipe,
    build=build_deconv_painter,
    coordinates=False,
    colour=VERMILION,
)
