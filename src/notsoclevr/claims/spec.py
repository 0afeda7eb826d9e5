"""The ledger of claims: what was published about CoordConv, and the tests that decide it.

studies/claims.yaml lists claims, each with its tests. A test picks rows of a study, takes a statistic of one column and
holds it to a bound:

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
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from notsoclevr.config import check, read_yaml
from notsoclevr.recipes import FORBID, Count
from notsoclevr.studies.rows import BY_EPOCH

FILE = Path("studies/claims.yaml")

Where = dict[str, Any]
Bound = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Words = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Rows to compare those of a test with; what is not named here is as the test has it.

    Args:
        study: Where they are.
        where: Which they are; it replaces that of the test, it does not add to it.
        column: What to look at.
        statistic: The statistic of the values.
    """

    __pydantic_config__ = FORBID

    study: Words | None = None
    where: Where | None = None
    column: Words | None = None
    statistic: Literal["median", "lowest", "highest"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One condition of a claim.

    Args:
        study: Where the rows are: a folder of studies/, "search" or "ramps".
        where: Which they are: columns to a value or a list of values, all of which must be there.
        column: What to look at. Never perfect counts as perfect after infinite time.
        statistic: The statistic of the values of all those rows; "share" is the share of runs whose value is at least
            `reaching`.
        reaching: Only with "share": the least value that counts.
        within_epochs: Only with "test_exact_by_epoch", of which the best share counts: the best within so many epochs.
        operations_until: Only with "test_exact_by_epoch": a share. What counts are then the operations that training
            took until it reached that share, infinite if it never did.
        against: Rows whose statistic is subtracted, or divided by.
        by: Which of the two.
        at_least: Least value that passes.
        at_most: Greatest.
        seeds: Seeds that every experiment must have finished with before the test says anything.
        note: What a reader has to know of the test, as that it was added when its rows were known.
    """

    __pydantic_config__ = FORBID
    __test__ = False  # pytest: this is no test of ours

    study: Words
    where: Where = field(default_factory=dict)
    column: Words
    statistic: Literal["median", "lowest", "highest", "share"]
    reaching: Bound | None = None
    within_epochs: Count | None = None
    operations_until: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    against: Against | None = None
    by: Literal["difference", "ratio"] | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    seeds: Count = 1
    note: Words | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least is missing; a test takes at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least is {self.at_least}, more than at_most, which is {self.at_most}: nothing passes")
        other = self.against or Against()
        if (self.statistic == "share") != (self.reaching is not None):
            raise ValueError("the statistic share and reaching go together; one of them is missing")
        if self.statistic == "share" and other.statistic:
            raise ValueError("against.statistic has no meaning with share; leave it out")
        for name in ("within_epochs", "operations_until"):
            if getattr(self, name) is not None and self.column != BY_EPOCH:
                raise ValueError(f"{name} has a meaning for the column {BY_EPOCH} alone")
        if self.within_epochs is not None and self.operations_until is not None:
            raise ValueError("within_epochs and operations_until exclude each other")
        if (self.against is None) != (self.by is None):
            raise ValueError("against and by go together; one of them is missing")
        if self.against == Against():
            raise ValueError("against names nothing to compare with; it takes study, where, column or statistic")


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

    __pydantic_config__ = FORBID

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    source: Words
    statement: Words
    published: Words
    tests: Annotated[list[Test], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The claims, by who made them."""

    __pydantic_config__ = FORBID

    tutorial: list[Claim]
    paper: list[Claim]
    critics: list[Claim]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for group, claim in self.claims():
            if claim.id in seen:
                raise ValueError(f"{group}.{claim.id} stands there twice; an id names one claim")
            seen.add(claim.id)
        if not seen:
            raise ValueError("tutorial, paper and critics hold no claims")

    def claims(self) -> list[tuple[str, Claim]]:
        """Return all claims in their order, each with the name of its group."""
        return [(group.name, claim) for group in fields(self) for claim in getattr(self, group.name)]


def load(path: Path) -> Ledger:
    """Load the claims.

    Args:
        path: The file.

    Raises:
        StudyError: It cannot be read, or a key in it is misspelt, missing or of the wrong type, or a claim has no
            tests, a test that says nothing, or the name of another claim.
    """
    ledger: Ledger = check(Ledger, read_yaml(path), path)
    return ledger
