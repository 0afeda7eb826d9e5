"""One training as one tracked run, and its results in files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from notsoclevr import tracking
from notsoclevr.cells import figures, files, record
from notsoclevr.cells.files import Cell
from notsoclevr.dataset import SHOWCASE_PLACES, SplitDataset
from notsoclevr.errors import TAKE_BACK, StudyError, describe, warn
from notsoclevr.evaluation import Row
from notsoclevr.experiment import Experiment
from notsoclevr.files import staging
from notsoclevr.progress import Progress
from notsoclevr.tracking import Feed, Store, status_after
from notsoclevr.training import Fit, import_tensorflow, train


def train_cell(
    root: Path, experiment: Experiment, split: SplitDataset, directory: Path, *, started: float, threads: int = 1
) -> None:
    """Train one cell as one run: its curve while it trains, then results, then what MLflow remembers of them.

    A store that does not answer is no failure, or DVC would have the cell trained again: a line on stderr says so.

    Args:
        root: The repository.
        experiment: What to train.
        split: The examples.
        directory: Where the results go; what is there stays until there are new ones.
        started: When the command started, by `time.perf_counter`.
        threads: That TensorFlow may use.

    Raises:
        OSError: The results cannot be written.
        StudyError: The training failed or diverged.
    """
    directory.mkdir(parents=True, exist_ok=True)  # now, not after minutes of training
    import_tensorflow(threads)
    run_id, feed, problem = None, None, None
    try:
        with tracking.connect(root) as store:
            run_id = store.open_run(record.run_of(experiment), adopt=True)
            feed = store.feed(run_id)
    except tracking.StoreError as error:
        problem = error
        warn(f"{error}; training goes on without it")
    try:
        fit = _train(experiment, split, feed)
        if not files.is_finite(fit.history):
            raise StudyError(f"{experiment.name}: the training diverged, try a lower learning_rate", exit_status=1)
        with staging(directory, root) as folder:
            files.save(folder, experiment, fit)
            cell = files.load(folder, directory)
            figures.save_cell_figures(folder / "figures", cell)
            digest = record.cell_digest(folder)
            files.save_run(folder, run_id, digest)
            files.save_timings(folder, fit.epoch_seconds, perf_counter() - started, digest)
        if run_id and feed:
            feed.close()
            with tracking.connect(root) as store:
                store.finish(run_id, record.collect(cell))
    except tracking.StoreError as error:
        problem = error
    except BaseException as error:
        if run_id:
            with suppress(tracking.StoreError), tracking.connect(root) as store:
                store.close_run(run_id, status_after(error))
        raise
    if problem:
        kept = f"the results are kept in {directory}, log them later with `notsoclevr track {directory}`"
        warn(f"{problem}; {kept}")


def log_missing(store: Store, cells: Sequence[Cell]) -> list[str]:
    """Log the cells that have no finished run, as after a checkout from DVC's cache or while the store was down.

    A run that was begun, by the training or by an attempt to log it, is completed. A cell that cannot be logged, for a
    damaged file say, is named on stderr.

    Args:
        store: The store.
        cells: The cells.

    Returns:
        Names of the cells that were logged.

    Raises:
        StudyError: The store does not answer.
    """
    missing = [cell for cell in cells if not record.find_run(store, cell)]
    if missing:
        import_tensorflow()
    logged = []
    for cell in missing:
        try:
            digest, outcome = record.cell_digest(cell.directory), record.collect(cell)
        except Exception as error:  # whatever a file leads to that no training wrote
            problem = f"its files cannot be read ({describe(error)}); {TAKE_BACK}"
            warn(f"{cell.name} is not logged: {cell.directory}: {problem}")
            continue
        run_id = files.load_run(cell.directory, digest)
        try:
            tracking.check_files(outcome)
            if not run_id or not store.resume(run_id):
                run_id = store.open_run(record.run_of(cell.experiment))
                # Where the folder cannot be written to, a second attempt opens another run.
                with suppress(OSError):
                    files.save_run(cell.directory, run_id, digest)
            store.finish(run_id, outcome)
        except tracking.StoreError:
            raise
        except StudyError as error:
            warn(f"{cell.name} is not logged: {error}")
        else:
            logged.append(cell.name)
    return logged


def _train(experiment: Experiment, split: SplitDataset, feed: Feed | None) -> Fit:
    """Train, and tell who looks at stderr and who looks at MLflow how it goes.

    Raises:
        StudyError: The training failed, for want of memory say.
    """
    steps = -(-len(split.train) // experiment.recipe.batch_size)
    with Progress(experiment.name, experiment.recipe.epochs, steps) as progress:

        def note(row: Row, seconds: float) -> None:
            if feed:
                feed.add(record.measured(row, seconds))
            progress.epoch(row)

        try:
            return train(experiment, split, showcase=SHOWCASE_PLACES, on_steps=progress.steps, on_epoch=note)
        except (StudyError, OSError):
            raise
        except Exception as error:  # whatever TensorFlow and Keras say
            raise StudyError(f"{experiment.name}: the training failed: {describe(error)}", exit_status=1) from error
