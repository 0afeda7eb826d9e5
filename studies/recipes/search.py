"""The search for the recipes of params.yaml: what was tried, one run after another, and what came out.

    python studies/recipes/search.py            # every group of GROUPS
    python studies/recipes/search.py NAME ...   # some of them

A run is a model, a split, a seed and a recipe. Each appends its row to results.csv when it ends; a run that
has its row is skipped, so the search goes on where it was stopped. `kill -USR1 PID` ends a hopeless run after
its epoch: its row is kept and says how many epochs it ran.

Nothing is selected on the committed cells (quadrant without its lower right corner, uniform split seed 0,
training seed 0): the search holds out other corners and draws other splits and seeds.
"""

from __future__ import annotations

import csv
import dataclasses
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from notsoclevr import training

training.import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tried import GROUPS  # noqa: E402

from notsoclevr.config import load  # noqa: E402
from notsoclevr.dataset import Dataset, Split, generate, split_quadrant, split_uniform  # noqa: E402
from notsoclevr.models import MODELS  # noqa: E402
from notsoclevr.recipes import Recipe  # noqa: E402
from notsoclevr.tasks import TASKS, Task  # noqa: E402

RESULTS = Path(__file__).with_name("results.csv")
PARAMS = Path(__file__).parents[2] / "params.yaml"
# The settings that were searched; those that came later are as params.yaml has them.
RECIPE_KEYS = [
    *("scale_coordinates", "kernel_initializer", "optimizer", "learning_rate", "beta_2", "schedule", "warmup_epochs"),
    *("weight_decay", "batch_size", "epochs", "width", "kernel_size", "batch_norm", "pixel_value"),
]
RUN_KEYS = ["model", "split", "held_out", "seed", *RECIPE_KEYS]
FOUND_KEYS = [
    "group",
    "epochs_run",
    "parameters",
    "train_exact",
    "test_exact",
    "test_iou",
    "test_error_px",
    "train_loss",
    "test_loss",
    "epochs_to_perfect",
    "train_seconds",
    "test_exact_by_epoch",
]
Run = dict[str, Any]


def runs(names: list[str]) -> Iterator[Run]:
    """Every run of the named groups: the values of `RUN_KEYS` and the name of its group."""
    for name in names:
        for model, split, held_out, seeds, recipe in GROUPS[name]:
            # Fails at once, before any training, on a key that is wrong.
            recipe_of(model, recipe)
            for seed in seeds:
                yield {
                    "group": name,
                    "model": model,
                    "split": split,
                    "held_out": held_out,
                    "seed": seed,
                    **recipe,
                }


def recipe_of(model: str, values: Run) -> Recipe:
    """The recipe of params.yaml with what a run says of it."""
    names = {field.name for field in dataclasses.fields(MODELS[model].recipe)}
    searched = {name: value for name, value in values.items() if name in RECIPE_KEYS}
    if unknown := set(searched) - names:
        raise ValueError(f"{unknown} is no setting of {model}")
    return dataclasses.replace(load(PARAMS).models[model], **searched)


def identity(run: Run) -> tuple[str, ...]:
    """What makes two runs the same run, as text, as the csv holds it."""
    return tuple(str(run.get(key, "")) for key in RUN_KEYS)


def split_of(run: Run) -> Split:
    """The split of a run; `held_out` is the corner of a quadrant split or the seed of a uniform one."""
    if run["split"] == "quadrant":
        return split_quadrant(generate(), corner=run["held_out"], boundary=32)
    return split_uniform(generate(), train_share=0.8, seed=run["held_out"])


class Measure(keras.callbacks.Callback):
    """Measures the test half after each epoch, and the training half where it decides something.

    That is at the end, and when the test half is perfect. Measuring costs a third of an epoch otherwise.
    """

    def __init__(self, task: Task, split: Split, epochs: int) -> None:
        super().__init__()
        self.task, self.split, self.epochs = task, split, epochs
        self.test_exact: list[float] = []
        self.epochs_to_perfect: int | None = None
        self.seconds = 0.0
        signal.signal(signal.SIGUSR1, self._stop)

    def _stop(self, *_: Any) -> None:
        self.epochs = 0
        self.model.stop_training = True

    def _measure(self, half: Dataset) -> dict[str, float]:
        outputs = self.model.predict(self.task.inputs(half), batch_size=128, verbose=0)
        values = {name: float(value.mean()) for name, value in self.task.measures(half, outputs).items()}
        return {**values, "loss": float(self.task.loss()(self.task.targets(half), outputs))}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.started = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the clock and measure."""
        self.seconds += perf_counter() - self.started
        self.test = self._measure(self.split.test)
        self.test_exact.append(self.test["exact"])
        if self.test["exact"] == 1 or epoch + 1 >= self.epochs:
            self.train = self._measure(self.split.train)
            if self.test["exact"] == self.train["exact"] == 1 and not self.epochs_to_perfect:
                self.epochs_to_perfect = epoch + 1
        print(f"    epoch {epoch + 1}: test {self.test}", flush=True)


def train(run: Run) -> Run:
    """Train one network as the study trains it, and give its row."""
    recipe = recipe_of(run["model"], run)
    task, split = TASKS[MODELS[run["model"]].task], split_of(run)
    keras.backend.clear_session()
    keras.utils.set_random_seed(run["seed"])
    tf.config.experimental.enable_op_determinism()
    experiment = training.Experiment(model=run["model"], split=run["split"], seed=run["seed"], recipe=recipe)
    network = training._build(experiment, steps_per_epoch=-(-len(split.train) // recipe.batch_size))
    measure = Measure(task, split, recipe.epochs)
    network.fit(
        task.inputs(split.train),
        task.targets(split.train),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        callbacks=[measure],
        verbose=0,
    )
    return {
        **run,
        "epochs_run": len(measure.test_exact),
        "parameters": sum(int(np.prod(weight.shape)) for weight in network.trainable_variables),
        "train_exact": measure.train["exact"],
        "test_exact": measure.test["exact"],
        "test_iou": measure.test.get("iou", ""),
        "test_error_px": measure.test.get("error_px", ""),
        "train_loss": f"{measure.train['loss']:.3g}",
        "test_loss": f"{measure.test['loss']:.3g}",
        "epochs_to_perfect": measure.epochs_to_perfect or "",
        "train_seconds": round(measure.seconds, 1),
        "test_exact_by_epoch": " ".join(f"{value:.4g}" for value in measure.test_exact),
    }


def main(names: list[str]) -> None:
    """Do the runs of the named groups, or of all, that have no row yet."""
    done = set()
    if RESULTS.exists():
        with RESULTS.open(newline="") as file:
            done = {identity(row) for row in csv.DictReader(file)}
    for run in runs(names or list(GROUPS)):
        if identity(run) in done:
            continue
        print(run, flush=True)
        row = train(run)
        print("   ", {key: row[key] for key in FOUND_KEYS}, flush=True)
        with RESULTS.open("a", newline="") as file:
            writer = csv.DictWriter(file, RUN_KEYS + FOUND_KEYS)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
        done.add(identity(run))


if __name__ == "__main__":
    main(sys.argv[1:])
