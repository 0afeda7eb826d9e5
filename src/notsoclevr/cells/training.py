"""One training as one tracked run, and its results in files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import numpy as np

from notsoclevr import tracking
from notsoclevr.cells import figures, files, record
from notsoclevr.cells.files import Cell
from notsoclevr.dataset import SplitDataset, load_split, split_path
from notsoclevr.errors import StudyError
from notsoclevr.evaluation import Canvas
from notsoclevr.experiment import Experiment
from notsoclevr.files import atomic_write, staging, write_json
from notsoclevr.progress import Progress
from notsoclevr.tracking import Store, status_after
from notsoclevr.training import import_tensorflow, train

# The squares that the tutorial shows, (row, column): of its uniform split, then of its quadrant split.
SHOWCASE = np.array(
    [[13, 7], [45, 32], [59, 46], [5, 10], [29, 41], [33, 9], [7, 56], [10, 59], [31, 7], [32, 50], [39, 50], [59, 44]]
)


def train_cell(
    root: Path, experiment: Experiment, split: SplitDataset, directory: Path, *, started: float, threads: int = 1
) -> None:
    """Train one cell as one run: results first, then what MLflow remembers of them.

    Args:
        root: The repository.
        experiment: What to train.
        split: The examples.
        directory: Where the results go; what is there stays whole if this fails.
        started: When the command started, by `time.perf_counter`.
        threads: That TensorFlow may use.

    Raises:
        StudyError: The store does not answer. The results are kept all the same.
        OSError: The results cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)  # now, not after minutes of training
    import_tensorflow(threads)
    run_id, problem = None, None
    try:
        with tracking.connect(root) as store:
            run_id = store.open_run(record.describe(experiment), adopt=True)
    except tracking.StoreError as error:
        problem = error
        print(f"notsoclevr: {error}; training goes on without it", file=sys.stderr)
    try:
        cell, seconds = _train_and_save(root, experiment, split, directory)
        files.save_timings(directory, seconds, perf_counter() - started)
        if run_id:
            with tracking.connect(root) as store:
                log(store, run_id, cell, split)
    except tracking.StoreError as error:
        problem = error
    except BaseException as error:
        if run_id:
            with suppress(tracking.StoreError), tracking.connect(root) as store:
                store.close_run(run_id, status_after(error))
        raise
    if problem:
        raise StudyError(
            f"{problem}; the results are kept in {directory}, log them later with `notsoclevr track {directory}`",
            exit_status=1,
        )


def log(store: Store, run_id: str, cell: Cell, split: SplitDataset) -> None:
    """Log a cell to its open run, close that, and note it beside the files as run.json."""
    store.finish(run_id, record.collect(cell, split))
    with atomic_write(cell.directory / "run.json") as path:
        write_json(path, {"run_id": run_id})


def log_missing(store: Store, root: Path, cells: Sequence[Cell]) -> list[str]:
    """Log the cells that have no run, as after a checkout from DVC's cache or while the store was down.

    Args:
        store: The store.
        root: The repository, whose data/ has the examples.
        cells: The cells.

    Returns:
        Names of the cells that were logged.

    Raises:
        StudyError: The store does not answer, or the examples of a cell are not there.
    """
    logged = []
    for cell in cells:
        if not record.find_run(store, cell):
            import_tensorflow()
            split = load_split(split_path(root, cell.metrics["split"]))
            log(store, store.open_run(record.describe(cell.experiment)), cell, split)
            logged.append(cell.name)
    return logged


def _train_and_save(
    root: Path, experiment: Experiment, split: SplitDataset, directory: Path
) -> tuple[Cell, list[float]]:
    """Return a freshly trained cell, whose files are written, and the seconds that each epoch trained."""
    canvas = Canvas.of(split)
    showcase = np.array([canvas.place(square) for square in SHOWCASE])
    steps = -(-len(split.train) // experiment.recipe.batch_size)
    with Progress(directory.name, experiment.recipe.epochs, steps) as progress:
        fit = train(experiment, split, showcase, on_step=progress.step, on_epoch=progress.epoch)
    with staging(directory, root) as folder:
        files.save(folder, experiment, canvas, fit, showcase)
        cell = files.load(folder, directory)
        targets = getattr(canvas.dataset[showcase], experiment.task.target)
        figures.save_cell_figures(folder / "figures", cell, targets)
    return cell, fit.epoch_seconds
