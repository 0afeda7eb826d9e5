"""What CoordConv2D costs, next to a plain Conv2D and to concatenation.

    python benchmarks/layer.py [--batch 32]

Times a forward pass and a training step of a single layer with ReLU, in graphs of TensorFlow, or compiled by JAX
with KERAS_BACKEND=jax: the step takes gradients for the weights, and for the inputs unless these are an image, and
updates the weights. Layers take turns, a call each in random order, so that whatever else the machine does meets
all of them; a time is the median over all rounds, a ratio the median of the ratios within a round. Prints a table
and writes benchmarks/layer.csv, with JAX layer_jax.csv. Under two minutes.
"""

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import ops

from coordconv import CoordConv2D

BACKEND = keras.backend.backend()
SECONDS_A_SIZE = 8
# Height, width, channels, filters, kernel size, whether the inputs are an image (no gradient is needed).
SIZES = [
    (64, 64, 2, 32, 1, True),
    (64, 64, 32, 64, 1, False),
    (128, 128, 3, 16, 3, True),
    (64, 64, 16, 16, 3, False),
    (64, 96, 16, 32, 3, False),
    (32, 48, 32, 32, 3, False),
    (32, 32, 64, 64, 3, False),
    (16, 16, 128, 128, 3, False),
    (8, 8, 256, 256, 3, False),
]


class Concatenation(keras.layers.Layer):
    """CoordConv as every published implementation has it: coordinates tiled, concatenated, convolved."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.conv = keras.layers.Conv2D(*args, **kwargs)

    def build(self, input_shape):
        """Create the weights of a convolution over two more channels."""
        self.conv.build((*input_shape[:-1], input_shape[-1] + 2))

    def call(self, inputs):
        """Concatenate and convolve."""
        batch, height, width, _ = ops.shape(inputs)
        rows = ops.reshape(ops.linspace(-1.0, 1.0, height), (1, height, 1, 1))
        columns = ops.reshape(ops.linspace(-1.0, 1.0, width), (1, 1, width, 1))
        rows = ops.tile(rows, (batch, 1, width, 1))
        columns = ops.tile(columns, (batch, height, 1, 1))
        return self.conv(ops.concatenate([inputs, rows, columns], axis=-1))


LAYERS = {"plain": keras.layers.Conv2D, "coordconv": CoordConv2D, "concatenation": Concatenation}
KINDS = ("forward", "training step")


def in_tensorflow(layer, inputs, is_image):
    """Return two compiled functions of no arguments, forward pass and training step, that wait for their result."""
    import tensorflow as tf

    inputs = tf.constant(inputs)
    signature = [tf.TensorSpec((None, *inputs.shape[1:]), tf.float32)]

    @tf.function(input_signature=signature)
    def forward(inputs):
        return layer(inputs)

    @tf.function(input_signature=signature)
    def step(inputs):
        with tf.GradientTape() as tape:
            if not is_image:
                tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(layer(inputs)))
        weights = [weight.value for weight in layer.trainable_weights]
        *gradients, inputs_gradient = tape.gradient(loss, [*weights, inputs])
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(0.01 * gradient)
        return loss if is_image else inputs_gradient

    return lambda: forward(inputs).numpy(), lambda: step(inputs).numpy()


def in_jax(layer, inputs, is_image):
    """Return the same two functions, compiled by JAX."""
    import jax

    inputs = jax.numpy.asarray(inputs)
    weights = [weight.value for weight in layer.trainable_weights]

    @jax.jit
    def forward(weights, inputs):
        return layer.stateless_call(weights, [], inputs)[0]

    @jax.jit
    def step(weights, inputs):
        def loss(weights, inputs):
            return ops.mean(ops.square(forward(weights, inputs)))

        gradients, *inputs_gradient = jax.grad(loss, (0,) if is_image else (0, 1))(weights, inputs)
        new = [weight - 0.01 * gradient for weight, gradient in zip(weights, gradients, strict=True)]
        return new, inputs_gradient

    wait = jax.block_until_ready
    return lambda: wait(forward(weights, inputs)), lambda: wait(step(weights, inputs))


COMPILED = {"tensorflow": in_tensorflow, "jax": in_jax}


def milliseconds(function):
    """Time one call."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def measure(batch, height, width, channels, filters, kernel_size, is_image):
    """Return {kind: array (rounds, layers)} of milliseconds."""
    inputs = np.random.default_rng(0).normal(size=(batch, height, width, channels)).astype("float32")
    functions = {kind: [] for kind in KINDS}
    for layer_class in LAYERS.values():
        layer = layer_class(filters, kernel_size, padding="same", activation="relu")
        layer.build(inputs.shape)
        for kind, function in zip(KINDS, COMPILED[BACKEND](layer, inputs, is_image), strict=True):
            for _ in range(3):
                function()
            functions[kind].append(function)
    rounds = {kind: [] for kind in KINDS}
    random = np.random.default_rng(0)
    end = time.perf_counter() + SECONDS_A_SIZE
    while time.perf_counter() < end:
        for kind, layers in functions.items():
            times = np.empty(len(layers))
            for place in random.permutation(len(layers)):
                times[place] = milliseconds(layers[place])
            rounds[kind].append(times)
    return {kind: np.array(times) for kind, times in rounds.items()}


