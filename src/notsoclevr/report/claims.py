"""The ledger as files: reports/claims.md for people, reports/claims.csv for other programs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from notsoclevr.claims.judge import NOT_TESTED, VERDICTS, Finding, Judged, Side
from notsoclevr.claims.spec import FILE, Test
from notsoclevr.cost import GIGA
from notsoclevr.files import atomic_write, write_rows
from notsoclevr.models import MODELS
from notsoclevr.report.markdown import flat, share, span, success, table
from notsoclevr.report.scales import scale
from notsoclevr.studies.rows import BY_EPOCH, metric_of
from notsoclevr.studies.spec import text
from notsoclevr.tasks import METRICS, Metric

GROUPS = {"tutorial": "The tutorial", "paper": "The paper", "critics": "Its critics"}
OBVIOUS = ("study", "variant", "model", "split", "task")  # columns whose values need no name beside them
SETS = {"train": "training", "validation": "validation", "test": "test"}  # as columns call them
PASSES = {None: NOT_TESTED, True: "yes", False: "no"}

Ledger = Sequence[Mapping[str, Any]]  # as `records` returns it


def counts(ledger: Ledger) -> str:
    """Return how many claims have which verdict, in one line."""
    found = Counter(claim["verdict"] for claim in ledger)
    return f"{len(ledger)} claims: {', '.join(f'{verdict} {found[verdict]}' for verdict in VERDICTS)}"


def records(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the ledger as plain data, one record per claim.

    Args:
        judged: The claims.

    Returns:
        Texts, by these names: group, id, source, statement, published; measured, a list of what the rows say to each
        test; seeds, the fewest that an experiment has, from test to test, "" where there are none; verdict; missing, a
        list of the experiments that have no row. And tests, one record per test of a claim with a verdict, to be drawn:
        label, quantity, value, needed, passes, note, and scale as `notsoclevr.report.scales.scale` has it.
    """
    return [
        {
            "group": each.group,
            "id": each.claim.id,
            "source": flat(each.claim.source),
            "statement": flat(each.claim.statement),
            "published": flat(each.claim.published),
            "measured": _measured(each.findings),
            "seeds": _seeds(each.findings),
            "verdict": each.verdict,
            "missing": _missing(each.findings),
            "tests": [] if each.verdict == NOT_TESTED else _tests(each.findings),
        }
        for each in judged
    ]


