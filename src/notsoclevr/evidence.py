"""Evidence: the rows that claims are held to, and the experiments that should have one.

A source of rows is a folder of studies/, of which only those count that its study.yaml asks for now, or

    cells   the fourteen committed cells: reports/comparison.csv beside reports/timings.csv
    ramps   the coordinate transform without training of `notsoclevr.ramps`, worked out here over the whole dataset
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from notsoclevr import dataset, ramps
from notsoclevr.errors import StudyError
from notsoclevr.models import MATRIX, MODELS
from notsoclevr.studies import CONTENT, MEASURED, Row, Trial, asked_for, load_rows, load_study, text

CELL_MEASURES = (
    *("seed", "parameters", "epochs", "train_exact", "test_exact", "train_iou", "test_iou"),
    *("train_error_px", "test_error_px", "train_seconds", "total_seconds", "epochs_to_perfect", "seconds_to_perfect"),
)
REMEDY = "make it with `notsoclevr evaluate`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An experiment that a source has a row of, or should have.

    Args:
        name: What it is, but for the seed.
        seed: Its seed, if it has one.
        columns: What it is chosen by.
        measured: Its row; empty if there is none.
        lack: Why there is none; empty if there is one.
    """

    name: str
    seed: str
    columns: Row
    measured: Row
    lack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows come from.

    Args:
        name: As a claim gives it.
        columns: What its rows may be chosen by.
        measures: What may be looked at.
        entries: Its experiments.
    """

    name: str
    columns: Sequence[str]
    measures: Sequence[str]
    entries: Sequence[Entry]


class Sources:
    """The sources of a repository, each opened when it is first asked for.

    Args:
        root: The repository.
    """

    def __init__(self, root: Path) -> None:
        self._opened: dict[str, Source] = {}
        self._kinds: dict[str, Callable[[], Source]] = {
            path.parent.name: partial(_open_study, path, root) for path in sorted(root.glob("studies/*/study.yaml"))
        }
        self._kinds |= {"cells": partial(_open_cells, root / "reports"), "ramps": _open_ramps}

    @property
    def names(self) -> list[str]:
        """All there are."""
        return list(self._kinds)

    def __getitem__(self, name: str) -> Source:
        """Open a source.

        Raises:
            KeyError: There is none of that name.
            StudyError: Its files are not what they should be.
        """
        if name not in self._opened:
            self._opened[name] = self._kinds[name]()
        return self._opened[name]


def _open_study(path: Path, root: Path) -> Source:
    study = load_study(path, root)
    rows = {row["key"]: row for row in asked_for(study, load_rows(study.results))}
    columns = ("variant", "settings", *CONTENT)
    entries = []
    for trial, title in zip(study.trials, _titles(study.trials), strict=True):
        said, row = trial.row({}), rows.get(trial.key)
        lack = "no row" if row is None else f"failed: {row['error']}" if row["error"] else ""
        entries.append(
            Entry(
                name=f"{study.name}, {title}",
                seed=said["seed"],
                columns={column: said[column] for column in columns},
                measured={} if row is None or lack else row,
                lack=lack,
            )
        )
    return Source(name=study.name, columns=columns, measures=MEASURED, entries=entries)


def _titles(trials: Sequence[Trial]) -> list[str]:
    """Name trials but for their seeds, by those settings alone in which trials that are otherwise alike differ."""
    kinds = [f"{trial.variant}: {trial.experiment.model}-{trial.experiment.split}" for trial in trials]
    settings = [dict.fromkeys(trial.settings.split()) for trial in trials]
    titles = []
    for kind, own in zip(kinds, settings, strict=True):
        alike = [other for other_kind, other in zip(kinds, settings, strict=True) if other_kind == kind]
        titles.append(" ".join([kind, *(word for word in own if not all(word in other for other in alike))]))
    return titles


def _open_cells(reports: Path) -> Source:
    compared, timed = (_read_table(reports / name) for name in ("comparison.csv", "timings.csv"))
    entries = []
    for model, split in itertools.product(MATRIX, dataset.SPLITS):
        place = (model, split)
        row = timed[place] | compared[place] if place in compared and place in timed else {}
        if lacking := [name for name in CELL_MEASURES if row and name not in row]:
            raise StudyError(f"{reports / 'comparison.csv'}: {lacking[0]} is missing here and in timings.csv; {REMEDY}")
        entries.append(
            Entry(
                name=f"cells, {model}-{split}",
                seed=row.get("seed", ""),
                columns={"task": MODELS[model].task, "model": model, "split": split},
                measured=row,
                lack="" if row else "no row",
            )
        )
    return Source(name="cells", columns=("task", "model", "split"), measures=CELL_MEASURES, entries=entries)


def _read_table(path: Path) -> dict[tuple[str, str], Row]:
    """Read a table of the cells by model and split; nothing if there is no file."""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        if any(None in row or None in row.values() for row in rows):
            raise StudyError(f"{path}: was cut or edited; {REMEDY}")
        return {(row["model"], row["split"]): row for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise StudyError(f"{path}: cannot be read: {error}; {REMEDY}") from None


def _open_ramps() -> Source:
    entries = [
        Entry(name=f"ramps, {task}", seed="", columns={"task": task}, measured={"exact": text(share)}, lack="")
        for task, share in ramps.exact_shares(dataset.generate()).items()
    ]
    return Source(name="ramps", columns=("task",), measures=("exact",), entries=entries)


def select(source: Source, where: Mapping[str, Any], at: str) -> list[Entry]:
    """Pick experiments, with a row or without.

    Args:
        source: Where from.
        where: Columns to a value or a list of values, compared as tables write them.
        at: The file and the key that the choice stands in, for the message.

    Raises:
        StudyError: A column is unknown, or one of the values picks nothing: then the test would mean something else
            than it says.
    """
    wanted = {
        column: [text(each) for each in (value if isinstance(value, list) else [value])]
        for column, value in where.items()
    }
    for column in wanted:
        if column not in source.columns:
            raise StudyError(
                f"{at}.where.{column} is no column to choose rows of {source.name} by; "
                f"there are {', '.join(source.columns)}"
            )
    chosen = list(source.entries)
    for column, values in wanted.items():
        there = dict.fromkeys(entry.columns[column] for entry in chosen)
        chosen = [entry for entry in chosen if entry.columns[column] in values]
        if not chosen:
            raise StudyError(
                f"{at}.where.{column} is {' or '.join(values) or 'empty'}; "
                f"of what is left of {source.name} by then it is {', '.join(filter(None, there)) or 'always empty'}"
            )
    for column, values in wanted.items():
        there = dict.fromkeys(entry.columns[column] for entry in chosen)
        if idle := [value for value in values if value not in there]:
            raise StudyError(f"{at}.where.{column} names {idle[0]}; no such experiment of {source.name} has the rest")
    return chosen