def summary(ratios):
    """Return the lines of the table in docs/coordconv.md, from (kind, ours, concatenation) as strings."""
    lines = []
    for kind in KINDS:
        of_kind = np.array([row[1:] for row in ratios if row[0] == kind], float)
        cells = [f"{np.median(each):.2f} ({each.min():.2f}-{each.max():.2f})" for each in of_kind.T]
        faster = np.sum(of_kind[:, 0] < of_kind[:, 1])
        lines.append(f"| {kind} | {cells[0]} | {cells[1]} | {faster} of {len(of_kind)} |")
    return lines


def main():
    """Measure every size, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    batch = parser.parse_args().batch
    if BACKEND not in COMPILED:
        parser.error(f"KERAS_BACKEND is {BACKEND}; it takes {' or '.join(COMPILED)}")
    print(f"batch {batch}, {BACKEND}, Keras {keras.__version__}, {os.cpu_count()} cores")
    print(f"{'':29}{'':15}{'milliseconds':^42}{'times plain':^28}")
    print(f"{'size':29}{'':15}" + "".join(f"{n:>14}" for n in (*LAYERS, "coordconv", "concatenation")))
    rows = []
    for size in SIZES:
        height, width, channels, filters, kernel_size, _ = size
        for kind, times in measure(batch, *size).items():
            medians = np.median(times, axis=0)
            ratios = np.median(times / times[:, :1], axis=0)[1:]
            name = f"{height}x{width}x{channels} -> {filters}, {kernel_size}x{kernel_size}"
            numbers = "".join(f"{value:14.2f}" for value in medians) + "".join(f"{r:14.3f}" for r in ratios)
            print(f"{name:29}{kind:15}{numbers}", flush=True)
            row = [kind, batch, height, width, channels, filters, kernel_size, len(times)]
            rows.append([*row, *(f"{m:.3f}" for m in medians), *(f"{r:.3f}" for r in ratios)])
    print("\n".join(summary([[row[0], *row[-2:]] for row in rows])))
    header = ["kind", "batch", "height", "width", "channels", "filters", "kernel_size", "rounds"]
    header += [f"{name}_ms" for name in LAYERS]
    header += ["coordconv_over_plain", "concatenation_over_plain"]
    path = Path(__file__).with_name("layer.csv" if BACKEND == "tensorflow" else "layer_jax.csv")
    temporary = path.with_name(".layer.part.csv")
    with temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    temporary.rename(path)


if __name__ == "__main__":
    main()
