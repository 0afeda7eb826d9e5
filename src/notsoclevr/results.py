"""The files of one cell, results/<model>-<split>/: written whole by a training, read by everything that follows.

model.keras        the fitted network; pixels in, pixels out
metrics.json       how good it is; the same bytes whenever the same experiment is trained on the same machine
history.csv        a row an epoch, measured on both halves
timings.json       how long it took; apart, because it is never the same twice
predictions.npz    what it says at every position, in the order of the dataset: coordinates uint8 (n, 2), is_test
                   bool (n,), predictions float16 (n, 64, 64) or float32 (n, 2), a measure a name ("exact", ...),
                   and forming (1 + epochs, k, ...): the showcase squares, whose places are in showcase (k,)
figures/           the pictures
run.json           the MLflow run it was logged as; no stage reads it
"""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from notsoclevr.atomic import part, replacing
from notsoclevr.dataset import CANVAS, MARGIN, POSITIONS, SPLITS
from notsoclevr.errors import StudyError
from notsoclevr.evaluation import Canvas, score
from notsoclevr.models import MATRIX, MODELS
from notsoclevr.training import Experiment, Fit

Metrics = dict[str, Any]
Row = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """A trained cell as its files tell it.

    Args:
        directory: Where they are.
        metrics: Content of metrics.json.
        timings: Content of timings.json.
        history: Rows of history.csv.
        predictions: Arrays of predictions.npz by name.
    """

    directory: Path
    metrics: Metrics
    timings: dict[str, Any]
    history: list[Row]
    predictions: dict[str, npt.NDArray[Any]]

    @property
    def name(self) -> str:
        """<model>-<split>."""
        return f"{self.metrics['model']}-{self.metrics['split']}"

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.metrics["task"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A cell of the matrix that cannot be shown.

    Args:
        model: Its model.
        split: Its split.
        reason: What is wrong with its files, in one line.
    """

    model: str
    split: str
    reason: str

    @property
    def name(self) -> str:
        """<model>-<split>."""
        return f"{self.model}-{self.split}"


def summarise(experiment: Experiment, canvas: Canvas, fit: Fit) -> Metrics:
    """Give what goes into metrics.json: what was trained, and how well it answers after the last epoch."""
    perfect = [row["epoch"] for row in fit.history if row["train_exact"] == row["test_exact"] == 1]
    return {
        "task": MODELS[experiment.model].task,
        "model": experiment.model,
        "split": experiment.split,
        "seed": experiment.seed,
        "recipe": asdict(experiment.recipe),
        "parameters": fit.network.count_params(),
        "epochs": experiment.recipe.epochs,
        "epochs_to_perfect": min(perfect, default=None),
        **score(experiment.task, canvas, fit.outputs),
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV file whose columns are the keys of the first row; None is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that a person can read and git can compare."""
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


@contextmanager
def staging(directory: Path, root: Path) -> Iterator[Path]:
    """Yield an empty folder outside results/; what is in it when the block ends well moves to `directory`.

    A training that is killed then leaves nothing in results/, which the stage `evaluate` depends on. What it leaves at
    the root is ignored by git and DVC, and cleared by the next training.

    Args:
        directory: Where the results go.
        root: The repository, to stage in; for a `directory` that is elsewhere, the folder around it serves.

    Raises:
        OSError: One of the folders cannot be written. What was in `directory` is then still there, whole.
    """
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = part(root if directory.is_relative_to(root) else directory.parent, directory.name)
    shutil.rmtree(temporary, ignore_errors=True)  # of a dead process that had this one's number
    temporary.mkdir()
    try:
        yield temporary
        directory.mkdir(exist_ok=True)
        for new in temporary.iterdir():
            old = directory / new.name
            if old.is_dir():
                shutil.rmtree(old)
            shutil.move(new, old)  # a rename, but where a file system is mounted in between
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save(directory: Path, experiment: Experiment, canvas: Canvas, fit: Fit, showcase: npt.NDArray[Any]) -> None:
    """Write model.keras, metrics.json, history.csv and predictions.npz.

    Args:
        directory: Where to.
        experiment: What was trained.
        canvas: The examples.
        fit: What came of it.
        showcase: Places in the canvas of the showcase squares.
    """
    fit.network.save(directory / "model.keras")
    write_json(directory / "metrics.json", summarise(experiment, canvas, fit))
    write_rows(directory / "history.csv", fit.history)
    task = experiment.task
    predictions = task.predictions(fit.outputs)
    kind = np.float32 if predictions.ndim == 2 else np.float16
    np.savez_compressed(
        directory / "predictions.npz",
        coordinates=canvas.dataset.coordinates,
        is_test=canvas.is_test,
        predictions=predictions.astype(kind),
        showcase=showcase,
        forming=fit.forming.astype(kind),
        **task.measures(canvas.dataset, fit.outputs),  # type: ignore[arg-type]
    )


def save_timings(directory: Path, timings: dict[str, Any]) -> None:
    """Write timings.json."""
    with replacing(directory / "timings.json") as path:
        write_json(path, timings)


def load(directory: Path, home: Path | None = None) -> Cell:
    """Read the files of a cell.

    Args:
        directory: Where they are.
        home: Where they will be, if they are about to move.

    Raises:
        StudyError: A file is missing or is not what a training writes.
    """
    remedy = "train it again with `dvc repro` or `notsoclevr train`"
    try:
        metrics = json.loads((directory / "metrics.json").read_text("utf-8"))
        timings = json.loads((directory / "timings.json").read_text("utf-8"))
        with (directory / "history.csv").open(newline="", encoding="utf-8") as table:
            history = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]
        # np.load leaves a file open that it opened itself and cannot read
        with (directory / "predictions.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            predictions = {name: arrays[name] for name in arrays.files}
        cell = Cell(
            directory=home or directory, metrics=metrics, timings=timings, history=history, predictions=predictions
        )
        if not cell.name or metrics["model"] not in MODELS or not history:
            raise StudyError(f"{directory}: holds the results of {cell.name}; {remedy}")
        if problem := _foreign(cell):
            raise StudyError(f"{directory}: {problem}; {remedy}")
    except FileNotFoundError as error:
        raise StudyError(f"{error.filename}: no such file; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StudyError(
            f"{directory}: its results cannot be read ({type(error).__name__}: {error}); {remedy}"
        ) from None
    return cell


def _foreign(cell: Cell) -> str | None:
    """Say what in the files of a cell no training on Not-so-Clevr writes; None if there is nothing.

    Raises:
        KeyError: An array is not there at all.
    """
    n, arrays, epochs = POSITIONS**2, cell.predictions, len(cell.history)
    answer = (2,) if cell.task == "regression" else (CANVAS, CANVAS)
    measure = "iou" if cell.task == "rendering" else "error_px"
    shapes = {
        "coordinates": (n, 2),
        "is_test": (n,),
        "predictions": (n, *answer),
        "exact": (n,),
        measure: (n,),
        "forming": (1 + epochs, len(arrays["showcase"]), *answer),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            return f"{name} of predictions.npz has the shape {arrays[name].shape}, not {shape}"
        if not np.isfinite(arrays[name]).all():
            return f"{name} of predictions.npz is not finite everywhere"
    centres = np.stack(np.divmod(np.arange(n), POSITIONS), axis=1) + MARGIN
    if not np.array_equal(arrays["coordinates"], centres):
        return "coordinates of predictions.npz are not the positions of Not-so-Clevr, row by row"
    needed = {
        "metrics.json": (cell.metrics, ("seed", "parameters", "epochs", "epochs_to_perfect", f"test_{measure}")),
        "timings.json": (cell.timings, ("import_seconds", "train_seconds", "total_seconds", "epoch_seconds")),
        "history.csv": (cell.history[0], ("epoch", "train_loss", "test_loss", "train_exact", f"test_{measure}")),
    }
    for name, (content, keys) in needed.items():
        if lacking := [key for key in keys if key not in content]:
            return f"{name} lacks {', '.join(lacking)}"
    if len(cell.timings["epoch_seconds"]) != epochs:
        return f"history.csv has {epochs} epochs, timings.json {len(cell.timings['epoch_seconds'])}"
    return None


def load_matrix(directory: Path) -> tuple[list[Cell], list[Missing]]:
    """Read the cells of the study, and say why those are missing that cannot be read.

    A split is what most of its cells were trained on: one that was trained on other examples is foreign.

    Args:
        directory: The folder of their folders.

    Returns:
        The cells and the missing ones, each by model, then split.
    """
    cells: list[Cell] = []
    missing: list[Missing] = []
    for model in MATRIX:
        for split in SPLITS:
            try:
                cell = load(directory / f"{model}-{split}")
                if cell.name != f"{model}-{split}":
                    raise StudyError(f"{cell.directory}: holds the results of {cell.name}")
                cells.append(cell)
            except StudyError as error:
                missing.append(Missing(model=model, split=split, reason=str(error)))
    usual = {
        split: Counter(_half(cell) for cell in cells if cell.metrics["split"] == split).most_common(1)
        for split in SPLITS
    }
    for cell in list(cells):
        split = cell.metrics["split"]
        if _half(cell) != usual[split][0][0]:
            cells.remove(cell)
            reason = f"{cell.directory}: was not trained on the {split} split that the other cells were trained on"
            missing.append(Missing(model=cell.metrics["model"], split=split, reason=reason))
    return cells, missing


def _half(cell: Cell) -> bytes:
    return cell.predictions["is_test"].tobytes()
