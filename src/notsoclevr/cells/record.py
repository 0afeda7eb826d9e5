"""What MLflow is told of a cell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from notsoclevr.cells.files import Cell, load_timings
from notsoclevr.dataset import generate, split_path
from notsoclevr.evaluation import Row
from notsoclevr.experiment import Experiment
from notsoclevr.tracking import Data, Network, Outcome, Point, Run, Store

ANSWERS = {"image": "the probability of each pixel to be lit", "point": "a point in pixels, row and column"}


def run_of(experiment: Experiment) -> Run:
    """Return the run of an experiment that is about to be trained."""
    settings = experiment.settings()
    return Run(
        experiment=experiment.entry.task,
        about=f"Not-so-Clevr: {experiment.task.question}. One run per model and split.",
        name=experiment.name,
        params=settings,
        tags={"task": experiment.entry.task} | {name: settings[name] for name in ("model", "split", "seed")},
        description=_describe(experiment),
    )


def _describe(experiment: Experiment) -> str:
    title, split = experiment.entry.title, experiment.split
    return f"{title}, {split.name} split. {split.question} The task: {experiment.task.question}."


def measured(row: Row, seconds: float) -> list[Point]:
    """Return what was measured after an epoch.

    Args:
        row: A row of the history.
        seconds: Training time of all epochs so far.
    """
    step = int(row["epoch"])
    return [Point(name, value, step=step, seconds=seconds) for name, value in row.items() if name != "epoch"]


def digest(*paths: Path) -> str:
    """Return a fingerprint of files that are the same whenever the same experiment is trained."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def find_run(store: Store, cell: Cell) -> str | None:
    """Return the id of the newest finished run of a cell, or None."""
    return store.find(cell.model.task, cell_digest(cell.directory))


def cell_digest(directory: Path) -> str:
    """Return the fingerprint that the results in a folder are known by."""
    return digest(directory / "metrics.json", directory / "history.csv")


def collect(cell: Cell) -> Outcome:
    """Return what came of a cell, from its files."""
    import coordconv  # which imports Keras

    split, results = cell.experiment.split(generate()), cell_digest(cell.directory)
    timings, split_name = load_timings(cell.directory, results), cell.metrics["split"]
    figures = cell.directory / "figures"
    return Outcome(
        digest=results,
        metrics=_points(cell, timings),
        files=[
            (figures, "figures"),
            *((cell.directory / file, "") for file in ("metrics.json", "history.csv", "predictions.npz")),
        ],
        images={"snapshots": {int(path.stem): path for path in sorted((figures / "snapshots").glob("*.png"))}},
        data=[
            Data(
                name=f"{split_name}-{part}",
                context=context,
                source=split_path(Path(), split_name).as_posix(),
                features=getattr(split, part).coordinates,
                targets=getattr(split, part).squares,
            )
            for part, context in (("train", "training"), ("test", "testing"))
        ],
        network=Network(
            name=cell.name,
            description=f"{_describe(cell.experiment)} It answers with {ANSWERS[cell.task.answer]}.",
            path=cell.directory / "model.keras",
            activation=cell.task.activation or "",
            code=Path(coordconv.__file__).parent,
        ),
        seconds=timings.get("total_seconds"),
    )


def _points(cell: Cell, timings: Mapping[str, Any]) -> list[Point]:
    """Return what was measured after each epoch, and what is known at the end; those of the last are of the network."""
    epochs, name, perfect = int(cell.history[-1]["epoch"]), cell.metrics["split"], cell.metrics["epochs_to_perfect"]
    elapsed = [0.0, *accumulate(timings.get("epoch_seconds", [0.0] * epochs))]  # by epoch
    curve = [point for row in cell.history for point in measured(row, elapsed[int(row["epoch"])])]
    points = [
        replace(point, of_network=True, data=f"{name}-{point.name.partition('_')[0]}")
        if point.step == epochs
        else point
        for point in curve
    ]
    last = {"parameters": cell.metrics["parameters"]}
    if perfect:
        last["epochs_to_perfect"] = perfect
    if timings:
        last["train_seconds"] = elapsed[-1]
        if perfect:
            last["seconds_to_perfect"] = elapsed[int(perfect)]
    return points + [Point(name, value, of_network=True) for name, value in last.items()]
