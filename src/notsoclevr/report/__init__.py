"""Everything that people look at: comparison, figures and pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from notsoclevr.cells.files import Cell, Missing
    from notsoclevr.claims.judge import Judged
    from notsoclevr.report.page import Picture


def write(
    root: Path, reports: Path, cells: Sequence[Cell], missing: Sequence[Missing], judged: Sequence[Judged]
) -> None:
    """Write everything in reports/.

    Args:
        root: The repository, for its studies.
        reports: The folder.
        cells: The cells that are there.
        missing: Those that are not.
        judged: The claims; without any, their pages stay as they are.

    Raises:
        StudyError: A study is not what it should be.
        OSError: A file cannot be written.
    """
    from notsoclevr.report import claims, comparison, page, studies

    comparison.write(reports, cells)
    if judged:
        claims.write(reports, judged)
    studies.write(reports, root)
    page.write(reports / "index.html", cells, missing, claims.records(judged), _pictures(reports / "figures"))


def _pictures(figures: Path) -> list[Picture]:
    """Return the pictures of the report that are there."""
    from notsoclevr.report.page import Picture

    all_pictures = [
        Picture(
            path=figures / "curves.png",
            heading="What it costs",
            text="Exact answers on the test set against the floating-point operations that the training had taken.",
        ),
        Picture(
            path=figures / "seeds.png",
            heading="Over seeds",
            text="Every run a dot, by how much of its test set it ended exact on. At the right, how many ended "
            "perfect, with the 95 % interval of their share.",
        ),
    ]
    return [each for each in all_pictures if each.path.exists()]
