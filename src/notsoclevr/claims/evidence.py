"""Evidence: the rows that claims are judged by, and the experiments that should have one.

A source of rows is a study, a folder of studies/; "search": the trials of the searches for recipes; or "ramps": the
coordinate transform without training of `notsoclevr.claims.ramps`, computed here over the whole dataset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from notsoclevr import dataset
from notsoclevr.claims import ramps
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.studies.rows import CONTENT, MEASURED, NAMES, load_table, make_row, metric_of, to_frame
from notsoclevr.studies.search.rows import load_lines, tabulate
from notsoclevr.studies.search.space import load_space
from notsoclevr.studies.spec import load_study, study_files, text
from notsoclevr.tasks import TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Experiments, with what was measured of each.

    Args:
        name: As a claim gives it.
        content: Columns that experiments are picked by.
        measured: Columns that may be looked at.
        table: One row per experiment, with these columns and `experiment`, what it is but for the seed, `seed`, "" if
            it has none, and `missing`, the reason why it has not ended, "" if it has. A pruned trial has ended, with
            nothing measured on the later split.
    """

    name: str
    content: Sequence[str]
    measured: Sequence[str]
    table: pd.DataFrame


class Sources:
    """The sources of a repository, each opened when it is first asked for.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._opened: dict[str, Source] = {}
        self._others: dict[str, Callable[[], Source]] = {"search": partial(_open_searches, root), "ramps": _open_ramps}
        self._studies = study_files(root)
        self.names = [*self._studies, *self._others]

    def __getitem__(self, name: str) -> Source:
        """Return a source of `names`.

        Raises:
            StudyError: Its files are not what they should be.
        """
        if name not in self._opened:
            open_source = self._others.get(name) or partial(_open_study, self._studies[name], self._root)
            self._opened[name] = open_source()
        return self._opened[name]


def _open_study(path: Path, root: Path) -> Source:
    study = load_study(path, root)
    content = (*NAMES, *CONTENT)
    table = to_frame(make_row(training, {}) for training in study.trainings)[["key", *content]].reset_index(drop=True)
    experiment = (
        f"{study.name}, " + table["variant"] + ": " + table["model"] + "-" + table["split"] + " " + table["settings"]
    )
    table = table.join(load_table(study).set_index("key")[["error", *MEASURED]], on="key")
    error = table["error"]
    missing = ("failed: " + error).where(error != "", "").fillna("no row")
    table = table.assign(experiment=experiment.str.rstrip(), missing=missing)
    return Source(name=study.name, content=content, measured=MEASURED, table=table)


def _open_searches(root: Path) -> Source:
    """Open the trials of all models: what each answered with its first seed, on each split."""
    tables = []
    for model in MODELS:
        space = load_space(root / "studies" / "search" / model, root)
        trials = tabulate(space, load_lines(space))
        names = "search: " + trials["model"] + "-" + trials["split"] + " trial " + trials["trial"]
        tables.append(trials.assign(experiment=names, missing=""))
        if (left := space.trials - trials["trial"].nunique()) > 0:
            names = [f"search: {model}-{split}, {left} of {space.trials} trials" for split in space.splits]
            own = {"model": model, "split": list(space.splits), "trial": "", "seed": str(space.seed)}
            tables.append(pd.DataFrame(own | {"experiment": names, "missing": "no row"}))
    content, measured = ("model", "split", "trial"), ("train_exact", "validation_exact")
    table = pd.concat([table for table in tables if len(table)], ignore_index=True)
    table = table.rename(columns={"test_exact": "validation_exact"})
    table = table.assign(**{name: table.get(name, math.nan) for name in measured})  # where no model has a trial
    return Source(name="search", content=content, measured=measured, table=table)


def _open_ramps() -> Source:
    shares = ramps.exact_shares(dataset.generate())
    table = pd.DataFrame(shares.items(), columns=["task", "exact"])
    table = table.assign(experiment="ramps, " + table["task"], seed="", missing="")
    return Source(name="ramps", content=("task",), measured=("exact",), table=table)


def pick(source: Source, where: Mapping[str, Any], at: str) -> pd.DataFrame:
    """Return the experiments of a source that `where` picks, those without a row included.

    Args:
        source: Where from.
        where: Columns to a value or a list of values, compared as tables write them.
        at: The file and the key that the choice is in, for the message.

    Raises:
        StudyError: A column is unknown, or one of the values picks nothing: then the test would mean something else
            than it says.
    """
    wanted = {column: list(map(text, value if isinstance(value, list) else [value])) for column, value in where.items()}
    chosen = pd.Series(True, source.table.index)
    for column, values in wanted.items():
        if column not in source.content:
            raise StudyError(
                f"{at}.where.{column} is no column to pick rows of {source.name} by; "
                f"there are {', '.join(source.content)}"
            )
        own = source.table[column]
        there = filter(None, own[chosen].unique())
        chosen &= own.isin(values)
        if not chosen.any():
            raise StudyError(
                f"{at}.where.{column} is {' or '.join(values) or 'empty'}; "
                f"in the rows of {source.name} that the columns before it leave it is "
                f"{', '.join(there) or 'always empty'}"
            )
    picked = source.table[chosen]
    for column, values in wanted.items():
        if idle := [value for value in values if value not in set(picked[column])]:
            raise StudyError(f"{at}.where.{column} names {idle[0]}; no such experiment of {source.name} has the rest")
    return picked


def applies(column: str, model: str) -> bool:
    """Return whether a column has a value for a model: those of a metric do where its task has that metric."""
    metric = metric_of(column)
    return metric is None or metric in TASKS[MODELS[model].task].metrics
