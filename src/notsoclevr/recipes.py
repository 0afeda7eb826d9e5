"""Recipes: every number that decides how one model is built and trained, each a key of params.yaml.

A recipe is flat, so that it is one section of params.yaml, one set of MLflow parameters, and one thing to override.
The classes hold no values: structure lives in Python, hyper-parameters live in YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True)

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Args:
        scale_coordinates: The network counts in units of half a canvas, -1 to 1, instead of in pixels, 0 to 63.
            Its ends still speak pixels: a rescaling is the first or the last layer of the network.
        kernel_initializer: "he_normal", as in the paper's code, or "glorot_uniform", Keras's own default.
        optimizer: "adamw" decays the weights themselves; "adam" adds the decay to the loss, as an L2 penalty on the
            kernels, which is what the paper and the tutorial do.
        learning_rate: The highest one of the schedule.
        beta_2: How slowly the optimizer forgets the size of earlier gradients: over 1 / (1 - beta_2) steps. Keras's
            own is 0.999, the paper's 0.99.
        schedule: "constant", "cosine" down to 0 at the end of the last epoch, or "steps", a tenth after each fifth of
            the epochs, as the paper's code has it.
        warmup_epochs: Epochs, possibly 0, over which the learning rate first rises from 0, in a straight line.
        weight_decay: Strength of the decay, 0 for none.
        batch_size: Examples a step.
        epochs: Passes over the training half.
    """

    __pydantic_config__ = STRICT

    scale_coordinates: bool
    kernel_initializer: Literal["glorot_uniform", "he_normal"]
    optimizer: Literal["adam", "adamw"]
    learning_rate: Positive
    beta_2: Share
    schedule: Literal["constant", "cosine", "steps"]
    warmup_epochs: CountOrNone
    weight_decay: NotNegative
    batch_size: Count
    epochs: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordConvRecipe(Recipe):
    """A network of convolutions that may be told where they are.

    Args:
        coordinate_layers: The convolutions that are: "first" and "every" one are CoordConv, with "none" all are plain.
        radius: They are told the distance from the centre too.
    """

    coordinate_layers: Literal["none", "first", "every"]
    radius: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStagePainterRecipe(CoordConvRecipe):
    """The paper's and the tutorial's painter.

    Args:
        width: Factor on the number of channels of the convolutions that draw, the paper's c.
        kernel_size: Side of their kernels in pixels, the paper's fs.
    """

    width: Count
    kernel_size: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordConvRegressorRecipe(CoordConvRecipe):
    """The paper's CoordConv regressor.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
        activation: Of the hidden layers; the paper's code has none, "linear".
        pooling: What the canvas is reduced to a point with.
        separate_coordinates: The coordinates have a filter of 1x1 of their own, the paper's footnote 2.
    """

    pixel_value: Positive
    activation: Literal["linear", "relu"]
    pooling: Literal["max", "average"]
    separate_coordinates: bool


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
    batch_norm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeconvPainterRecipe(DeconvRecipe):
    """Transposed convolutions that paint.

    Args:
        loss: Of a pixel: "cross_entropy" of a logit, or "squared_error" of the output itself. The paper tried both.
    """

    loss: Literal["cross_entropy", "squared_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StridedRegressorRecipe(CoordConvRecipe):
    """A plain convolutional regressor.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
        width: Factor on the number of channels of the hidden layers, the paper's c.
        padding: What the convolutions see beyond the edge: "same" is zeros, "reflect" the picture in a mirror,
            "circular" its other side. Without padding ("valid") nothing would be left of the picture.
    """

    pixel_value: Positive
    width: Count
    padding: Literal["same", "reflect", "circular"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledRegressorRecipe(CoordConvRecipe):
    """A plain convolutional regressor, shallow enough to go without padding.

    Args:
        pixel_value: Brightness of the lit pixel as the first convolution sees it; in the data it is 1.
        width: Factor on the number of channels of the hidden layers, the paper's c.
        padding: As in `StridedRegressorRecipe`, or "valid", nothing: the picture shrinks from layer to layer.
    """

    pixel_value: Positive
    width: Count
    padding: Literal["same", "valid", "reflect", "circular"]
