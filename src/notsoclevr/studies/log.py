"""What MLflow is told of a study: a run a study, with a child a row. If it does not answer, the study goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from notsoclevr import tracking
from notsoclevr.studies.rows import CONTENT, NUMBERS, Row
from notsoclevr.studies.spec import Study

KIND = "studies"
ABOUT = "Many experiments from one file each. A run a study, with a child an experiment."


@dataclass(slots=True, kw_only=True)
class StudyLog:
    """The run of a study.

    Args:
        root: The repository.
        study: The study.
        run_id: Of its run; empty if MLflow did not answer.
        known: Digests of the rows that it has a child of.
    """

    root: Path
    study: Study
    run_id: str = ""
    known: set[str] = field(default_factory=set)


def _digest(row: Row) -> str:
    """Return what a row is known by: a failed experiment that is run again is another row."""
    return f"{row['key']}-failed" if row["error"] else row["key"]


def open_study(root: Path, study: Study) -> StudyLog:
    """Open the run of a study: the one that it had before, if it goes on.

    Args:
        root: The repository.
        study: The study.

    Returns:
        The log. If MLflow does not answer, it takes rows and does nothing with them.
    """
    log = StudyLog(root=root, study=study)
    run = tracking.Run(
        experiment=KIND,
        about=ABOUT,
        name=study.name,
        tags={"study": study.name, "role": "study"},
        description=study.about,
    )

    def begin(store: tracking.Store) -> None:
        run_id = store.reopen_run(run)
        log.known = store.digests_below(KIND, run_id)
        log.run_id = run_id

    _tell(log, begin)
    return log


def log_rows(log: StudyLog, rows: Iterable[Row], stop: Callable[[], None] = lambda: None) -> None:
    """Log the rows that have no child yet.

    Args:
        log: Of their study.
        rows: Of results.csv.
        stop: Called before each; what it raises ends the logging between two rows.
    """

    def add(store: tracking.Store) -> None:
        for row in rows:
            if (digest := _digest(row)) not in log.known:
                stop()
                run_id = store.open_run(_describe(log, row))
                measured = [tracking.Point(name, float(row[name])) for name in NUMBERS if row[name]]
                outcome = tracking.Outcome(digest=digest, metrics=measured)
                store.finish(run_id, outcome, status="FAILED" if row["error"] else "FINISHED")
                log.known.add(digest)

    if log.run_id:
        _tell(log, add)


def _describe(log: StudyLog, row: Row) -> tracking.Run:
    tags = {name: row[name] for name in ("variant", "settings", "error") if row[name]}
    return tracking.Run(
        experiment=KIND,
        about=ABOUT,
        name=f"{row['model']}-{row['split']} {row['settings']} seed {row['seed']}",
        params={name: row[name] for name in CONTENT if row[name]},
        tags=tags | {"study": log.study.name, "role": "trial"},
        parent=log.run_id,
    )


def close_study(log: StudyLog, status: str) -> None:
    """Close the run of a study, with its files.

    Args:
        log: Of the study.
        status: "FINISHED", or "KILLED" if it was stopped.
    """
    study = log.study
    files = [(path, "") for path in (study.path, study.results, study.summary) if path.exists()]
    if log.run_id:
        _tell(log, lambda store: store.finish(log.run_id, tracking.Outcome(files=files), status=status))


def _tell(log: StudyLog, message: Callable[[tracking.Store], None]) -> None:
    try:
        with tracking.connect(log.root) as store:
            message(store)
    except tracking.StoreError as error:
        log.run_id = ""
        print(f"notsoclevr: {error}; the study goes on, run it again later to log it", file=sys.stderr)
