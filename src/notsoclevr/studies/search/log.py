"""What MLflow is told of a row of trials.csv."""

from __future__ import annotations

from dataclasses import asdict

from notsoclevr.cost import GIGA
from notsoclevr.studies.log import Child, StudyLog, log_children
from notsoclevr.studies.search.rows import MEASURED, TrialRow
from notsoclevr.studies.search.space import Space
from notsoclevr.studies.spec import fingerprint, text


def log_row(log: StudyLog, space: Space, row: TrialRow) -> None:
    """Log a row of trials.csv if it has no child yet, see `log_children`."""
    log_children(log, [_child(space, row)])


def _child(space: Space, row: TrialRow) -> Child:
    score = row.score(space)
    metrics = {"gflop": row.operations / GIGA} | ({} if score is None else {"score": score})
    for split, measured in row.outcomes.items():
        for name, shown in {**MEASURED, "train_seconds": "train_seconds"}.items():
            if measured.get(name):
                metrics[f"{split}_{shown}"] = float(measured[name])
    params = {"model": space.model, "seed": row.seed} | (asdict(row.recipe) if row.recipe else dict(row.values))
    content = params | {"trial": row.trial, "space": space.key}  # two trials may have one recipe
    digest = fingerprint({name: text(value) for name, value in content.items()})
    return Child(
        digest=f"{digest}-failed" if row.state == "failed" else digest,
        name=f"{space.model} trial {row.trial} seed {row.seed}",
        params=params,
        tags={"trial": row.trial, "state": row.state} | ({"error": row.error} if row.error else {}),
        metrics=metrics,
        status="FAILED" if row.state == "failed" else "FINISHED",
    )
