"""What MLflow is told of a study or a search: a run each, with one child per row. If it does not answer, they go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notsoclevr import tracking
from notsoclevr.errors import warn
from notsoclevr.studies.rows import CONTENT, NUMBERS, Row

EXPERIMENT = "studies"
ABOUT = "Many experiments from one file each. One run per study or search, with one child per experiment or trial."


@dataclass(slots=True, kw_only=True)
class StudyLog:
    """The run of a study or a search.

    Args:
        root: The repository.
        name: The name of the study.
        about: What it asks.
        run_id: The id of its run; empty if MLflow did not answer.
        known: Digests of the children that it has.
    """

    root: Path
    name: str
    about: str = ""
    run_id: str = ""
    known: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What is told of one row.

    Args:
        digest: What it is known by: it is logged once.
        name: The name of its run.
        params: What it was run with.
        tags: What it is found by.
        metrics: What was measured.
        status: "FINISHED" or "FAILED".
    """

    digest: str
    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, Any]
    metrics: Mapping[str, float]
    status: str


@contextmanager
def open_log(root: Path, name: str, about: str, role: str, files: Sequence[Path]) -> Iterator[StudyLog]:
    """Open the run of a study or a search, the one that it had before if it goes on, and close it in the end.

    Args:
        root: The repository.
        name: The name of the study.
        about: What it asks.
        role: "study" or "search".
        files: Those that are there in the end are kept with the run.

    Yields:
        The log. If MLflow does not answer, it takes rows and does nothing with them.
    """
    log, status = StudyLog(root=root, name=name, about=about), "FINISHED"
    tags = {"study": name, "role": role}
    run = tracking.Run(experiment=EXPERIMENT, about=ABOUT, name=name, tags=tags, description=about)

    def begin(store: tracking.Store) -> None:
        run_id = store.resume_named(run)
        log.known = store.digests_below(EXPERIMENT, run_id)
        log.run_id = run_id

    _tell(log, begin)
    try:
        yield log
    except BaseException as error:
        status = tracking.status_after(error)
        raise
    finally:
        if log.run_id:
            outcome = tracking.Outcome(files=[(path, "") for path in files if path.exists()])
            _tell(log, lambda store: store.finish(log.run_id, outcome, status=status))


def log_children(log: StudyLog, children: Iterable[Child], stop: Callable[[], None] = lambda: None) -> None:
    """Log the children that the run does not have yet.

    Args:
        log: The log of the run.
        children: The children.
        stop: Called before each; what it raises ends the logging between two of them.
    """

    def add(store: tracking.Store) -> None:
        for child in children:
            if child.digest not in log.known:
                stop()
                run = tracking.Run(
                    experiment=EXPERIMENT,
                    about=ABOUT,
                    name=child.name,
                    params=child.params,
                    tags={**child.tags, "study": log.name, "role": "trial"},
                    description=f"One of the trainings of {log.name}: {log.about}",
                    parent=log.run_id,
                )
                run_id = store.open_run(run)
                measured = [tracking.Point(name, value) for name, value in child.metrics.items()]
                outcome = tracking.Outcome(digest=child.digest, metrics=measured)
                store.finish(run_id, outcome, status=child.status)
                log.known.add(child.digest)

    if log.run_id:
        _tell(log, add)


def log_rows(log: StudyLog, rows: Iterable[Row], stop: Callable[[], None] = lambda: None) -> None:
    """Log the rows of results.csv that have no child yet, see `log_children`."""
    log_children(log, map(_child, rows), stop)


def _child(row: Row) -> Child:
    """Return what is told of a row; that an experiment failed is told once, beside its success if it has one later."""
    return Child(
        digest=f"{row['key']}-failed" if row["error"] else row["key"],
        name=" ".join(filter(None, (f"{row['model']}-{row['split']}", row["settings"], f"seed {row['seed']}"))),
        params={name: row[name] for name in CONTENT if row[name]},
        tags={name: row[name] for name in ("variant", "settings", "error") if row[name]},
        metrics={name: float(row[name]) for name in NUMBERS if row[name]},
        status="FAILED" if row["error"] else "FINISHED",
    )


def _tell(log: StudyLog, message: Callable[[tracking.Store], None]) -> None:
    try:
        with tracking.connect(log.root) as store:
            message(store)
    except tracking.StoreError as error:
        log.run_id = ""
        warn(f"{error}; the same command, run again later, logs what MLflow lacks")
