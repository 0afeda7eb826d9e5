"""Markdown, as the pages in reports/ are written in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from notsoclevr.tasks import Metric
from notsoclevr.wording import percent

NONE = "–"  # noqa: RUF001 - an en dash is what tables have for nothing


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int | None = None) -> list[str]:
    """Return the lines of a table.

    Args:
        header: The name of each column.
        rows: The cells of each row; what would end a cell or a line is made harmless.
        words: Columns, from the left, that hold words; those after them are numbers and stand at the right. All by
            default.
    """
    words = len(header) if words is None else words
    rules = ["---"] * words + ["---:"] * (len(header) - words)
    return [_line(header), _line(rules), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    escaped = [flat(cell).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def flat(text: str) -> str:
    """Return text in one line."""
    return " ".join(text.split())


def share(value: float | None) -> str:
    """Return a share of 0 to 1 in percent, and a dash for none."""
    return NONE if value is None else percent(value)


@cache
def interval(successes: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of runs that ended well (Clopper and Pearson)."""
    from scipy.stats import binomtest

    low, high = binomtest(successes, of).proportion_ci(0.95, "exact")
    return float(low), float(high)


def success(successes: int, of: int) -> str:
    """Return how many runs of how many ended well, with the 95 % interval of their share."""
    low, high = interval(successes, of)
    return f"{successes} of {of} ({100 * low:.0f} to {100 * high:.0f} %)"


def quantity(metric: Metric, value: float) -> str:
    """Return a value of a metric, with its unit; one that ends at perfect is never rounded to that if it is not."""
    if metric.unit == "share":
        return share(value)
    digits = metric.digits
    while metric.bounded and value != metric.perfect and round(value, digits) == metric.perfect:
        digits += 1
    return f"{value:.{digits}f} {metric.unit}".strip()


def span(values: Iterable[float], written: Callable[[float], str]) -> str:
    """Return the lowest and the highest of some values, the unit once, or the one that all of them are written as."""
    values = list(values)
    lowest, highest = written(min(values)), written(max(values))
    unit = " ".join(["", *highest.split()[1:]])
    return lowest if lowest == highest else f"{lowest.removesuffix(unit)} to {highest}"
