"""What `evaluate`, `claims` and `track` do once their arguments are known to be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from notsoclevr import report, tracking
from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import Missing
from notsoclevr.claims.judge import judge
from notsoclevr.claims.spec import FILE
from notsoclevr.config import REPORTS
from notsoclevr.errors import warn
from notsoclevr.report import claims, record


def evaluate(root: Path, cells: Sequence[Cell], missing: Sequence[Missing]) -> None:
    """Compare cells, hold the published claims to the studies, write the pages, and log it all.

    A store that does not answer is no failure, or DVC would count the stage as failed: a line on stderr says so.

    Args:
        root: The repository.
        cells: The cells that are there.
        missing: Those that are not.

    Raises:
        StudyError: A study or a claim is not what it should be.
    """
    judged = judge(root) if (root / FILE).exists() else ()  # who builds on this may have no claims
    report.write(root, root / REPORTS, cells, missing, judged)
    print((root / REPORTS / "comparison.md").read_text("utf-8"))
    with without_store(), tracking.connect(root) as store:
        record.log_comparison(store, root / REPORTS, cells)


@contextmanager
def without_store() -> Iterator[None]:
    """Go on if the store does not answer, with a line on stderr."""
    try:
        yield
    except tracking.StoreError as error:
        warn(f"{error}; log it later with `notsoclevr track`")


def judge_claims(root: Path) -> str:
    """Hold the published claims to the studies, write them down, and return the verdicts in one line."""
    ledger = claims.records(judge(root))
    claims.write(root / REPORTS, ledger)
    return claims.counts(ledger)


def track(root: Path, cells: Sequence[Cell], *, compare: bool) -> None:
    """Log what has no run in the store.

    Args:
        root: The repository.
        cells: The cells to look at.
        compare: They are all cells of the comparison, which is logged too, and the best networks are registered.

    Raises:
        StudyError: The store does not answer.
    """
    from notsoclevr.cells.training import log_missing

    with tracking.connect(root) as store:
        logged = log_missing(store, cells)
        if compare and all((root / REPORTS / name).exists() for name in ("comparison.csv", "index.html")):
            record.log_comparison(store, root / REPORTS, cells)
    print(f"cells that MLflow lacked and now has: {', '.join(logged) or 'none'}")
