"""The ledger as files: reports/claims.md for people, reports/claims.csv for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from notsoclevr.atomic import replacing
from notsoclevr.claims import BY_EPOCH, VERDICTS, Finding, Judged, Test
from notsoclevr.markdown import flat, table
from notsoclevr.results import write_rows
from notsoclevr.studies import text

FILE = Path("studies/claims.yaml")
GROUPS = {"tutorial": "The tutorial", "paper": "The paper", "critics": "Its critics"}
OBVIOUS = ("study", "variant", "model", "split", "task")  # columns whose values need no name beside them


def counts(judged: Sequence[Judged]) -> str:
    """Count the verdicts, in one line."""
    found = Counter(each.verdict for each in judged)
    return f"{len(judged)} claims: {', '.join(f'{verdict} {found[verdict]}' for verdict in VERDICTS)}"


def measured(judged: Judged) -> list[str]:
    """Say what the rows say to a claim: a text a test, with the value, its spread, the bound and whether it passes."""
    findings = judged.findings
    labels = _labels([finding.test for finding in findings])
    return [f"{label}{': ' if label else ''}{_finding(each)}" for label, each in zip(labels, findings, strict=True)]


def _labels(tests: Sequence[Test]) -> list[str]:
    """Name each test of a claim by that in which it differs from the others."""
    chosen = [{"study": test.study} | test.where for test in tests]
    return [
        ", ".join(_words(name, own[name]) for name in own if any(other.get(name) != own[name] for other in chosen))
        for own in chosen
    ]


def _words(column: str, value: Any) -> str:
    values = " or ".join(map(text, value if isinstance(value, list) else [value]))
    return values if column in OBVIOUS else f"{column} {values}"


def _finding(finding: Finding) -> str:
    passes = {None: "not tested", True: "yes", False: "no"}[finding.passes]
    return f"{_quantity(finding.test)}{_value(finding)}, {_bound(finding.test)}: {passes}"


def _quantity(test: Test) -> str:
    by = f"{test.by} of " if test.by else ""
    if test.column is None:
        return f"{by}share of runs that end perfect"
    if test.column != BY_EPOCH:
        return f"{by}{test.statistic} {test.column}"
    if test.seconds_until is not None:
        return f"{by}{test.statistic} of the seconds until test_exact was {_number(test.seconds_until)}"
    until = f"within {test.within_epochs} epochs" if test.within_epochs else "of all epochs"
    return f"{by}{test.statistic} of the best test_exact {until}"


def _value(finding: Finding) -> str:
    if finding.value is None:
        return ""
    test, values = finding.test, finding.sides[0].values
    spread = f"{_number(min(values))} to {_number(max(values))}" if test.column and len(set(values)) > 1 else ""
    if test.against is None:
        return f" {_number(finding.value)}{f' ({spread})' if spread else ''}"
    own, other = (_number(side.statistic or 0) for side in finding.sides)
    what = "".join(f"{word} " for word in (test.against.statistic, test.against.column) if word)
    return f" {_number(finding.value)} ({own}{f' [{spread}]' if spread else ''} against {what}{other})"


def _bound(test: Test) -> str:
    if test.at_least is not None and test.at_least == test.at_most:
        return f"exactly {_number(test.at_least)}"
    bounds = {"at least": test.at_least, "at most": test.at_most}
    return " and ".join(f"{words} {_number(bound)}" for words, bound in bounds.items() if bound is not None)


def _number(value: float) -> str:
    """Write a number shortly, but never what is not whole as if it were."""
    if value != value:
        return "undefined"
    if abs(value) == float("inf"):
        return "infinite"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    shown = f"{value:.4g}"
    return shown if float(shown) != round(value) else repr(value)


def seeds(judged: Judged) -> str:
    """Say on how many seeds a claim rests: the fewest that an experiment of a test has, from test to test."""
    numbers = {side.seeds for finding in judged.findings for side in finding.sides if side.seeds is not None}
    return " to ".join(map(str, sorted({min(numbers), max(numbers)}))) if numbers else ""


def missing(judged: Judged) -> list[str]:
    """Name the experiments of a claim that have no row, each with its seeds."""
    lacking: dict[tuple[str, str], dict[str, None]] = {}  # seeds, each once
    for finding in judged.findings:
        for side in finding.sides:
            for entry in side.missing:
                lacking.setdefault((entry.name, entry.lack), {})[entry.seed] = None
    return [
        f"{name}{_seeds([int(seed) for seed in own if seed])}{f' ({lack})' if lack != 'no row' else ''}"
        for (name, lack), own in lacking.items()
    ]


def _seeds(numbers: Sequence[int]) -> str:
    """Name seeds, those that follow each other shortly."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    shown = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f", seed{'s' if len(numbers) > 1 else ''} {shown}" if runs else ""


def markdown(judged: Sequence[Judged]) -> str:
    """Write the ledger for people."""
    lines = [
        "# The ledger of claims",
        "",
        f"{counts(judged)}.",
        "",
        "What was published, and what our rows say to it. The claims and the tests that decide them stand in",
        f"{FILE.as_posix()}; `notsoclevr claims` writes this file. In brackets: the lowest and the highest row.",
        "",
    ]
    header = ("claim", "published", "ours", "seeds", "verdict")
    for group, title in GROUPS.items():
        own = [each for each in judged if each.group == group]
        rows = [
            (
                f"{each.claim.statement} ({each.claim.source}; `{each.claim.id}`)",
                each.claim.published,
                "<br>".join(measured(each)),
                seeds(each),
                f"**{each.verdict}**",
            )
            for each in own
        ]
        lines += [f"## {title}", "", *table(header, rows), ""] if own else []
    if lacking := [each for each in judged if missing(each)]:
        lines += ["## Missing rows", ""]
        lines += [f"- `{each.claim.id}`: {'; '.join(missing(each))}" for each in lacking]
        lines.append("")
    return "\n".join(lines)


def write(reports: Path, judged: Sequence[Judged]) -> None:
    """Write claims.md and claims.csv.

    Args:
        reports: Where to.
        judged: The claims.

    Raises:
        OSError: They cannot be written.
    """
    rows: list[dict[str, Any]] = [
        {
            "source": f"{each.group}: {flat(each.claim.source)}",
            "claim": flat(each.claim.statement),
            "published": flat(each.claim.published),
            "measured": "; ".join(measured(each)),
            "seeds": seeds(each),
            "verdict": each.verdict,
            "missing": "; ".join(missing(each)),
        }
        for each in judged
    ]
    with replacing(reports / "claims.md") as page, replacing(reports / "claims.csv") as table:
        page.write_text(markdown(judged), "utf-8")
        write_rows(table, rows)
