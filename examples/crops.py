"""Where in the whole image? Crops of a larger image, with coordinates of their own and with those of the whole.

    python examples/crops.py     # one seed, about a minute on two cores
    make example                 # the numbers in docs/coordconv.md: examples/crops.txt

The images are made here: 96 x 128 pixels of noise, a bright disc and a square that is not asked for. A network sees
random crops of 48 x 64 pixels, as in training on images that are too large. It is asked for the centre of the disc,
in pixels, either of the crop or of the whole image.

Both networks are one: convolutions, a CoordConv2D, global max pooling. What differs is what that layer is called
with: nothing, so that it makes the coordinates of the crop, or the crop's part of the coordinates of the whole image.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse

import keras
import numpy as np
from keras import layers

from coordconv import CoordConv2D, coordinate_grid

WHOLE = np.array([96, 128])
CROP = np.array([48, 64])
MARGIN = 6  # pixels from a centre to the border of the crop, so that the disc is whole


def draw_crops(number, seed):
    """Make images and cut a crop with a whole disc out of each.

    Returns:
        The crops (number, 48, 64, 1); the centres (number, 2) of their discs in pixels of the crop; and the first
        pixel (number, 2) of each crop in its image.
    """
    random = np.random.default_rng(seed)
    centres = random.uniform(MARGIN, WHOLE - 1 - MARGIN, size=(number, 2))
    squares = random.uniform(MARGIN, WHOLE - 1 - MARGIN, size=(number, 2))
    lowest = np.maximum(np.ceil(centres + MARGIN - CROP + 1), 0)
    highest = np.minimum(np.floor(centres - MARGIN), WHOLE - CROP)
    firsts = random.integers(lowest, highest, endpoint=True)
    pixels = np.stack(np.meshgrid(*[np.arange(n) for n in WHOLE], indexing="ij"), axis=-1)
    crops = np.empty((number, *CROP, 1), "float32")
    for crop, centre, square, (row, column) in zip(crops, centres, squares, firsts, strict=True):
        image = random.normal(0, 0.15, size=WHOLE)
        image += random.uniform(0.5, 1) * (np.linalg.norm(pixels - centre, axis=-1) < random.uniform(3, 5.5))
        image += random.uniform(0.5, 1) * (np.abs(pixels - square).max(axis=-1) < random.uniform(3, 5.5))
        crop[..., 0] = image[row : row + CROP[0], column : column + CROP[1]]
    return crops, centres - firsts, firsts


def coordinates_of_the_whole(firsts):
    """Cut each crop's part (number, 48, 64, 2) out of the coordinates of the whole image."""
    whole = keras.ops.convert_to_numpy(coordinate_grid(WHOLE, data_format="channels_last"))[0]
    return np.stack([whole[row : row + CROP[0], column : column + CROP[1]] for row, column in firsts])


def build(given):
    """Make the network, with a second input for the coordinates if they are given."""
    image = keras.Input((*CROP, 1))
    where = keras.Input((*CROP, 2))
    hidden = layers.Conv2D(16, 5, strides=2, padding="same", activation="relu")(image)
    hidden = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Conv2D(32, 3, padding="same", activation="relu")(hidden)
    coordconv = CoordConv2D(32, 1, activation="relu")
    # Coordinates have the size of what the layer convolves: a pixel of the feature map is four of the crop.
    hidden = coordconv(hidden, coordinates=layers.AveragePooling2D(4)(where)) if given else coordconv(hidden)
    hidden = layers.Conv2D(32, 1, activation="relu")(hidden)
    answer = layers.Dense(2)(layers.GlobalMaxPooling2D()(hidden))
    return keras.Model([image, where] if given else image, answer)


def error(given, of_whole, images, epochs, seed=0):
    """Train a network and return its mean error in pixels, on crops of other images.

    Args:
        given: Whether it has the coordinates of the whole image.
        of_whole: Whether the place in the whole image is asked for.
        images: Number of images to train on.
        epochs: Passes over them.
        seed: Of the weights and the images.
    """
    keras.utils.set_random_seed(seed)
    model = build(given)
    middle = ((WHOLE if of_whole else CROP) - 1) / 2

    def draw(number, seed):
        crops, centres, firsts = draw_crops(number, seed)
        inputs = [crops, coordinates_of_the_whole(firsts)] if given else crops
        return inputs, centres + firsts if of_whole else centres

    inputs, centres = draw(images, 1000 * seed)
    batch = 32
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * images // batch)
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(inputs, (centres - middle) / middle, batch_size=batch, epochs=epochs, verbose=0)
    inputs, centres = draw(500, 1000 * seed + 1)
    answers = model.predict(inputs, verbose=0) * middle + middle
    return np.mean(np.linalg.norm(answers - centres, axis=1))


def main(images=2048, epochs=6):
    """Print the table and return the mean errors: {given: (in the crop, in the whole image)}."""
    print(f"{'coordinates of':16}{'error in pixels: in the crop':>30}{'in the whole image':>20}")
    table = {}
    for name, given in (("the crop", False), ("the whole image", True)):
        table[given] = [error(given, of_whole, images, epochs) for of_whole in (False, True)]
        print(f"{name:16}{table[given][0]:30.1f}{table[given][1]:20.1f}", flush=True)
    return table


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
