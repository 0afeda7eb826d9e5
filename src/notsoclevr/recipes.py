"""Recipes: every number that decides how a model is built and trained, each a key of params.yaml.

A recipe is flat, so that it is one section of params.yaml, one set of MLflow parameters, and one thing to override.
The classes hold no values: structure lives in Python, hyper-parameters live in YAML. What a model has beyond these
settings stands beside its builder in `notsoclevr.models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

FORBID = ConfigDict(extra="forbid")  # a misspelt key is an error

# Every type is strict by itself: YAML has types, and text is no number.
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Args:
        scale_coordinates: The network computes with coordinates from -1 to 1 over the canvas (0 to 1 if it ends in a
            ReLU) instead of pixels, 0 to 63. A rescaling as its first or last layer converts them.
        kernel_initializer: "he_normal", as in the paper's code, or "glorot_uniform", Keras's own default.
        optimizer: "adamw" decays the weights themselves; "adam" adds the decay to the loss, as an L2 penalty on the
            kernels, as in the paper.
        learning_rate: The highest one of the schedule.
        beta_2: How slowly the optimizer forgets the size of earlier gradients: over 1 / (1 - beta_2) steps. Keras's
            own is 0.999, the paper's 0.99.
        schedule: "constant", "cosine" down to 0 at the end of the last epoch, or "steps", a tenth after each fifth of
            the epochs, as the paper's code has it.
        warmup_epochs: Epochs, possibly 0, over which the learning rate first rises from 0, in a straight line.
        weight_decay: Strength of the decay, 0 for none.
        batch_size: Examples a step.
        epochs: Passes over the training set.
    """

    __pydantic_config__ = FORBID

    scale_coordinates: Switch
    kernel_initializer: Literal["glorot_uniform", "he_normal"]
    optimizer: Literal["adam", "adamw"]
    learning_rate: Positive
    beta_2: Share
    schedule: Literal["constant", "cosine", "steps"]
    warmup_epochs: CountOrZero
    weight_decay: NotNegative
    batch_size: Count
    epochs: Count

    def __post_init__(self) -> None:
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}; it takes no more than epochs, which is {self.epochs}"
            )
        if self.warmup_epochs and self.schedule == "steps":
            raise ValueError(f"warmup_epochs is {self.warmup_epochs}; with the schedule steps it takes 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordConvRecipe(Recipe):
    """The recipe of a convolutional network that may have CoordConv layers.

    Args:
        coordinate_layers: Which convolutions are CoordConv layers: the "first", "every" one or "none".
        radius: Whether the CoordConv layers get the distance from the centre too.
    """

    coordinate_layers: Literal["none", "first", "every"]
    radius: Switch
