"""What a network costs, in floating-point operations: the same number on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from notsoclevr.errors import StudyError

if TYPE_CHECKING:
    import keras

GIGA = 10**9
TRAINING = 3  # a training step counts as three times the forward pass: gradients for weights and for inputs


def forward_operations(network: keras.Model) -> int:
    """Return the floating-point operations of one example on its way through a network.

    Counted are the multiplications and additions of its kernels; all else is little beside them.

    Args:
        network: A built network of convolutions, transposed convolutions and dense layers; some may be in networks that
            are layers of it.

    Raises:
        StudyError: A layer has weights whose cost is not known here, so that the network would pass for a cheaper one.
    """
    import keras

    total = 0
    for layer in layers_of(network):
        # once a position of the output, or of the input of a transposed convolution
        tensor = layer.input if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output
        positions = math.prod(tensor.shape[1:-1])
        for weight in layer.trainable_weights:
            if weight.name.endswith("kernel"):
                total += 2 * positions * math.prod(weight.shape)
            elif len(weight.shape) > 1:
                raise StudyError(
                    f"{network.name}: the operations of layer {layer.name} are not counted: its weight {weight.name} "
                    f"is no kernel; a model takes convolutions, transposed convolutions and dense layers"
                )
    return total


def layers_of(network: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a network, and those of the networks in it."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer)
        else:
            yield layer


def training_operations(network: keras.Model, examples: int) -> int:
    """Return the floating-point operations of a training.

    Args:
        network: What is trained.
        examples: How many the training sees; each counts again in each epoch.
    """
    return TRAINING * forward_operations(network) * examples
