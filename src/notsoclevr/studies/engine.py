"""The engine of the studies: experiments to Dask workers, their rows into results.csv, runs into MLflow.

The driver alone, which is this process, writes files and talks to MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from distributed import Client, Future, KilledWorker
from distributed.scheduler import NoWorkerError

from notsoclevr import progress
from notsoclevr.errors import StudyError, describe
from notsoclevr.studies.cluster import Pending, alone, local_cluster, remote_cluster
from notsoclevr.studies.log import StudyLog, log_rows, open_log
from notsoclevr.studies.rows import Row, load_rows, make_row, own_rows, save_rows, save_squares, save_summary, to_frame
from notsoclevr.studies.spec import Study, Training
from notsoclevr.studies.worker import run_training

LOST = "the scheduler or all workers were lost"


def run_study(root: Path, study: Study, *, workers: int, scheduler: str | None) -> int:
    """Run the experiments of a study that have no row, and keep and log each as it ends.

    It may be stopped at any time. What is under way then is lost, and is run when the study is run again.

    Args:
        root: The repository.
        study: The study.
        workers: Worker processes to start on this machine.
        scheduler: Address of a Dask scheduler that has workers instead.

    Returns:
        How many rows hold an error.

    Raises:
        StudyError: results.csv is not as it was written or another process works on it, or no scheduler answers, or it
            was lost, or all workers. The rows that are there stay.
    """
    with alone(study.path.parent, "running this study") as stop:
        return _run(root, study, workers, scheduler, stop)


def _run(root: Path, study: Study, workers: int, scheduler: str | None, stop: Callable[[], None]) -> int:
    rows: dict[str, Row] = load_rows(study.results).to_dict("index")
    missing = [training for training in study.trainings if training.key not in rows or rows[training.key]["error"]]
    cluster: AbstractContextManager[Client | None] = nullcontext()
    if missing:
        cluster = remote_cluster(scheduler) if scheduler else local_cluster(min(workers, len(missing)))
    files = (study.path, study.results, study.summary)
    with cluster as client, open_log(root, study.name, study.about, "study", files) as log:
        try:
            log_rows(log, own_rows(study, to_frame(rows.values())).to_dict("records"), stop)
            if client:
                _run_trainings(client, study, missing, rows, log, stop)
        finally:
            save_summary(study, to_frame(rows.values()))
    return sum(bool(rows[training.key]["error"]) for training in study.trainings)


def _run_trainings(
    client: Client,
    study: Study,
    trainings: Sequence[Training],
    rows: dict[str, Row],
    log: StudyLog,
    stop: Callable[[], None],
) -> None:
    """Run experiments on a cluster, and keep and log the row of each as it ends.

    Args:
        client: The client of the cluster.
        study: The study.
        trainings: Those of its experiments that are to be run.
        rows: Its rows by key, to be added to.
        log: Where they are logged.
        stop: Raises what the user asked for in the meantime.
    """
    before = len(study.trainings) - len(trainings)
    futures = client.map(run_training, trainings, pure=False)
    training_of = {future.key: training for future, training in zip(futures, trainings, strict=True)}
    pending = Pending(stop)
    for future in futures:
        pending.add(future)
    with progress.bar(study.name, len(study.trainings), before) as bar:
        for count, future in enumerate(pending, start=before + 1):
            training = training_of[future.key]
            kept = f"{count - 1} of {len(study.trainings)} rows are kept, run the study again to go on"
            row = row_of(future, training, f"{study.path}: {LOST}; {kept}")
            rows[training.key] = row
            save_squares(study, row)
            save_rows(study, to_frame(rows.values()))
            log_rows(log, [row])
            said = row["error"] or progress.exact(row)
            progress.say(bar, f"{study.name} {count}/{len(study.trainings)}", f"{training.name}  {said}")
            bar.update()


def row_of(future: Future[Row], training: Training, lost: str) -> Row:
    """Return the row of an experiment that ended.

    Args:
        future: That has ended.
        training: The experiment.
        lost: What to say if the cluster is no more, and the row with it.

    Raises:
        StudyError: The cluster is no more.
    """
    try:
        row: Row = future.result()
        return row
    except KilledWorker:
        return make_row(training, {}, error="its worker process died each time it was run, perhaps for want of memory")
    except NoWorkerError:
        pass
    except Exception as error:
        if future.status == "error":
            return make_row(training, {}, error=describe(error))
    raise StudyError(lost, exit_status=1)
