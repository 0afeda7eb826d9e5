"""The stages that look at cells: what `evaluate` and `track` do once their arguments are known to be right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from notsoclevr import comparison, ledger, report, studies_page, tracking
from notsoclevr.claims import judge
from notsoclevr.dataset import Split
from notsoclevr.results import Cell, Missing
from notsoclevr.training import import_tensorflow


def evaluate(root: Path, cells: Sequence[Cell], missing: Sequence[Missing], reports: Path) -> None:
    """Compare cells, hold the published claims to them and to the studies, write the pages, and log it all.

    Args:
        root: The repository.
        cells: The cells that are there.
        missing: Those that are not.
        reports: Where the comparison goes.

    Raises:
        StudyError: The store does not answer. The comparison is kept all the same.
    """
    comparison.write(reports, cells)
    if (root / ledger.FILE).exists():
        ledger.write(reports, judge(root, root / ledger.FILE))
    studies_page.write(reports, root)
    tables = {"Success over seeds": root / "studies" / "seeds" / "summary.csv"}
    report.write(reports / "index.html", cells, missing, tables, reports / "claims.csv")
    print((reports / "comparison.md").read_text("utf-8"))
    with tracking.store(root) as client:
        tracking.log_comparison(client, root, reports, cells)


def track(root: Path, cells: Sequence[Cell], reports: Path | None, split_of: Callable[[str], Split]) -> None:
    """Log whatever the store lacks.

    Args:
        root: The repository.
        cells: The cells to look at.
        reports: Folder of their comparison, which may not exist yet; None to log the cells alone.
        split_of: Name of a split to its examples.

    Raises:
        StudyError: The store does not answer.
    """
    import_tensorflow()
    with tracking.store(root) as client:
        logged = tracking.track(client, root, cells, split_of)
        if reports and (reports / "comparison.csv").exists():
            tracking.log_comparison(client, root, reports, cells)
    print(f"{len(logged)} of {len(cells)} cells had no run{': ' if logged else ''}{', '.join(logged)}")
