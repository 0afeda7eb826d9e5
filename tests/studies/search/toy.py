"""A small search, whose workers train nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import yaml

from notsoclevr.dataset import Dataset
from notsoclevr.studies.rows import make_row
from notsoclevr.studies.search.space import Space, load_space
from notsoclevr.studies.spec import Training

from ...conftest import ROOT

MODEL = "coordconv_regressor"
SPACE = yaml.safe_load((ROOT / "studies/search/space.yaml").read_text("utf-8"))
SHRUNK = {"trials": 9, "random": 3, "together": 3, "more_seeds": [2001, 2002], "best": 2, "seeds": [1001, 1002]}
SHRUNK |= {"space": SPACE["space"] | {"operations": {"low": 0.05, "high": 1.0, "log": True}}}
SHRUNK["space"]["adam_penalty"] = SPACE["space"]["adam_penalty"] | {"since": 6}
Toy = Callable[[Training], dict[str, Any]]


def write_space(home: Path, **changes: Any) -> None:
    path = home / "studies/search/space.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(path.read_text("utf-8")) if path.exists() else SPACE
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False), "utf-8")


def space_of(home: Path, model: str = MODEL) -> Space:
    return load_space(home / "studies/search" / model, home)


def good(training: Training) -> dict[str, Any]:
    """Return what a network measures that likes a high rate, and a low one a little less with odd seeds."""
    recipe, seed = training.experiment.recipe, training.experiment.seed
    exact = min(1.0, recipe.learning_rate / 0.02) - 0.01 * (seed % 2) * (recipe.learning_rate < 0.01)
    return {"train_exact": 1.0, "test_exact": round(max(exact, 0), 3), "test_loss": 0.5, "train_seconds": 1.0}


class Workers:
    """A cluster that measures at once, and is interrupted, or ends its trainings in another order, as a test wants.

    Args:
        measure: What a training measures.
        lasts: Trainings until Ctrl-C.
        backwards: Of three trainings that were begun together, the last one ends first.
    """

    def __init__(self, measure: Toy = good, lasts: int = 10**9, backwards: bool = False) -> None:
        self.done: list[Training] = []
        self.started = 0
        self._measure = measure
        self._lasts = lasts
        self._backwards = backwards

    @contextmanager
    def open(self, workers: int) -> Iterator[Workers]:
        self.started = workers
        yield self

    def submit(self, _: Any, training: Training, pure: bool) -> Any:
        if len(self.done) >= self._lasts:
            raise KeyboardInterrupt
        self.done.append(training)
        try:
            row = make_row(training, self._measure(training))
        except RuntimeError as error:
            row = make_row(training, {}, error=str(error))
        future = SimpleNamespace(key=f"{len(self.done)}", status="finished", result=lambda: row)
        delay = 0.06 - 0.02 * (len(self.done) % 3)
        end = (lambda put: Timer(delay, put, [future]).start()) if self._backwards else (lambda put: put(future))
        future.add_done_callback = end
        return future


def lines(space: Space) -> list[dict[str, str]]:
    with space.trials_file.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(trainings: Sequence[Training]) -> list[tuple[Any, ...]]:
    """What each training was, to be counted."""
    return [(each.experiment.seed, each.experiment.split, each.experiment.recipe) for each in trainings]


def places(dataset: Dataset) -> set[tuple[int, ...]]:
    return {tuple(each) for each in dataset.coordinates.tolist()}
