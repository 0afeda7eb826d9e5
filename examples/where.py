"""Where to put CoordConv: position of the layer, number of layers, radius, on two tasks and three seeds.

    make where        # writes examples/where.csv and prints the table in docs/coordconv.md: forty minutes on one core

The network is that of locate.py: five convolutions, global max pooling, a dense layer. One or two of the
convolutions, or all five, are CoordConv2D, with and without the radius. No training image has its object in the
bottom right quarter; a network is asked both where training has been and in that corner.

- "disc": the task of locate.py. Where is the centre of the disc?
- "digit": which handwritten digit is it, and where is its centre? The 1,797 images of 8 x 8 pixels that scikit-learn
  ships, at twice their size in noise on 48 x 64 pixels. One fifth of them is for the test only, another for the
  choice of the rate.

All train for 288 steps of Adam; the rate rises in 30 steps, then falls to 0. Each network is trained at four rates
and shown at the one that is best for it: that of the lowest loss, mean over the seeds, on images that it was not
trained on, none of them with its object in the corner.
"""

import argparse
import csv
import itertools
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import numpy as np
from keras import layers, ops
from locate import HEIGHT, WIDTH, draw_images
from sklearn.datasets import load_digits

from coordconv import CoordConv2D

# Which of the five convolutions are CoordConv2D, counted from 1.
PLACEMENTS = {
    "none": (),
    "first": (1,),
    "third": (3,),
    "fourth": (4,),
    "fifth": (5,),
    "first two": (1, 2),
    "last two": (4, 5),
    "all five": (1, 2, 3, 4, 5),
}
TASKS = ("disc", "digit")
SEEDS = (0, 1, 2)
RATES = (0.001, 0.003, 0.01, 0.03)
WARM_UP = 30  # steps
FIFTHS = {"test": (0,), "validation": (1,), "training": (2, 3, 4)}  # of the handwritten digits
MIDDLE = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])  # pixels


def draw_digits(number, seed, corner, part):
    """Paste digits on noise: images (number, HEIGHT, WIDTH, 1), centres (number, 2) in pixels, classes (number,).

    Args:
        number: How many.
        seed: Of the random numbers.
        corner: Whether the digits are in the bottom right quarter, or everywhere else.
        part: Which of the handwritten digits to take, a key of FIFTHS.
    """
    digits, classes = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    of_part = np.isin(np.arange(len(digits)) % 5, FIFTHS[part])
    chosen = random.choice(np.flatnonzero(of_part), size=number)
    side = 16
    # The first pixel of each digit: its centre, side / 2 - 0.5 pixels further, decides on the corner.
    places = random.integers(0, [HEIGHT - side + 1, WIDTH - side + 1], size=(8 * number, 2))
    centres = places + (side - 1) / 2
    places = places[np.all(centres > [HEIGHT / 2, WIDTH / 2], axis=1) == corner][:number]
    images = random.normal(0, 0.15, size=(number, HEIGHT, WIDTH))
    for image, digit, (row, column) in zip(images, digits[chosen], places, strict=True):
        image[row : row + side, column : column + side] += np.kron(digit.reshape(8, 8) / 16, np.ones((2, 2)))
    return images[..., None].astype("float32"), places + (side - 1) / 2, classes[chosen]


def draw(task, number, seed, corner, part):
    """Return the images, and the targets (number, 2 or 3): row, column from -1 to 1, and the class."""
    if task == "disc":
        images, centres = draw_images(number, seed, corner)
        return images, (centres - MIDDLE) / MIDDLE
    images, centres, classes = draw_digits(number, seed, corner, part)
    return images, np.column_stack([(centres - MIDDLE) / MIDDLE, classes]).astype("float32")


def build(task, placement, radius):
    """Make the network; it answers (row, column) in units of the coordinates, then 10 logits for a digit."""

    def convolution(number, *arguments, **options):
        options |= {"padding": "same", "activation": "relu"}
        if number in PLACEMENTS[placement]:
            return CoordConv2D(*arguments, radius=radius, **options)
        return layers.Conv2D(*arguments, **options)

    return keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 1)),
            convolution(1, 16, 5, strides=2),
            convolution(2, 32, 3, strides=2),
            convolution(3, 32, 3),
            convolution(4, 32, 1),
            convolution(5, 32, 1),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2 if task == "disc" else 12),
        ]
    )


