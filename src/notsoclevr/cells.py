"""A cell from its experiment: one training as one tracked run, and its results in files."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import numpy as np

from notsoclevr import figures, results, tracking
from notsoclevr.dataset import Split
from notsoclevr.errors import StudyError
from notsoclevr.evaluation import Canvas
from notsoclevr.progress import Progress
from notsoclevr.results import Cell
from notsoclevr.training import Experiment, import_tensorflow, train

# The squares that the tutorial shows, (row, column): of its uniform split, then of its quadrant split.
SHOWCASE = np.array(
    [[13, 7], [45, 32], [59, 46], [5, 10], [29, 41], [33, 9], [7, 56], [10, 59], [31, 7], [32, 50], [39, 50], [59, 44]]
)


def train_cell(root: Path, experiment: Experiment, split: Split, directory: Path, *, started: float) -> None:
    """Train one cell as one run: results first, then what MLflow remembers of them.

    Args:
        root: The repository.
        experiment: What to train.
        split: The examples.
        directory: Where the results go; what is there stays whole if this fails.
        started: When the command started, by `time.perf_counter`.

    Raises:
        StudyError: The store does not answer. The results are kept all the same.
        OSError: The results cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)  # now, not after minutes of training
    before = perf_counter()
    import_tensorflow()
    import mlflow  # noqa: F401 - so that the time is seen as what it is

    import_seconds = perf_counter() - before
    run_id, problem = None, None
    try:
        with tracking.store(root) as client:
            run_id = tracking.open_run(client, root, experiment)
    except tracking.UnreachableError as error:
        problem = error
        print(f"notsoclevr: {error}; training goes on without it", file=sys.stderr)
    try:
        cell = _train_and_save(root, experiment, split, directory, import_seconds, started)
        if run_id:
            with tracking.store(root) as client:
                tracking.log_cell(client, run_id, cell, split)
    except tracking.UnreachableError as error:
        problem = error
    except BaseException as error:
        if run_id:
            with suppress(tracking.UnreachableError), tracking.store(root) as client:
                tracking.close_run(client, run_id, error)
        raise
    results.save_timings(directory, cell.timings | {"total_seconds": perf_counter() - started})
    if problem:
        raise StudyError(
            f"{problem}; the results are kept in {directory}, log them later with `notsoclevr track`", exit_status=1
        )


def _train_and_save(
    root: Path, experiment: Experiment, split: Split, directory: Path, import_seconds: float, started: float
) -> Cell:
    canvas = Canvas.of(split)
    showcase = np.array([canvas.place(square) for square in SHOWCASE])
    steps = -(-len(split.train) // experiment.recipe.batch_size)
    begun = perf_counter()
    with Progress(directory.name, experiment.recipe.epochs, steps) as progress:
        fit = train(experiment, split, showcase, on_step=progress.step, on_epoch=progress.epoch)
    train_seconds = perf_counter() - begun
    with results.staging(directory, root) as folder:
        results.save(folder, experiment, canvas, fit, showcase)
        timings = {
            "import_seconds": import_seconds,
            "train_seconds": train_seconds,
            "total_seconds": perf_counter() - started,
            "epoch_seconds": fit.epoch_seconds,
        }
        results.save_timings(folder, timings)
        cell = results.load(folder, directory)
        wanted = canvas.dataset[showcase]
        targets = wanted.squares if cell.task == "rendering" else wanted.onehots
        figures.save_cell_figures(folder / "figures", cell, targets)
    return cell
