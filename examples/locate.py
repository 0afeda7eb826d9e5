"""Where is the disc? Locating an object in an image, with and without CoordConv.

    python examples/locate.py             # a seed, under a minute on two cores
    make example                          # the numbers in docs/coordconv.md, over five seeds: examples/*.txt

The images are made here: 48 x 64 pixels of noise, a bright disc of random size, place and brightness, and
two squares that are not asked for. The answer is the centre of the disc, (row, column), in pixels. No
training image has its disc in the bottom right quarter; the test asks for it both where training has been
and in that corner.

Three networks share every layer but one or two:

- "pooling": convolutions, global max pooling, a dense layer. It sees the disc wherever it is, and that is the
  trouble: pooling keeps what was seen, not where.
- "flattening": the usual way out, a dense layer over all pixels of the feature map. It learns each place by
  itself, so it has nothing to say where no training disc has been.
- "coordconv": as "pooling", but one 1x1 convolution is a CoordConv2D, 64 weights more.

Each has the best of the learning rates 0.001, 0.003 and 0.01 for it. The first two stop learning at 0.01.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from keras import layers

from coordconv import CoordConv2D

HEIGHT, WIDTH = 48, 64
MARGIN = 6  # pixels from a centre to the border, so that the disc is whole
LEARNING_RATES = {"pooling": 0.003, "flattening": 0.003, "coordconv": 0.01}


def draw_images(number, seed, corner):
    """Make images (number, HEIGHT, WIDTH, 1) and the centres (number, 2) of their discs, in pixels.

    Args:
        number: How many.
        seed: Of the random numbers.
        corner: Whether the discs are in the bottom right quarter, or everywhere else. Squares are anywhere.
    """
    random = np.random.default_rng(seed)
    lowest, highest = (MARGIN, MARGIN), (HEIGHT - 1 - MARGIN, WIDTH - 1 - MARGIN)
    centres = random.uniform(lowest, highest, size=(8 * number, 2))
    in_corner = np.all(centres > [HEIGHT / 2, WIDTH / 2], axis=1)
    centres = centres[in_corner == corner][:number]
    squares = random.uniform(lowest, highest, size=(2, number, 2))

    pixels = np.stack(np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), axis=-1)
    images = random.normal(0, 0.15, size=(number, HEIGHT, WIDTH))
    for places, shape in ((centres, "disc"), (squares[0], "square"), (squares[1], "square")):
        offsets = pixels - places[:, None, None, :]
        distance = np.linalg.norm(offsets, axis=-1, ord=2 if shape == "disc" else np.inf)
        size = random.uniform(3, 5.5, size=(number, 1, 1))
        images += random.uniform(0.5, 1, size=(number, 1, 1)) * (distance < size)
    return images[..., None].astype("float32"), centres.astype("float32")


def build(name):
    """Make one of the three networks; it answers in units of the coordinates, -1 to 1."""
    coordconv = CoordConv2D if name == "coordconv" else layers.Conv2D
    return keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 1)),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            # Late and at low resolution, where a feature means "a disc is here": now it can say where.
            coordconv(32, 1, activation="relu"),
            layers.Conv2D(32, 1, activation="relu"),
            layers.Flatten() if name == "flattening" else layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )


def errors(name, seed, images, epochs):
    """Train a network; return its weights, mean error in pixels in seen and unseen places, and seconds."""
    keras.utils.set_random_seed(seed)
    model = build(name)
    inputs, centres = draw_images(images, 1000 * seed, corner=False)
    middle = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    batch = 32
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATES[name], epochs * images // batch)
    model.compile(keras.optimizers.Adam(rate), "mse")
    start = time.perf_counter()
    model.fit(inputs, (centres - middle) / middle, batch_size=batch, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    means = []
    for corner in (False, True):
        inputs, centres = draw_images(1000, 1000 * seed + 1, corner)
        answers = model.predict(inputs, verbose=0) * middle + middle
        means.append(np.mean(np.linalg.norm(answers - centres, axis=1)))
    return model.count_params(), *means, seconds


def main(seeds=1, images=3072, epochs=6):
    """Print the table and return the mean errors over the seeds: {name: (seen, unseen)}."""
    print(f"{'':12}{'weights':>8}{'error in pixels: seen places':>31}{'unseen corner':>20}{'seconds':>9}")
    table = {}
    for name in LEARNING_RATES:
        weights, seen, unseen, seconds = np.transpose([errors(name, seed, images, epochs) for seed in range(seeds)])
        cells = [f"{e.mean():.1f}" + (f" ({e.min():.1f}-{e.max():.1f})" if seeds > 1 else "") for e in (seen, unseen)]
        print(f"{name:12}{weights[0]:8,.0f}{cells[0]:>31}{cells[1]:>20}{seconds.mean():9.0f}", flush=True)
        table[name] = (seen.mean(), unseen.mean())
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the training images")
    arguments = parser.parse_args()
    main(arguments.seeds, epochs=arguments.epochs)
