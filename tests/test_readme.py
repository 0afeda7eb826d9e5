"""What the README says of the studies is what their rows say."""

from __future__ import annotations

import pytest

from notsoclevr import studies
from notsoclevr.markdown import share
from notsoclevr.models import MODELS
from notsoclevr.studies import Row

from .conftest import ROOT

README = " ".join((ROOT / "README.md").read_text("utf-8").split())
RIVALS = [name for name in MODELS if name.startswith(("deconv", "pooled", "strided"))]


def rows_of(study: str, **where: str) -> list[Row]:
    """Give those rows of a study that have these values."""
    rows = studies.load_rows(ROOT / "studies" / study / "results.csv").values()
    chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert chosen, f"{study} has no {where}"
    return chosen


def spread(rows: list[Row], measure: str = "test_exact") -> str:
    """Write the lowest and the highest share of some runs as the README does."""
    values = [float(row[measure]) for row in rows]
    lowest, highest = share(min(values)), share(max(values))
    return lowest if lowest == highest else f"{lowest.removesuffix(' %')} to {highest}"


def test_success_over_seeds() -> None:
    rows = rows_of("seeds", variant="coordconv")
    perfect = sum(map(studies.is_perfect, rows))
    assert f"perfect in {perfect} of {len(rows)} runs" in README
    assert not any(map(studies.is_perfect, rows_of("seeds", variant="rival")))


@pytest.mark.parametrize("model", RIVALS)
def test_rivals_over_seeds(model: str) -> None:
    ends = [spread(rows_of("seeds", model=model, split=split)) for split in ("uniform", "quadrant")]
    assert f"| {MODELS[model].title} | {' | '.join(ends)} |" in README


@pytest.mark.parametrize("split", ["uniform", "quadrant"])
def test_how_far_the_deconv_painter_gets(split: str) -> None:
    overlaps = [float(row["test_iou"]) for row in rows_of("seeds", model="deconv_painter", split=split)]
    assert f"{min(overlaps):.3f} to {max(overlaps):.3f}" in README
