"""The engine of the studies: experiments on an executor, rows into results.csv, runs into MLflow.

The executor is that of `concurrent.futures`: processes of this machine, or the workers of a Dask cluster. Workers need
nothing but this package: they make the examples themselves and send back a row. The driver alone writes the table and
talks to MLflow.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from notsoclevr import tracking
from notsoclevr.dataset import SPLITS, generate
from notsoclevr.errors import StudyError
from notsoclevr.evaluation import Canvas
from notsoclevr.results import summarise
from notsoclevr.studies import MEASURED, Row, Study, Trial, asked_for, load_rows, save_rows, save_summary
from notsoclevr.training import import_tensorflow, train

PATIENCE = 15  # seconds that a scheduler has to answer
_alone = threading.Lock()  # Keras has one random state a process; a Dask worker may have several threads


def perform(trial: Trial) -> Row:
    """Run one experiment, in a worker.

    Args:
        trial: The experiment.

    Returns:
        Its row. A failure is a row too, with the error in it.
    """
    try:
        with _alone:
            return trial.row(_measure(trial))
    except Exception as error:
        return trial.row({}, error=_one_line(error))


def _measure(trial: Trial) -> dict[str, Any]:
    import_tensorflow()
    import keras

    keras.backend.clear_session()
    experiment = trial.experiment
    split = SPLITS[experiment.split](generate(), **trial.split_arguments)
    fit = train(experiment, split, np.array([], int), measure_every=trial.measure_every)
    metrics = summarise(experiment, Canvas.of(split), fit)
    perfect = metrics["epochs_to_perfect"]
    values = metrics | {
        "seconds_to_perfect": perfect and round(sum(fit.epoch_seconds[: int(perfect)]), 2),
        "train_seconds": round(sum(fit.epoch_seconds), 2),
        "test_exact_by_epoch": " ".join(f"{row['test_exact']:.4g}" for row in fit.history),
    }
    return {name: values[name] for name in MEASURED if name in values}


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _start_worker(threads: int) -> None:
    """Prepare a process of the pool; Ctrl-C is the driver's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_driver, daemon=True).start()
    import_tensorflow(threads)


def _die_with_driver() -> None:
    """Leave no worker behind when the driver is killed."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


@contextmanager
def local_pool(workers: int) -> Iterator[Executor]:
    """Give a pool of processes that share the cores of this machine out.

    Args:
        workers: How many.

    Yields:
        The pool. Work that is under way when the block is left is broken off.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give the workers of a running Dask cluster.

    Args:
        address: Of its scheduler, as tcp://host:8786.

    Yields:
        An executor. What a worker that died was working on is done again by another.

    Raises:
        StudyError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise StudyError("--scheduler needs Dask: pip install '.[cluster]' in the repository") from None
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # of a lost connection they write pages, we a line
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise StudyError(f"--scheduler {address}: no scheduler answers: {_one_line(error)}", exit_status=1) from None
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def run_study(root: Path, study: Study, *, workers: int, scheduler: str | None) -> int:
    """Run the experiments of a study that have no row, and keep and log each as it ends.

    Args:
        root: The repository.
        study: The study.
        workers: Processes on this machine.
        scheduler: Address of a Dask scheduler that has the workers instead.

    Returns:
        How many rows hold an error.

    Raises:
        StudyError: results.csv is not as it was written or another process works on it, or no scheduler answers, or it
            was lost. The rows that are there stay.
    """
    try:
        with FileLock(study.path.with_name(".study.lock"), timeout=0):
            rows = load_rows(study.results)
            missing = [trial for trial in study.trials if trial.key not in rows or rows[trial.key]["error"]]
            with (
                cluster(scheduler) if missing and scheduler is not None else nullcontext() as executor,
                _stop_between_rows() as stop,
            ):
                log, status = _Log(root, study, stop), "KILLED"
                try:
                    log.add(asked_for(study, rows))
                    stop()
                    with _Run(study, rows, log, stop, missing) as run:
                        if executor:
                            run.through(executor, missing)
                        else:
                            _run_here(run, missing, workers)
                    status = "FINISHED"
                finally:
                    save_summary(study, rows)
                    log.close(status)
    except Timeout:
        raise StudyError(f"{study.path}: another process is running this study", exit_status=1) from None
    return sum(bool(row["error"]) for row in asked_for(study, rows))


