"""The files of one cell, results/<model>-<split>/: written whole by a training, read by everything that follows.

model.keras        the fitted network; pixels in, pixels out
metrics.json       what was trained and how good it is; the same bytes whenever the same experiment is trained on the
                   same machine
history.csv        one row per measured epoch, of the training set and the test set
predictions.npz    what it says at every position, in the order of the dataset: coordinates uint8 (n, 2), is_test
                   bool (n,), predictions float16 (n, 64, 64) or float32 (n, 2), points float32 (n, 2) where an image
                   names a point, a metric a name ("exact", ...), and snapshots (1 + measured epochs, k, ...):
                   predictions for the showcase squares, whose places are in showcase (k,), before training and after
                   each of these epochs
figures/           the pictures
run.json           the MLflow run of the training       } of one machine, ignored by git; no stage
timings.json       how long the training took           } depends on them
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from notsoclevr.archives import write_npz, write_zip
from notsoclevr.config import check
from notsoclevr.dataset import MARGIN, POSITIONS
from notsoclevr.errors import TAKE_BACK, StudyError, describe
from notsoclevr.evaluation import Row, summarise
from notsoclevr.experiment import Experiment
from notsoclevr.files import atomic_write, write_json, write_rows
from notsoclevr.models import MODELS, Model
from notsoclevr.splits import SPLITS
from notsoclevr.tasks import TASKS, Task

if TYPE_CHECKING:
    import keras

    from notsoclevr.training import Fit

NUMBERS = ("parameters", "training_operations", "epochs")  # of a training, in metrics.json


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """A trained cell as its files tell it.

    Args:
        directory: Where they are.
        metrics: Content of metrics.json.
        history: Rows of history.csv.
        predictions: Arrays of predictions.npz by name.
    """

    directory: Path
    metrics: dict[str, Any]
    history: list[Row]
    predictions: dict[str, npt.NDArray[Any]]

    @property
    def name(self) -> str:
        """<model>-<split>."""
        return f"{self.metrics['model']}-{self.metrics['split']}"

    @property
    def experiment(self) -> Experiment:
        """What was trained."""
        return Experiment(
            model=self.metrics["model"],
            split=SPLITS[self.metrics["split"]](**self.metrics["split_arguments"]),
            seed=self.metrics["seed"],
            recipe=self.model.recipe(**self.metrics["recipe"]),
        )

    @property
    def model(self) -> Model:
        """Its entry in the table of models."""
        return MODELS[self.metrics["model"]]

    @property
    def task(self) -> Task:
        """Its task."""
        return TASKS[self.model.task]

    @property
    def points(self) -> npt.NDArray[Any] | None:
        """The point (row, column) that it names at every position, (n, 2); None if it names none."""
        return self.predictions["predictions"] if self.task.answer == "point" else self.predictions.get("points")


def save(directory: Path, experiment: Experiment, fit: Fit) -> None:
    """Write model.keras, metrics.json, history.csv and predictions.npz.

    Args:
        directory: Where to.
        experiment: What was trained.
        fit: What came of it.
    """
    save_network(directory / "model.keras", fit.network)
    metrics = summarise(experiment, fit.canvas, fit.outputs, fit.history, fit.network)
    write_json(directory / "metrics.json", metrics)
    write_rows(directory / "history.csv", fit.history)
    save_predictions(directory / "predictions.npz", experiment.task, fit)


def save_network(path: Path, network: keras.Model) -> None:
    """Write a network as a .keras file, the same bytes for the same network."""
    network.save(path)
    make_reproducible(path)


def make_reproducible(path: Path) -> None:
    """Write a .keras file anew, without the time of writing and the places in memory that Keras notes in it."""
    with ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    metadata = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({"keras_version": metadata["keras_version"]}).encode()
    numbers: dict[bytes, bytes] = {}
    members["config.json"] = re.sub(
        rb'(?<="shared_object_id": )\d+',
        lambda found: numbers.setdefault(found[0], str(len(numbers)).encode()),
        members["config.json"],
    )
    write_zip(path, members)


def save_predictions(path: Path, task: Task, fit: Fit) -> None:
    """Write predictions.npz; images at half precision, points at single precision."""
    kind = np.float32 if task.answer == "point" else np.float16
    arrays = {
        "coordinates": fit.canvas.dataset.coordinates,
        "is_test": fit.canvas.is_test,
        "predictions": task.predictions(fit.outputs).astype(kind),
        "showcase": fit.showcase,
        "snapshots": fit.snapshots.astype(kind),
        **task.measure(fit.canvas.dataset, fit.outputs),
    }
    if task.answer == "image" and task.points:
        arrays["points"] = task.points(fit.outputs)
    write_npz(path, arrays)


def save_timings(directory: Path, epoch_seconds: list[float], total_seconds: float, digest: str) -> None:
    """Write timings.json.

    Args:
        directory: Where to.
        epoch_seconds: Time that each epoch trained, without what was measured after it.
        total_seconds: Time of the whole command, from its start until the results were written.
        digest: Fingerprint of the results in the folder, which they are of.
    """
    timings = {"epoch_seconds": epoch_seconds, "total_seconds": total_seconds, "results": digest}
    with atomic_write(directory / "timings.json") as path:
        write_json(path, timings)


def save_run(directory: Path, run_id: str | None, digest: str) -> None:
    """Write run.json.

    Args:
        directory: Where to.
        run_id: The id of the MLflow run; None if there is none.
        digest: Fingerprint of the results in the folder: those of another training are not that run's.
    """
    with atomic_write(directory / "run.json") as path:
        write_json(path, {"run_id": run_id, "results": digest})


def load_run(directory: Path, digest: str) -> str | None:
    """Return the id of the MLflow run that results with this fingerprint came of; None if run.json does not say so."""
    return _load_own(directory / "run.json", digest).get("run_id")


def load_timings(directory: Path, digest: str) -> dict[str, Any]:
    """Load timings.json; nothing if it is not of results with this fingerprint."""
    return _load_own(directory / "timings.json", digest)


def _load_own(path: Path, digest: str) -> dict[str, Any]:
    """Load a file that DVC does not keep: after a checkout from its cache it is not there, or is of other results."""
    try:
        known = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    return known if known.get("results") == digest else {}


def load(directory: Path, home: Path | None = None) -> Cell:
    """Load the files of a cell.

    Args:
        directory: Where they are.
        home: Where they will be, if they are about to move.

    Raises:
        StudyError: A file is missing or is not what a training writes.
    """
    home = home or directory
    try:
        metrics = json.loads((directory / "metrics.json").read_text("utf-8"))
        with (directory / "history.csv").open(newline="", encoding="utf-8") as table:
            history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]
        # np.load leaves a file open that it opened itself and cannot read
        with (directory / "predictions.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            predictions = {name: arrays[name] for name in arrays.files}
        cell = Cell(directory=home, metrics=metrics, history=history, predictions=predictions)
        if metrics["model"] not in MODELS:
            raise StudyError(f"{home}: holds the results of {cell.name}; {TAKE_BACK}")
        if not history:
            raise StudyError(f"{home}: history.csv has no row; {TAKE_BACK}")
        if problem := next(chain(_wrong_arrays(cell), _wrong_tables(cell), _contradictions(cell)), None):
            raise StudyError(f"{home}: {problem}; {TAKE_BACK}")
    except FileNotFoundError as error:
        raise StudyError(f"{error.filename}: no such file; {TAKE_BACK}") from None
    except StudyError:
        raise
    except Exception as error:  # whatever json, csv, zipfile and NumPy say of a damaged file
        raise StudyError(f"{home}: its results cannot be read ({describe(error)}); {TAKE_BACK}") from None
    return cell


def is_finite(history: list[Row]) -> bool:
    """Return whether all that was measured in a training is finite: of one that diverged it is not."""
    return bool(np.isfinite([value for row in history for value in row.values()]).all())


def _wrong_arrays(cell: Cell) -> Iterator[str]:
    """Yield what is in predictions.npz though no training on Not-so-Clevr writes it.

    Raises:
        LookupError: An array is not there at all.
    """
    n, arrays, task = POSITIONS**2, cell.predictions, cell.task
    shapes: dict[str, tuple[int, ...]] = {
        "coordinates": (n, 2),
        "is_test": (n,),
        "predictions": (n, *task.answer_shape),
        **{metric.name: (n,) for metric in task.metrics},
        "snapshots": (1 + len(cell.history), len(arrays["showcase"]), *task.answer_shape),
    }
    if task.answer == "image" and task.points:
        shapes["points"] = (n, 2)
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            yield f"{name} of predictions.npz has the shape {arrays[name].shape}, not {shape}"
        if not np.isfinite(arrays[name]).all():
            yield f"{name} of predictions.npz is not finite everywhere"
    centres = np.stack(np.divmod(np.arange(n), POSITIONS), axis=1) + MARGIN
    if not np.array_equal(arrays["coordinates"], centres):
        yield "coordinates of predictions.npz are not the positions of Not-so-Clevr, row by row"
    if not np.isin(arrays["showcase"], np.arange(n)).all():
        yield "showcase of predictions.npz has places that are not on the canvas"


def _wrong_tables(cell: Cell) -> Iterator[str]:
    """Yield what is in metrics.json and history.csv though no training writes it."""
    names = ["loss", *(metric.name for metric in cell.task.metrics)]
    measured = [f"{part}_{name}" for part in ("train", "test") for name in names]
    needed = {
        "metrics.json": (cell.metrics, ["seed", "recipe", *NUMBERS, "epochs_to_perfect", *measured]),
        "history.csv": (cell.history[0], ["epoch", *measured]),
    }
    for name, (content, keys) in needed.items():
        if missing := [key for key in keys if key not in content]:
            yield f"{name} has no {', '.join(missing)}"
    for key in ("seed", *NUMBERS, *measured):
        if not isinstance(cell.metrics[key], int | float) or not np.isfinite(cell.metrics[key]):
            yield f"{key} of metrics.json is {cell.metrics[key]!r}, no finite number"
    epochs, last = [row["epoch"] for row in cell.history], cell.metrics["epochs"]
    if epochs != sorted({*epochs}) or not all(epoch.is_integer() and 1 <= epoch <= last for epoch in epochs):
        yield "history.csv has epochs that are none of the training, or twice"
    perfect = cell.metrics["epochs_to_perfect"]
    if perfect is not None and perfect not in epochs:
        yield f"epochs_to_perfect of metrics.json is {perfect!r}, no epoch of history.csv"
    if not is_finite(cell.history):
        yield "history.csv is not finite everywhere"


def _contradictions(cell: Cell) -> Iterator[str]:
    """Yield where the files of a cell say one thing here and another there.

    Raises:
        LookupError: The split is none.
        StudyError: The recipe, or the arguments of the split, are none.
    """
    place = cell.directory / "metrics.json"
    check(cell.model.recipe, cell.metrics["recipe"], place, "recipe")
    check(SPLITS[cell.metrics["split"]], cell.metrics["split_arguments"], place, "split_arguments")
    for key, implied in {"task": cell.model.task, "epochs": cell.metrics["recipe"]["epochs"]}.items():
        if cell.metrics[key] != implied:
            yield f"{key} of metrics.json is {cell.metrics[key]!r}; its model and recipe say {implied!r}"
    is_test = cell.predictions["is_test"]
    for part, members in (("train", ~is_test), ("test", is_test)):
        for metric in cell.task.metrics:
            name, mean = f"{part}_{metric.name}", cell.predictions[metric.name][members].mean()
            if not np.isclose(cell.metrics[name], mean, rtol=1e-4):  # git has the one file, DVC the other
                yield f"{name} of metrics.json is {cell.metrics[name]:.6g}, of predictions.npz {mean:.6g}"
