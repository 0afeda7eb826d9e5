from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from notsoclevr.claims.evidence import Sources
from notsoclevr.errors import StudyError

from ..conftest import ROOT
from ..report.test_searches import make_search
from .toy import FAST, a_test, fill, judge_one


def test_the_sources_are_the_studies_the_searches_and_the_ramps(root: Path) -> None:
    assert Sources(root).names == ["toy", "search", "ramps"]
    table = Sources(root)["toy"].table
    assert len(table) == 13
    assert set(table["missing"]) == {"no row"}
    fill(root, FAST, 1.0, "OSError: gone")
    table = Sources(root)["toy"].table
    fast = table[table["experiment"] == "toy, rates: coordconv_regressor-uniform learning_rate=0.01"]
    assert list(zip(fast["seed"], fast["missing"], fast["test_exact"] == 1, strict=True)) == [
        ("0", "", True),
        ("1", "failed: OSError: gone", False),
        ("2", "no row", False),
    ]


def test_trials_of_a_search_count_as_they_ended(root: Path) -> None:
    test = a_test(study="search", where={"model": "deconv_painter", "split": "quadrant"})
    test |= {"column": "validation_exact", "statistic": "share", "reaching": 1, "at_least": 0.01}
    (root / "studies/search").mkdir(parents=True)
    shutil.copy(ROOT / "studies/search/space.yaml", root / "studies/search")
    assert judge_one(root, test).verdict == "not tested"  # no model has a trial
    make_search(root, [(trial, 1000, (1.0, 1.0) if trial == 3 else (0.5,)) for trial in range(63)])
    unfinished = judge_one(root, test)
    assert unfinished.verdict == "not tested"
    (missing,) = unfinished.findings[0].sides[0].missing
    assert missing["experiment"] == "search: deconv_painter-quadrant, 1 of 64 trials"
    make_search(root, [(trial, 1000, (1.0, 1.0) if trial == 3 else (0.5,)) for trial in range(64)])
    (finding,) = judge_one(root, test).findings
    assert finding.value == 1 / 64
    assert finding.passes


def test_a_column_that_does_not_apply_is_refused(root: Path) -> None:
    fill(root, FAST, 1.0)
    with pytest.raises(StudyError, match=r"test_iou, which does not apply to toy, rates: coordconv_regressor"):
        judge_one(root, a_test(column="test_iou"))
    with pytest.raises(StudyError, match=r"train_error_px, which does not apply to toy, plain: deconv_painter"):
        judge_one(root, a_test(where={"variant": "plain"}, column="train_error_px"))


def test_edited_rows_are_refused(root: Path) -> None:
    fill(root, FAST, 0.5, 0.5, 0.5)
    results = root / "studies" / "toy" / "results.csv"
    written = results.read_text()
    for edited in (written.replace(",0.01,", ",0.02,", 1), written.replace(",0.5,", ",half,", 1)):
        results.write_text(edited)
        with pytest.raises(StudyError, match=r"results.csv, line 2"):
            judge_one(root, a_test())
