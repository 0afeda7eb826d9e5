"""Scales: where a value stands between two ends, for the page to draw, in hundredths of the way."""

from __future__ import annotations

import math
from typing import Any

from notsoclevr.claims.judge import Finding


def scale(finding: Finding, *, is_share: bool) -> dict[str, Any]:
    """Return what a test asks for and what its rows say on one scale.

    Args:
        finding: The test and its rows.
        is_share: Its values run from 0 to 1.

    Returns:
        Places, 0 to 100: "band", where the value must be to pass; "rows", the lowest and the highest row, None where a
        difference or a ratio of rows is asked about; "at", the value, None where it is undefined. A value that is
        infinite stands at the end.
    """
    test, value = finding.test, finding.value
    rows = finding.sides[0].values if test.against is None else ()
    bounds = [bound for bound in (test.at_least, test.at_most) if bound is not None]
    known = [number for number in (*bounds, *rows, value) if number is not None and math.isfinite(number)]
    low = min(0.0, *known)
    high = max(1.0 if is_share else 0.0, *known)
    high = high if is_share or high <= low else low + 1.1 * (high - low)  # what has no end has some room at the end

    def place(number: float) -> float:
        share = number if math.isinf(number) else (number - low) / (high - low or 1)
        return round(100 * min(1.0, max(0.0, share)), 2)

    return {
        "band": (
            place(low if test.at_least is None else test.at_least),
            place(high if test.at_most is None else test.at_most),
        ),
        "rows": (place(min(rows)), place(max(rows))) if rows else None,
        "at": None if value is None or math.isnan(value) else place(value),
    }
