from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from notsoclevr.claims.judge import Finding, Side, judge
from notsoclevr.claims.spec import FILE, Test
from notsoclevr.report import claims
from notsoclevr.report.scales import scale

from ..claims.toy import FAST, SLOW, a_test, claim_of, fill, judge_all, make_root, save
from ..conftest import ROOT, run_command


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one study, which has no rows."""
    return make_root(tmp_path)


def test_the_command_writes_both_files_and_counts(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95, 0.5)
    other = claim_of(a_test(where=SLOW), id="b_claim", statement="a | b\n  c")
    save(root, critics=[other], tutorial=[claim_of(a_test(), a_test(at_least=0.96))])
    done = run_command(root, "claims", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 claims: holds 0, holds in part 1, does not hold 0, not tested 1\n"
    assert " pandas\n" in done.stderr
    assert " tensorflow\n" not in done.stderr  # which takes seconds

    page = (root / "reports" / "claims.md").read_text("utf-8")
    assert (
        page.index("2 claims: holds 0, holds in part 1") < page.index("## The tutorial") < page.index("## Its critics")
    )
    assert "## The paper" not in page
    half = "exact answers on the test set, median 95 % (50 to 100 %), needed at least"
    said = f"{half} 90 %: yes<br>{half} 96 %: no"
    assert f"| It works. (its table; `a_claim`) | 100 % | {said} | 3 | **holds in part** |" in page
    assert r"| a \| b c (its table; `b_claim`) |" in page
    assert "- `b_claim`: toy, rates: coordconv_regressor-uniform learning_rate=0.001, seeds 0 to 2" in page

    with (root / "reports" / "claims.csv").open(newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert header == ["source", "claim", "published", "measured", "seeds", "verdict", "missing"]
    assert first == ["tutorial: its table", "It works.", "100 %", said.replace("<br>", "; "), "3", "holds in part", ""]
    assert second[5:] == ["not tested", "toy, rates: coordconv_regressor-uniform learning_rate=0.001, seeds 0 to 2"]


def test_a_refused_ledger_writes_nothing(root: Path) -> None:
    save(root, paper=[claim_of(a_test(study="toys"))])
    before = sorted(root.rglob("*"))
    refused = run_command(root, "claims")
    assert refused.returncode == 2
    assert "paper.a_claim.tests.0.study is 'toys'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not refused.stdout
    assert sorted(root.rglob("*")) == before
    (root / FILE).unlink()
    assert run_command(root, "claims").returncode == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1"),
        (0.99999, "0.99999"),
        (0.9987244, "0.9987"),
        (0.9999608397483826, "0.99996"),
        (100 * 0.07, "7"),
        (0.00001, "1e-05"),
        (0.0, "0"),
        (408193.0, "408,193"),
        (105.88, "105.9"),
        (1499.6, "1,499.6"),
        (1500.02, "1,500.0"),
        (float("inf"), "infinite"),
        (float("nan"), "undefined"),
    ],
)
def test_numbers_are_not_rounded_into_perfection(value: float, shown: str) -> None:
    assert claims._number(value) == shown


def test_records_are_the_ledger_as_plain_data(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95)
    two = claim_of(a_test(), a_test(where=SLOW), source="its\n  table")
    exact = "exact answers on the test set"
    assert claims.records(judge_all(root, critics=[two])) == [
        {
            "group": "critics",
            "id": "a_claim",
            "source": "its table",
            "statement": "It works.",
            "published": "100 %",
            "measured": [
                f"learning_rate 0.01: {exact}, median 97.5 % (95 to 100 %), needed at least 90 %: yes",
                f"learning_rate 0.001: {exact}, needed at least 90 %: not tested",
            ],
            "seeds": "0 to 2",
            "verdict": "not tested",
            "missing": [
                "toy, rates: coordconv_regressor-uniform learning_rate=0.01, seed 2",
                "toy, rates: coordconv_regressor-uniform learning_rate=0.001, seeds 0 to 2",
            ],
            "tests": [],
        }
    ]


def test_tests_have_their_place_on_a_scale(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95, 0.5)
    fill(root, SLOW, 0.2, 0.2, 0.2)
    slower = {"against": {"where": SLOW}, "by": "difference"}
    ratio = a_test(against={"where": SLOW}, by="ratio", at_least=None, at_most=10)
    (record,) = claims.records(judge_all(root, critics=[claim_of(a_test(note="added later"), a_test(**slower), ratio)]))
    assert record["measured"][0].endswith(": yes (added later)")
    assert [test["note"] for test in record["tests"]] == ["added later", "", ""]
    plain, difference, times = record["tests"]
    assert (plain["quantity"], plain["value"]) == ("exact answers on the test set", "median 95 % (50 to 100 %)")
    assert (plain["needed"], plain["passes"]) == ("at least 90 %", True)
    assert plain["scale"] == {"band": (90.0, 100.0), "rows": (50.0, 100.0), "at": 95.0}
    assert difference["scale"] == {"band": (90.0, 100.0), "rows": None, "at": 75.0}
    slow = "learning_rate 0.001"
    assert difference["value"] == f"median 95 % (50 to 100 %) against 20 % of {slow}: 75 points"
    assert difference["needed"] == "a difference of at least 90 points"
    assert times["value"] == f"median 95 % (50 to 100 %) against 20 % of {slow}: 4.75 times"
    # from 0 to a tenth more than the bound, 10 times
    assert times["scale"] == {"band": (0.0, 90.91), "rows": None, "at": 43.18}


@pytest.mark.parametrize(("value", "at"), [(float("inf"), 100.0), (float("-inf"), 0.0), (float("nan"), None)])
def test_what_is_no_number_stands_at_an_end_or_nowhere(value: float, at: float | None) -> None:
    test = Test(study="toy", statistic="highest", column="epochs_to_perfect", at_most=30)
    finding = Finding(test=test, sides=[Side(statistic=value, values=[value, 5.0], seeds=2, missing=[])])
    assert scale(finding, is_share=False)["at"] == at


def test_values_are_written_as_they_are_judged(root: Path) -> None:
    shutil.copytree(root / "studies/toy", root / "studies/other")
    fill(root, FAST, 0.0004, 0.0004, 0.0006)
    compared = a_test(against={"where": SLOW}, by="difference", at_least=0.1)
    elsewhere = a_test(against={"study": "other", "statistic": "lowest"}, by="ratio", at_least=2)
    low = a_test(statistic="highest", at_least=None, at_most=0.0005)
    share = a_test(statistic="share", reaching=0.95)
    (record,) = claims.records(judge_all(root, critics=[claim_of(compared, elsewhere, low, share)]))
    exact = "exact answers on the test set"
    assert record["measured"] == [
        f"{exact}, against those of learning_rate 0.001, needed a difference of at least 10 points: not tested",
        f"{exact}, against lowest in other, needed at least 2 times: not tested",
        f"{exact}, highest 0.06 % (0.04 to 0.06 %), needed at most 0.05 %: no",
        f"runs that reach 95 % ({exact}), 0 of 3 (0 to 71 %), needed at least 90 %: no",
    ]


def test_the_committed_ledger_is_that_of_the_committed_rows() -> None:
    judged = judge(ROOT)
    committed = (ROOT / "reports" / "claims.md").read_text("utf-8")
    assert committed == claims.markdown(claims.records(judged)), "run `notsoclevr claims`"
