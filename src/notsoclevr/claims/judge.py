"""Verdicts: what our rows say to the published claims.

A claim holds if all its tests pass, holds in part if some do, and does not hold if none does. Until every experiment of
every test has ended with as many seeds as the test asks for, the claim is not tested: nothing passes for want of
evidence. Rows beyond these may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from notsoclevr.claims.evidence import Sources, applies, pick
from notsoclevr.claims.spec import FILE, Against, Claim, Test, load
from notsoclevr.errors import StudyError
from notsoclevr.studies.rows import BECAME_PERFECT, BY_EPOCH

NOT_TESTED = "not tested"
VERDICTS = ("holds", "holds in part", "does not hold", NOT_TESTED)
STATISTICS = {"median": "median", "lowest": "min", "highest": "max", "share": "mean"}  # as pandas calls them


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The rows of a test, or those it compares them with.

    Args:
        statistic: What they come to; None if too many of them are missing.
        values: The values of the finished rows.
        seeds: The fewest that an experiment of them has finished with; None where there are no seeds.
        missing: The experiments without a row: `experiment`, `seed` and `missing` of `Source.table`.
    """

    statistic: float | None
    values: Sequence[float]
    seeds: int | None
    missing: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the rows say to one test.

    Args:
        test: The test.
        sides: Its rows, and those it compares them with.
    """

    test: Test
    sides: Sequence[Side]

    @property
    def value(self) -> float | None:
        """What is compared with the bound; NaN, which passes nothing, if it has no answer; None if rows are missing."""
        own, other = self.sides[0].statistic, self.sides[-1].statistic
        if own is None or other is None:
            return None
        if self.test.by is None:
            return own
        if self.test.by == "difference":
            return own - other
        if other == 0:
            return math.inf if own > 0 else math.nan
        return own / other

    @property
    def passes(self) -> bool | None:
        """Whether the value is in the bounds; a rounding error of floating point does not decide."""
        if self.value is None:
            return None
        slack = 1e-9 * max(1.0, abs(self.value)) if math.isfinite(self.value) else 0.0
        low = -math.inf if self.test.at_least is None else self.test.at_least
        high = math.inf if self.test.at_most is None else self.test.at_most
        return low - slack <= self.value <= high + slack


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A claim and what came of it.

    Args:
        group: Who made it, a field of `Ledger`.
        claim: The claim.
        findings: One a test.
    """

    group: str
    claim: Claim
    findings: Sequence[Finding]

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        passes = [finding.passes for finding in self.findings]
        if None in passes:
            return NOT_TESTED
        if all(passes):
            return "holds"
        return "holds in part" if any(passes) else "does not hold"


def judge(root: Path) -> list[Judged]:
    """Return the verdict on every claim of studies/claims.yaml, in their order.

    Args:
        root: The repository.

    Raises:
        StudyError: As `load` does; or a test names a study or a column that there is not, picks what no study asks for,
            or looks at a column that does not apply to its rows; or the rows are not as they were written.
    """
    path = root / FILE
    ledger, sources = load(path), Sources(root)
    return [
        Judged(
            group=group,
            claim=claim,
            findings=[
                _try(test, sources, f"{path}: {group}.{claim.id}.tests.{number}")
                for number, test in enumerate(claim.tests)
            ],
        )
        for group, claim in ledger.claims()
    ]


def _try(test: Test, sources: Sources, at: str) -> Finding:
    sides = [_look(test, Against(), sources, at)]
    if test.against:
        sides.append(_look(test, test.against, sources, f"{at}.against"))
    return Finding(test=test, sides=sides)


def _look(test: Test, other: Against, sources: Sources, at: str) -> Side:
    study, column = other.study or test.study, other.column or test.column
    where = test.where if other.where is None else other.where
    if study not in sources.names:
        raise StudyError(f"{at}.study is {study!r}; there are {', '.join(sources.names)}")
    source = sources[study]
    if column not in source.measured:
        raise StudyError(f"{at}.column is {column!r}; {source.name} has {', '.join(source.measured)}")
    chosen = pick(source, where, at)
    if "model" in source.content:
        for experiment, model in zip(chosen["experiment"], chosen["model"], strict=True):
            if not applies(column, model):
                raise StudyError(f"{at}.column is {column}, which does not apply to {experiment}")
    finished = chosen["missing"] == ""
    values = _values(chosen[finished], column, test, at)
    fewest = int(chosen["seed"].where(finished).groupby(chosen["experiment"]).nunique().min())
    statistic = getattr(values, STATISTICS[other.statistic or test.statistic])
    return Side(
        statistic=float(statistic(skipna=False)) if fewest >= test.seeds else None,
        values=values.tolist(),
        seeds=fewest if "seed" in source.content else None,
        missing=chosen.loc[~finished, ["experiment", "seed", "missing"]].to_dict("records"),
    )


def _values(rows: pd.DataFrame, column: str, test: Test, at: str) -> pd.Series[float]:
    """Return the number that each finished row counts with."""
    numbers = _numbers(rows, column, test, at)
    return numbers if test.reaching is None else (numbers >= test.reaching).astype(float)


def _numbers(rows: pd.DataFrame, column: str, test: Test, at: str) -> pd.Series[float]:
    """Return the number that each finished row has in a column."""
    if column in BECAME_PERFECT:
        return rows[column].fillna(math.inf)  # never
    if column != BY_EPOCH:
        return rows[column]
    runs = rows[["experiment", "measure_every", "epochs", "training_operations", BY_EPOCH]].to_dict("records")
    return pd.Series([_by_epoch(run, test, at) for run in runs], dtype=float)


def _by_epoch(run: Mapping[str, Any], test: Test, at: str) -> float:
    """Return the best share that a run reached, or the operations until it reached `test.operations_until`."""
    every, last = int(run["measure_every"]), int(run["epochs"])
    # measured every so many epochs, and after the last one
    shares = {min(number * every, last): float(share) for number, share in enumerate(run[BY_EPOCH].split(), 1)}
    if test.operations_until is not None:
        if math.isnan(run["training_operations"]):
            raise StudyError(f"{at}.operations_until: a row of {run['experiment']} has no training_operations")
        epoch = min((epoch for epoch, share in shares.items() if share >= test.operations_until), default=math.inf)
        return float(run["training_operations"]) * epoch / last
    reached = [share for epoch, share in shares.items() if epoch <= (test.within_epochs or last)]
    if not reached:
        raise StudyError(
            f"{at}.within_epochs is {test.within_epochs}; {run['experiment']} was first measured after {every}"
        )
    return max(reached)
