"""What an epoch of the CoordConv classifier costs on one thread, here and as others write it.

    python benchmarks/training.py

The paper's classifier, 7,553 weights, over the 2,352 training examples of the quadrant split in batches of 16: with the
layer and the training of this repository; with tiled, concatenated coordinates and 1x1 `Conv2D` in Keras's `fit`, on
TensorFlow; and the same in PyTorch, eager and compiled. PyTorch comes from the environment of `make test-backends`.
Each runs in a process of its own, on one thread, in turn; an epoch to warm up, then one that counts. Prints medians and
writes benchmarks/training.csv. Ten minutes.
"""

import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
ROUNDS = 3
BATCH, FILTERS = 16, (32, 32, 64, 64, 1)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")} | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def examples():
    """Return coordinates (n, 2), float32, and the pixel that each names, int (n,), of the three trained quadrants."""
    import numpy as np

    places = np.stack(np.meshgrid(np.arange(4, 60), np.arange(4, 60), indexing="ij"), -1).reshape(-1, 2)
    places = places[~(places >= 32).all(axis=1)]
    return (places / 31.5 - 1).astype("float32"), places[:, 0] * 64 + places[:, 1]


def ours():
    """Return the seconds of an epoch of `notsoclevr.training`."""
    from dataclasses import replace

    from notsoclevr.config import load
    from notsoclevr.dataset import generate
    from notsoclevr.training import import_tensorflow, train

    import_tensorflow()
    asked = load(ROOT / "params.yaml").experiment("coordconv_classifier", "quadrant")
    asked = replace(asked, recipe=replace(asked.recipe, epochs=2, batch_size=BATCH))
    return train(asked, asked.split(generate()), measure_every=2).epoch_seconds[-1]


def keras_fit():
    """Return the seconds of an epoch of Keras's `fit` on TensorFlow."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers, ops

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    class AddCoordinates(layers.Layer):
        """Two channels more: row and column, tiled over the batch."""

        def call(self, inputs):
            """Concatenate."""
            line = ops.linspace(-1.0, 1.0, 64)
            grid = ops.stack(ops.meshgrid(line, line, indexing="ij"), -1)[None]
            return ops.concatenate([inputs, ops.tile(grid, (ops.shape(inputs)[0], 1, 1, 1))], -1)

        def compute_output_shape(self, shape):
            """Return the shape with the two channels."""
            return (*shape[:-1], shape[-1] + 2)

    inputs = keras.Input((2,))
    x = AddCoordinates()(layers.Reshape((64, 64, 2))(layers.RepeatVector(4096)(inputs)))
    for filters in FILTERS:
        x = layers.Conv2D(filters, 1, activation="relu" if filters > 1 else None)(x)
    model = keras.Model(inputs, layers.Flatten()(x))
    assert model.count_params() == 7553
    model.compile(keras.optimizers.AdamW(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    places, pixels = examples()
    model.fit(places, np.asarray(pixels), batch_size=BATCH, verbose=0)
    begun = perf_counter()
    model.fit(places, np.asarray(pixels), batch_size=BATCH, verbose=0)
    return perf_counter() - begun


def pytorch(compiled=False):
    """Return the seconds of an epoch of a plain PyTorch loop."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    line = torch.linspace(-1, 1, 64)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"))[None]

    class Classifier(nn.Module):
        """The paper's classifier."""

        def __init__(self):
            super().__init__()
            widths = (4, *FILTERS)
            stack = [layer for a, b in zip(widths, FILTERS, strict=False) for layer in (nn.Conv2d(a, b, 1), nn.ReLU())]
            self.stack = nn.Sequential(*stack[:-1])

        def forward(self, places):
            tiled = places[:, :, None, None].expand(-1, -1, 64, 64)
            return self.stack(torch.cat([tiled, grid.expand(len(places), -1, -1, -1)], 1)).flatten(1)

    model = Classifier()
    assert sum(weight.numel() for weight in model.parameters()) == 7553
    run = torch.compile(model) if compiled else model
    optimizer, loss = torch.optim.AdamW(model.parameters(), 0.01), nn.CrossEntropyLoss()
    places, pixels = map(torch.from_numpy, examples())

    def epoch():
        for part in torch.randperm(len(places)).split(BATCH):
            optimizer.zero_grad()
            loss(run(places[part]), pixels[part]).backward()
            optimizer.step()

    epoch()
    begun = perf_counter()
    epoch()
    return perf_counter() - begun


CONTESTANTS = {
    "this repository": (".venv", ours),
    "Keras on TensorFlow, fit": (".venv", keras_fit),
    "PyTorch, eager": (".venv-backends", pytorch),
    "PyTorch, compiled": (".venv-backends", lambda: pytorch(compiled=True)),
}


def main():
    """Measure all in turn, print and write."""
    seconds = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name, (environment, _) in CONTESTANTS.items():
            command = [ROOT / environment / "bin" / "python", __file__, name]
            done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr[-400:]}")
            seconds[name].append(float(done.stdout.split()[-1]))
            print(f"{name:26}{seconds[name][-1]:8.2f} s", flush=True)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "rounds", "seconds_an_epoch", "times_ours"])
        for name, median in medians.items():
            writer.writerow([name, ROUNDS, f"{median:.2f}", f"{median / medians['this repository']:.2f}"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(CONTESTANTS[sys.argv[1]][1]())
    else:
        main()
