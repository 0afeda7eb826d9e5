"""Classifier and painter of transposed convolutions, the paper's baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from notsoclevr.models.model import VERMILION, Model
from notsoclevr.models.parts import coordinates_in
from notsoclevr.recipes import Count, Recipe, Switch

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvRecipe(Recipe):
    """A stack of transposed convolutions.

    Args:
        width: Factor on the number of channels of the hidden layers, the paper's c.
        kernel_size: Side of the kernels in pixels, the paper's fs.
        batch_norm: Batch normalisation after each hidden layer: the paper's code has it, the tutorial's has not.
    """

    width: Count
    kernel_size: Count
    batch_norm: Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvPainterRecipe(DeconvRecipe):
    """Transposed convolutions that paint.

    Args:
        loss: Of a pixel: "cross_entropy" of a logit, or "squared_error" of the output itself. The paper tried both.
    """

    loss: Literal["cross_entropy", "squared_error"]


def _deconv_stack(coordinates: Any, recipe: DeconvRecipe) -> Any:
    """Return six transposed convolutions, which double a single pixel up to the canvas: (n, 2) -> (n, h, w, 1)."""
    from keras import layers

    def deconv(x: Any, filters: int, name: str) -> Any:
        return layers.Conv2DTranspose(
            filters,
            recipe.kernel_size,
            strides=2,
            padding="same",
            kernel_initializer=recipe.kernel_initializer,
            name=name,
        )(x)

    x = layers.Reshape((1, 1, 2), name="pixel")(coordinates)
    for i, filters in enumerate((64, 64, 64, 32, 32), start=1):
        x = deconv(x, filters * recipe.width, f"deconv_{i}")
        if recipe.batch_norm:
            x = layers.BatchNormalization(name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
    return deconv(x, 1, "logits")


def build_deconv_classifier(recipe: DeconvRecipe) -> keras.Model:
    """Return the paper's baseline classifier: transposed convolutions, one logit per pixel."""
    import keras
    from keras import layers

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, layers.Flatten(name="pixels")(_deconv_stack(coordinates, recipe)))


def build_deconv_painter(recipe: DeconvRecipe) -> keras.Model:
    """Return the paper's baseline painter: the classifier's transposed convolutions."""
    import keras

    inputs, coordinates = coordinates_in(recipe)
    return keras.Model(inputs, _deconv_stack(coordinates, recipe))


ENTRIES = (
    Model(
        name="deconv_classifier",
        title="deconv classifier",
        short="deconv",
        task="classification",
        recipe=DeconvRecipe,
        build=build_deconv_classifier,
        coordinates=False,
        colour=VERMILION,
    ),
    Model(
        name="deconv_painter",
        title="deconv painter",
        short="deconv",
        task="rendering",
        recipe=DeconvPainterRecipe,
        build=build_deconv_painter,
        coordinates=False,
        colour=VERMILION,
    ),
)