def loss(targets, answers):
    """Squared error of the place, and the cross-entropy of the class where one is asked for."""
    place = ops.mean(ops.square(targets[:, :2] - answers[:, :2]), axis=-1)
    if targets.shape[1] == 2:
        return place
    return place + ops.sparse_categorical_crossentropy(targets[:, 2], answers[:, 2:], from_logits=True)


def train(task, placement, radius, rate, seeds, images, epochs):
    """Train a network once a seed and yield its metrics.

    Yields:
        For each seed a dictionary: number of `weights`, `validation_loss`, `seen_px` and `unseen_px`, mean distances
        in pixels, `seen_class` and `unseen_class`, shares of digits named right, empty for discs.
    """
    batch = 32
    model = build(task, placement, radius)
    steps = epochs * images // batch
    rising = min(WARM_UP, steps // 2)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - rising, warmup_target=rate, warmup_steps=rising)
    model.compile(keras.optimizers.Adam(schedule), loss)
    model.optimizer.build(model.trainable_variables)
    for seed in seeds:
        # One model for all seeds, so that it is compiled once: new weights, and nothing in the optimizer.
        keras.utils.set_random_seed(seed)
        model.set_weights(build(task, placement, radius).get_weights())
        for variable in model.optimizer.variables:
            variable.assign(ops.zeros_like(variable))
        inputs, targets = draw(task, images, 1000 * seed, False, "training")
        model.fit(inputs, targets, batch_size=batch, epochs=epochs, verbose=0)
        inputs, targets = draw(task, 500, 1000 * seed + 2, False, "validation")
        validation_loss = model.evaluate(inputs, targets, batch_size=100, verbose=0)
        metrics = {"weights": model.count_params(), "validation_loss": f"{validation_loss:.4f}"}
        for name, corner in (("seen", False), ("unseen", True)):
            inputs, targets = draw(task, 500, 1000 * seed + 1, corner, "test")
            answers = model.predict(inputs, batch_size=100, verbose=0)
            distances = np.linalg.norm((answers[:, :2] - targets[:, :2]) * MIDDLE, axis=1)
            metrics[f"{name}_px"] = f"{distances.mean():.2f}"
            right = "" if task == "disc" else f"{np.mean(answers[:, 2:].argmax(axis=1) == targets[:, 2]):.3f}"
            metrics[f"{name}_class"] = right
        yield metrics


def best(rows, **network):
    """Return the rows of a network at the rate that is best for it: the lowest mean of `validation_loss`."""
    by_rate = {}
    for row in rows:
        if all(row[name] == value for name, value in network.items()):
            by_rate.setdefault(row["rate"], []).append(row)
    return min(by_rate.values(), key=lambda of_rate: np.mean([float(row["validation_loss"]) for row in of_rate]))


def cell(values, form):
    """Return the mean over the seeds as text, with the smallest and the largest."""
    low, mean, high = (form.format(number) for number in (min(values), np.mean(values), max(values)))
    return f"{mean} ({low}-{high})"


def summary(rows):
    """Return the lines of the table in docs/coordconv.md, in the order of the file."""
    lines = []
    for placement, radius in dict.fromkeys((row["placement"], row["radius"]) for row in rows):
        cells = [placement + (", radius" if radius == "yes" else "")]
        for task in TASKS:
            shown = best(rows, task=task, placement=placement, radius=radius)
            cells.append(shown[0]["rate"])
            cells += [cell([float(row[f"{place}_px"]) for row in shown], "{:.1f}") for place in ("seen", "unseen")]
        cells.append(cell([float(row["seen_class"]) for row in shown], "{:.0%}").replace("%", ""))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main(tasks=TASKS, rates=RATES, seeds=SEEDS, images=1536, epochs=6, path=None):
    """Train all, write the rows to `path` and print the table."""
    rows = []
    for task, (placement, places), radius, rate in itertools.product(tasks, PLACEMENTS.items(), (False, True), rates):
        if radius and not places:
            continue
        runs = train(task, placement, radius, rate, seeds, images, epochs)
        for seed, metrics in zip(seeds, runs, strict=True):
            row = {"task": task, "placement": placement, "layers": str(len(places))}
            row |= {"radius": "yes" if radius else "no", "rate": str(rate), "seed": seed}
            rows.append({**row, **metrics})
            print(*rows[-1].values(), flush=True)
    if path:
        temporary = path.with_name(".where.part.csv")  # which git ignores
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        temporary.rename(path)
    return rows


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    print(*summary(main(path=Path(__file__).with_suffix(".csv"))), sep="\n")