@contextmanager
def _stop_between_rows() -> Iterator[Callable[[], None]]:
    """Keep Ctrl-C and SIGTERM until it is asked for them, so that they never strike while a row is kept or logged.

    Yields:
        A function that raises what was asked for meanwhile: KeyboardInterrupt, or SystemExit.
    """
    asked: list[int] = []

    def stop() -> None:
        if asked:
            raise KeyboardInterrupt if asked[0] == signal.SIGINT else SystemExit(128 + asked[0])

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in kept:
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _as_completed(futures: Iterable[Future[Row]], stop: Callable[[], None]) -> Iterator[Future[Row]]:
    """Give futures as they end, those with a row before those without; `stop` is asked every second."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
        yield from sorted(done, key=lambda future: future.cancelled() or future.exception() is not None)
        stop()


class _Run:
    """Experiments under way: keeps the rows of those that end, and shows how many have; a context.

    Args:
        study: The study.
        rows: Its rows by key, to be added to.
        log: Where they are logged.
        stop: Raises what the user asked for meanwhile.
        missing: The experiments that are to be run.
    """

    def __init__(
        self, study: Study, rows: dict[str, Row], log: _Log, stop: Callable[[], None], missing: Sequence[Trial]
    ) -> None:
        self._study, self._rows, self._log, self._stop = study, rows, log, stop
        self.ended: set[str] = set()  # keys of this run's experiments
        self._before = len(study.trials) - len(missing)
        self._bar = tqdm(
            total=len(study.trials),
            initial=self._before,
            desc=study.name,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} |{bar}| {n}/{total} {elapsed} (left {remaining}) {postfix}",
        )

    @property
    def _done(self) -> int:
        return self._before + len(self.ended)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def through(self, executor: Executor, trials: Sequence[Trial]) -> None:
        """Run experiments on an executor.

        Raises:
            BrokenExecutor: A process of this machine's pool died, with all that it and the others were working on.
            StudyError: The scheduler of a cluster was lost.
        """
        futures = {executor.submit(perform, trial): trial for trial in trials}
        for future in _as_completed(futures, self._stop):
            trial = futures[future]
            try:
                row = future.result()
            except BrokenExecutor:
                raise
            except CancelledError:  # what Dask makes of everything under way
                raise StudyError(
                    f"{self._study.path}: the scheduler was lost; {self._done} of {len(self._study.trials)} rows are "
                    "kept, run the study again to go on",
                    exit_status=1,
                ) from None
            except Exception as error:  # a cluster lost the experiment
                row = trial.row({}, error=_one_line(error))
            self.keep(trial, row)

    def keep(self, trial: Trial, row: Row) -> None:
        """Keep and log the row of an experiment that ended, and say so."""
        self._rows[trial.key] = row
        save_rows(self._study, self._rows)
        self._log.add([row])
        self.ended.add(trial.key)
        said = row["error"] or f"exact {float(row['train_exact']):.1%} train, {float(row['test_exact']):.1%} test"
        if self._bar.disable:
            count = f"{self._study.name} {self._done}/{len(self._study.trials)}"
            print(f"{count}  {trial.name}  {said}", file=sys.stderr, flush=True)
        else:
            self._bar.set_postfix_str(f"{trial.name}: {said}", refresh=False)
            self._bar.update()


def _run_here(run: _Run, missing: Sequence[Trial], workers: int) -> None:
    """Run experiments in processes of this machine.

    When a process dies, which experiment killed it is not known. Those that were under way go again, each alone, and
    the one whose process dies once more has a row that says so; then the others go on.
    """
    while missing:
        try:
            with local_pool(min(workers, len(missing))) as executor:
                run.through(executor, missing)
        except BrokenExecutor:
            left = [trial for trial in missing if trial.key not in run.ended]
            for trial in left[:workers]:  # the pool takes them in their order
                try:
                    with local_pool(workers) as executor:
                        run.through(executor, [trial])
                except BrokenExecutor:
                    run.keep(trial, trial.row({}, error="its process died, perhaps for want of memory"))
        missing = [trial for trial in missing if trial.key not in run.ended]


class _Log:
    """What MLflow is told of a study; if it does not answer, that is said once and the study goes on."""

    def __init__(self, root: Path, study: Study, stop: Callable[[], None]) -> None:
        self._root = root
        self._study = study
        self._stop = stop
        self._open = True
        self._run_id: str | None = None
        self._known: set[str] = set()  # digests of the rows that MLflow had when the study was opened

    def add(self, rows: list[Row]) -> None:
        def log(client: Any, run_id: str) -> None:
            new = (row for row in rows if row["digest"] not in self._known)
            tracking.log_trials(client, run_id, self._study.name, new, self._stop)

        self._tell(log)

    def close(self, status: str) -> None:
        study = self._study
        files = [path for path in (study.path, study.results, study.summary) if path.exists()]
        self._tell(lambda client, run_id: tracking.close_study(client, run_id, status, files))

    def _tell(self, message: Any) -> None:
        if not self._open:
            return
        try:
            with tracking.store(self._root) as client:
                if self._run_id is None:
                    self._run_id = tracking.open_study(client, self._root, self._study)
                    self._known = tracking.known_trials(client, self._run_id)
                message(client, self._run_id)
        except tracking.UnreachableError as error:
            self._open = False
            print(f"notsoclevr: {error}; the study goes on, run it again later to log it", file=sys.stderr)