def _tests(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return what the rows say to each test, in parts."""
    labels = _labels([finding.test for finding in findings])
    return [
        {
            "label": label,
            "quantity": _quantity(finding.test, finding.test.column),
            "value": _value(finding),
            "needed": _bound(finding.test),
            "passes": finding.passes,
            "note": _note(finding.test),
            "scale": scale(finding, is_share=_is_share(finding.test)),
        }
        for label, finding in zip(labels, findings, strict=True)
    ]


def _measured(findings: Sequence[Finding]) -> list[str]:
    """Return one text per test: the value, its spread, the bound and whether it passes."""
    labels = _labels([finding.test for finding in findings])
    return [f"{label}{': ' if label else ''}{_finding(each)}" for label, each in zip(labels, findings, strict=True)]


def _labels(tests: Sequence[Test]) -> list[str]:
    """Return for each test of a claim that in which it differs from the others."""
    chosen = [{"study": test.study} | test.where for test in tests]
    return [
        ", ".join(_words(name, own[name]) for name in own if any(other.get(name) != own[name] for other in chosen))
        for own in chosen
    ]


def _words(column: str, value: Any) -> str:
    names = [
        MODELS[each].title if column == "model" else text(each)
        for each in (value if isinstance(value, list) else [value])
    ]
    values = " or ".join(names)
    return values if column in OBVIOUS else f"{column} {values}"


def _finding(finding: Finding) -> str:
    """Return a finding in words: "exact answers on the test set, 98 % (96 to 98 %), needed at least 99.95 %: no"."""
    test = finding.test
    note = f" ({note})" if (note := _note(test)) else ""
    said = (_quantity(test, test.column), _value(finding) or _rival(test), f"needed {_bound(test)}")
    return f"{', '.join(filter(None, said))}: {PASSES[finding.passes]}{note}"


def _note(test: Test) -> str:
    return flat(test.note or "")


def _quantity(test: Test, column: str) -> str:
    """Return in words what a test looks at in a column, its own or that of the rows which it compares with."""
    if test.reaching is not None:
        return f"runs that reach {_unit(metric_of(column), test.reaching)} ({_name(column)})"
    if column == BY_EPOCH and test.operations_until is not None:
        return f"GFLOP until the first measured epoch with {share(test.operations_until)} of the test set exact"
    if column == BY_EPOCH:
        until = f"within {test.within_epochs} epochs" if test.within_epochs else "of all epochs"
        return f"{METRICS['exact'].label} on the test set, the best {until}"
    return _name(column)


def _name(column: str) -> str:
    """Return the name of a column in words."""
    metric, part = metric_of(column), column.partition("_")[0]
    if metric is None:
        return column.replace("_to_", "_until_").replace("_", " ")
    return metric.label if column == metric.name else f"{metric.label} on the {SETS[part]} set"


def _metric(test: Test) -> Metric | None:
    """Return the metric that a test looks at; None if it looks at something else."""
    if test.reaching is not None or (test.column == BY_EPOCH and test.operations_until is None):
        return METRICS["exact"]
    return metric_of(test.column)


def _is_share(test: Test) -> bool:
    """Return whether the values of a test run from 0 to 1, as a percentage does."""
    metric = _metric(test)
    return test.by != "ratio" and metric is not None and metric.bounded


def _amount(test: Test, value: float) -> str:
    """Return a value of what a test looks at, with its unit."""
    if math.isinf(value):
        return "never"
    if test.operations_until is not None:
        return _number(value / GIGA)
    return _unit(_metric(test), value)


def _unit(metric: Metric | None, value: float) -> str:
    """Return a value of a metric with its unit."""
    if metric is None or math.isnan(value):
        return _number(value)
    # not as tables write shares: a value and its bound must not look alike where they are not
    return f"{_number(100 * value)} %" if metric.unit == "share" else f"{_number(value)} {metric.unit}".strip()


def _compared(test: Test, value: float) -> str:
    """Return a difference or a ratio of values."""
    if test.by == "ratio":
        return f"{_number(value)} times"
    written = _amount(test, value)
    return f"{_number(100 * value)} points" if written.endswith("%") else written


def _value(finding: Finding) -> str:
    if finding.value is None:
        return ""
    test, values = finding.test, finding.sides[0].values
    several = test.reaching is None and len(values) > 1
    statistic = f"{test.statistic} " if several else ""
    ends = span(values, partial(_amount, test)) if several else ""
    spread = f" ({ends})" if " to " in ends else ""
    if test.against is None:
        return f"{statistic}{_statistic(test, finding.sides[0])}{spread}"
    own, other = (_statistic(test, side) for side in finding.sides)
    return f"{statistic}{own}{spread} {_rival(test, other)}: {_compared(test, finding.value)}"


def _statistic(test: Test, side: Side) -> str:
    """Return the statistic of some rows: for a share how many of how many."""
    if test.reaching is None:
        return _amount(test, math.nan if side.statistic is None else side.statistic)
    reached, of = round(sum(side.values)), len(side.values)
    # no interval for trials of a search, each of which depends on those before it
    return f"{reached} of {of}" if test.study == "search" else success(reached, of)


def _rival(test: Test, value: str = "") -> str:
    """Return what a test compares with, as "against 4 % of conv regressor, strided, quadrant"; "" if with nothing."""
    other = test.against
    if other is None:
        return ""
    where = test.where if other.where is None else other.where
    of = [_words(name, chosen) for name, chosen in where.items() if test.where.get(name) != chosen]
    rows = [f"of {', '.join(of)}"] if of else []
    if other.study not in (None, test.study):
        rows.append(f"in {other.study}")
    quantity = _quantity(test, other.column) if other.column else ""
    what = [each for each in (other.statistic, quantity, value) if each] or ["those"]
    return " ".join(["against", *what, ", ".join(rows)]).strip()


def _bound(test: Test) -> str:
    written = partial(_compared if test.by else _amount, test)
    if test.at_least is not None and test.at_least == test.at_most:
        return f"exactly {written(test.at_least)}"
    bounds = {"at least": test.at_least, "at most": test.at_most}
    bounded = " and ".join(f"{words} {written(bound)}" for words, bound in bounds.items() if bound is not None)
    return f"a difference of {bounded}" if test.by == "difference" else bounded


def _number(value: float) -> str:
    """Return a number in four digits, but never one that is not whole as if it were."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite"
    value = float(f"{value:.9g}")  # a rounding error of floating point says nothing
    if value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    digits = 4
    while float(shown := f"{value:.{digits}g}") == round(value):
        digits += 1
    return shown


def _seeds(findings: Sequence[Finding]) -> str:
    """Return on how many seeds a claim rests: the fewest that an experiment of a test has, from test to test."""
    numbers = [side.seeds for finding in findings for side in finding.sides if side.seeds is not None]
    return " to ".join(map(str, sorted({min(numbers), max(numbers)}))) if numbers else ""


def _missing(findings: Sequence[Finding]) -> list[str]:
    """Return the experiments that have no row, each with its seeds."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for finding in findings:
        for side in finding.sides:
            for row in side.missing:
                seeds.setdefault((row["experiment"], row["missing"]), set()).add(int(row["seed"]))
    return [
        f"{experiment}, {_ranges(own)}{f' ({reason})' if reason != 'no row' else ''}"
        for (experiment, reason), own in seeds.items()
    ]


def _ranges(seeds: Collection[int]) -> str:
    """Return seeds in words, those that follow each other as a range."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    shown = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"seed{'s' if len(seeds) > 1 else ''} {shown}"


def markdown(ledger: Ledger) -> str:
    """Return the ledger as a page for people."""
    lines = [
        "# The ledger of claims",
        "",
        f"{counts(ledger)}.",
        "",
        "What was published, and what our rows say to it. The claims and the tests that decide them are in",
        f"{FILE.as_posix()}; `notsoclevr claims` writes this file. A claim holds if all its tests pass, and in part",
        "if some do. In brackets: the lowest and the highest row, and of a share of runs its 95 % interval. What is",
        "needed follows from what was published, by the rules at the head of that file: a figure, for one, is met by",
        "ours if it is within 5 points of it. Some tests were changed when their rows were known; each says so. Names",
        "such as *table* are variants, which [studies.md](studies.md) explains.",
        "",
        "The tutorial counts rows and columns of a regression one by one. Where a share s of them is right, s squared",
        "of the positions are if the two are independent, and s if they are always right together.",
        "",
    ]
    header = ("claim", "published", "ours", "seeds", "verdict")
    for group, title in GROUPS.items():
        rows = [
            (
                f"{claim['statement']} ({claim['source']}; `{claim['id']}`)",
                claim["published"],
                "<br>".join(claim["measured"]),
                claim["seeds"],
                f"**{claim['verdict']}**",
            )
            for claim in ledger
            if claim["group"] == group
        ]
        lines += [f"## {title}", "", *table(header, rows), ""] if rows else []
    if untested := [f"- `{claim['id']}`: {'; '.join(claim['missing'])}" for claim in ledger if claim["missing"]]:
        said = "By claim, the experiments that have not run and may change its verdict:"
        lines += ["## Missing rows", "", said, "", *untested, ""]
    return "\n".join(lines)


def write(reports: Path, ledger: Ledger) -> None:
    """Write claims.md and claims.csv.

    Args:
        reports: Where to.
        ledger: The claims.

    Raises:
        OSError: They cannot be written.
    """
    rows = [
        {
            "source": f"{claim['group']}: {claim['source']}",
            "claim": claim["statement"],
            "published": claim["published"],
            "measured": "; ".join(claim["measured"]),
            "seeds": claim["seeds"],
            "verdict": claim["verdict"],
            "missing": "; ".join(claim["missing"]),
        }
        for claim in ledger
    ]
    with atomic_write(reports / "claims.md") as page, atomic_write(reports / "claims.csv") as sheet:
        page.write_text(markdown(ledger), "utf-8")
        write_rows(sheet, rows)
