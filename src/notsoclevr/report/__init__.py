"""Everything that people look at: comparison, figures and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notsoclevr.cells.files import Cell
    from notsoclevr.cells.matrix import Missing
    from notsoclevr.claims.judge import Judged


def write(
    root: Path, reports: Path, cells: Sequence[Cell], missing: Sequence[Missing], judged: Sequence[Judged]
) -> None:
    """Write everything in reports/.

    Args:
        root: The repository, for its studies.
        reports: The folder.
        cells: The cells that are there.
        missing: Those that are not.
        judged: The claims.

    Raises:
        StudyError: A study or a search is not what it should be; then nothing is written.
        OSError: A file cannot be written.
    """
    from notsoclevr.report import claims, comparison, page, searches, studies
    from notsoclevr.report.strips import strips

    loaded, found = studies.load(root), searches.load(root)
    comparison.write(reports, cells, studies.reached(loaded))
    ledger = claims.records(judged)
    claims.write(reports, ledger)
    studies.write(reports, loaded, found)
    painted = reports / "figures" / studies.PAINTED.format("replication")
    over_seeds = strips(studies.ended(loaded, "seeds"))
    # the page says the same wherever the repository is
    told = [replace(each, reason=each.reason.replace(f"{root}/", "")) for each in missing]
    page.write(reports / "index.html", cells, told, ledger, over_seeds, painted if painted.exists() else None)
