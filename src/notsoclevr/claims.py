"""The ledger of claims: what was published about CoordConv, and what our rows say to it.

studies/claims.yaml lists claims, and for each the tests that decide it. A test picks rows, takes a statistic of one
column and holds it to a bound:

    - id: deconv_classification_uniform
      source: section 4
      statement: Deconvolution classifies at most 86 % of unseen positions on the uniform split.
      published: at most 86 %
      tests:
        - study: seeds
          where: {model: deconv_classifier, split: uniform}
          column: test_exact
          statistic: highest
          at_most: 0.865

A claim holds if all its tests pass, holds in part if some do, and does not hold if none does. If a test lacks rows the
claim is not tested, whatever the other tests say: nothing passes for want of evidence.

Where rows come from stands in `notsoclevr.evidence`; how the verdicts are written down, in `notsoclevr.ledger`.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from notsoclevr.config import check, read_yaml
from notsoclevr.errors import StudyError
from notsoclevr.evidence import Entry, Sources, select
from notsoclevr.recipes import STRICT, Count
from notsoclevr.studies import BECAME_PERFECT, is_perfect

VERDICTS = ("holds", "holds in part", "does not hold", "not tested")
BY_EPOCH = "test_exact_by_epoch"

Where = dict[str, Any]
Bound = Annotated[float, Field(allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Rows to compare those of a test with; what is not named here is as the test has it.

    Args:
        study: Where they are.
        where: Which they are; it replaces that of the test, it does not add to it.
        column: What to look at.
        statistic: Of the values.
    """

    __pydantic_config__ = STRICT

    study: str | None = None
    where: Where | None = None
    column: str | None = None
    statistic: Literal["median", "lowest", "highest"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One condition of a claim.

    Args:
        study: Where the rows are: a folder of studies/, "cells" or "ramps".
        where: Which they are: columns to a value or a list of values, all of which must be there.
        statistic: Of the values of all those rows; "share_perfect" is the share of rows that ended with every example
            of both halves answered exactly.
        column: What to look at; none with "share_perfect". Never perfect counts as perfect after infinite time.
        within_epochs: With "test_exact_by_epoch", whose value is the best that a row reached: epochs that it had.
        seconds_until: With "test_exact_by_epoch": a share; the value is the seconds that a row was trained until it had
            reached that, infinite if it never did.
        against: Rows whose statistic is subtracted, or divided by.
        by: Which of the two.
        at_least: Least value that passes.
        at_most: Greatest.
        seeds: Seeds that every experiment must have finished with before the test says anything.
    """

    __pydantic_config__ = STRICT
    __test__ = False  # pytest: this is no test of ours

    study: str
    where: Where = field(default_factory=dict)
    statistic: Literal["median", "lowest", "highest", "share_perfect"]
    column: str | None = None
    within_epochs: Count | None = None
    seconds_until: Bound | None = None
    against: Against | None = None
    by: Literal["difference", "ratio"] | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    seeds: Count = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something published that rows can decide.

    Args:
        id: Its name.
        source: Where it stands.
        statement: What it says, in our words.
        published: Its figure.
        tests: What must be true of the rows if it is.
    """

    __pydantic_config__ = STRICT

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    source: Words
    statement: Words
    published: Words
    tests: Annotated[list[Test], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The claims, by who made them."""

    __pydantic_config__ = STRICT

    tutorial: list[Claim]
    paper: list[Claim]
    critics: list[Claim]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The rows of a test, or those it compares them with.

    Args:
        statistic: What they come to; None if too many of them are missing.
        values: Of the finished rows.
        seeds: The fewest that an experiment of them has finished with; None where there are no seeds.
        missing: The experiments without a row.
    """

    statistic: float | None
    values: Sequence[float]
    seeds: int | None
    missing: Sequence[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the rows say to one test.

    Args:
        test: The test.
        sides: Its rows, and those it compares them with.
        value: What is held to the bound; None if rows are missing.
    """

    test: Test
    sides: Sequence[Side]
    value: float | None

    @property
    def passes(self) -> bool | None:
        """Whether it does; None if rows are missing."""
        return None if self.value is None else _within(self.test, self.value)


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
            return "not tested"
        if all(passes):
            return "holds"
        return "holds in part" if any(passes) else "does not hold"


def load(path: Path) -> Ledger:
    """Read the claims.

    Args:
        path: The file.

    Raises:
        StudyError: It cannot be read, or a key in it is misspelt, missing or of the wrong type, or a claim has no
            tests, a test that says nothing, or the name of another claim.
    """
    ledger: Ledger = check(Ledger, read_yaml(path), path)
    seen: set[str] = set()
    for group, claim in _each(ledger):
        if claim.id in seen:
            raise StudyError(f"{path}: {group}.{claim.id} stands there twice; an id names one claim")
        seen.add(claim.id)
        for number, test in enumerate(claim.tests):
            if problem := _contradiction(test):
                raise StudyError(f"{path}: {group}.{claim.id}.tests.{number}{problem}")
    if not seen:
        raise StudyError(f"{path}: holds no claims")
    return ledger


def _each(ledger: Ledger) -> list[tuple[str, Claim]]:
    return [(group.name, claim) for group in fields(ledger) for claim in getattr(ledger, group.name)]


def _contradiction(test: Test) -> str:
    """Say what is wrong with a test in itself."""
    if test.at_least is None and test.at_most is None:
        return " has no bound; it takes at_least, at_most or both"
    if test.at_least is not None and test.at_most is not None and test.at_least > test.at_most:
        return f".at_least is {test.at_least}, more than at_most, which is {test.at_most}: nothing passes"
    if test.statistic == "share_perfect":
        for name in ("column", "statistic") if test.against else ():
            if getattr(test.against, name) is not None:
                return f".against.{name} has no meaning with share_perfect; leave it out"
        if test.column is not None:
            return ".column has no meaning with share_perfect, which looks at both halves; leave it out"
    elif test.column is None:
        return f".column is missing; {test.statistic} takes one"
    for name in ("within_epochs", "seconds_until"):
        if getattr(test, name) is not None and test.column != BY_EPOCH:
            return f".{name} has a meaning for the column {BY_EPOCH} alone"
    if test.within_epochs is not None and test.seconds_until is not None:
        return ": within_epochs and seconds_until exclude each other"
    if (test.against is None) != (test.by is None):
        return ": against and by go together; one of them is missing"
    if test.against == Against():
        return ".against names nothing to compare with; it takes study, where, column or statistic"
    return ""


def judge(root: Path, path: Path) -> list[Judged]:
    """Hold every claim to the rows.

    Args:
        root: The repository.
        path: The file of the claims.

    Returns:
        The claims in their order.

    Raises:
        StudyError: As `load` does; or a test names a study or a column that there is not, picks what no study asks for,
            or looks at a column in which its rows are empty; or the rows are not as they were written.
    """
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
        for group, claim in _each(ledger)
    ]


def _try(test: Test, sources: Sources, at: str) -> Finding:
    sides = [_look(test, sources, at)]
    if test.against:
        named = {item.name: getattr(test.against, item.name) for item in fields(Against)}
        named = {name: value for name, value in named.items() if value is not None}
        sides.append(_look(replace(test, **named), sources, f"{at}.against"))
    known = [side.statistic for side in sides if side.statistic is not None]
    return Finding(test=test, sides=sides, value=_combine(test.by, known) if len(known) == len(sides) else None)


def _look(test: Test, sources: Sources, at: str) -> Side:
    if test.study not in sources.names:
        raise StudyError(f"{at}.study is {test.study!r}; there are {', '.join(sources.names)}")
    source = sources[test.study]
    for column in ("train_exact", "test_exact") if test.column is None else (test.column,):
        if column not in source.measures:
            raise StudyError(f"{at}.column is {column!r}; {source.name} has {', '.join(source.measures)}")
    chosen = select(source, test.where, at)
    finished = [entry for entry in chosen if not entry.lack]
    count = Counter(entry.name for entry in finished)
    fewest = min(count[entry.name] for entry in chosen)
    values = [_value(entry, test, at) for entry in finished]
    return Side(
        statistic=_summarise(test.statistic, values) if fewest >= test.seeds else None,
        values=values,
        seeds=fewest if any(entry.seed or entry.lack for entry in chosen) else None,
        missing=[entry for entry in chosen if entry.lack],
    )


def _value(entry: Entry, test: Test, at: str) -> float:
    """Give the number that a finished row counts with."""
    row = entry.measured
    try:
        if test.column is None:
            return float(is_perfect(row))
        if row[test.column] == "":
            if test.column in BECAME_PERFECT:
                return math.inf
            raise StudyError(f"{at}.column is {test.column}, which does not apply to {entry.name}")
        if test.column != BY_EPOCH:
            return float(row[test.column])
        every, last = int(row["measure_every"]), int(row["epochs"])
        shares = [float(share) for share in row[BY_EPOCH].split()]
    except ValueError as error:
        raise StudyError(f"{at}: {entry.name} has no number there: {error}") from None
    # measured every so many epochs, and after the last one
    epochs = [min(number * every, last) for number in range(1, len(shares) + 1)]
    if test.seconds_until is not None:
        at_epoch = next(
            (epoch for epoch, share in zip(epochs, shares, strict=True) if share >= test.seconds_until), math.inf
        )
        return float(row["train_seconds"]) * at_epoch / last
    reached = [
        share
        for epoch, share in zip(epochs, shares, strict=True)
        if test.within_epochs is None or epoch <= test.within_epochs
    ]
    if not reached:
        raise StudyError(f"{at}.within_epochs is {test.within_epochs}; {entry.name} was first measured after {every}")
    return max(reached)


def _summarise(statistic: str, values: Sequence[float]) -> float:
    if any(math.isnan(value) for value in values):
        return math.nan  # which passes nothing
    functions: dict[str, Callable[[Sequence[float]], float]] = {
        "median": statistics.median,
        "lowest": min,
        "highest": max,
        "share_perfect": statistics.fmean,
    }
    return functions[statistic](values)


def _combine(by: str | None, values: Sequence[float]) -> float:
    """Compare the two sides; what has no answer, as 0 / 0, is NaN, which passes nothing."""
    if by is None:
        return values[0]
    own, other = values
    if by == "difference":
        return own - other
    if other == 0:
        return math.inf if own > 0 else math.nan
    return own / other


def _within(test: Test, value: float) -> bool:
    """Say whether a value is in the bounds; a rounding error of floating point does not decide."""
    slack = 1e-9 * max(1.0, abs(value)) if math.isfinite(value) else 0.0
    low = -math.inf if test.at_least is None else test.at_least
    high = math.inf if test.at_most is None else test.at_most
    return low - slack <= value <= high + slack
