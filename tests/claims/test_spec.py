from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from notsoclevr.claims.evidence import Sources, pick
from notsoclevr.claims.spec import FILE, Against, load
from notsoclevr.errors import StudyError
from notsoclevr.report.claims import GROUPS

from ..conftest import ROOT
from .toy import FAST, SLOW, a_test, claim_of, judge_all, judge_one


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (a_test(study="toys"), "tests.0.study is 'toys'; there are toy, search, ramps"),
        (a_test(study="../toy"), "there are toy, search, ramps"),
        (a_test(column="test_exat"), "tests.0.column is 'test_exat'; toy has parameters"),
        (a_test(column="learning_rate"), "tests.0.column is 'learning_rate'"),
        (a_test(column="error"), "tests.0.column is 'error'"),
        (a_test(where={"modle": "x"}), "tests.0.where.modle is no column to pick rows of toy by"),
        (a_test(where={"test_exact": 1.0}), "tests.0.where.test_exact is no column"),
        (a_test(where={"model": "deconv"}), "tests.0.where.model is deconv; in the rows of toy that"),
        (a_test(where=FAST | {"seed": 3}), "tests.0.where.seed is 3; in the rows of toy that the columns"),
        (a_test(where=FAST | {"seed": [0, 3]}), "tests.0.where.seed names 3"),
        (a_test(where=FAST | {"seed": []}), "tests.0.where.seed is empty"),
        (a_test(where={"model": ["deconv_painter", "coordconv_regressor"], "seed": 1}), "names deconv_painter"),
        (a_test(against={"where": {"seed": 9}}, by="ratio"), "tests.0.against.where.seed is 9"),
        (a_test(against={"column": "best"}, by="ratio"), "tests.0.against.column is 'best'"),
        (a_test(against={}, by="ratio"), "tests.0.against names nothing"),
        (a_test(against={"where": SLOW}), "against and by go together"),
        (a_test(by="ratio"), "against and by go together"),
        (a_test(by="sum", against={"where": SLOW}), "tests.0.by is 'sum'; input should be 'difference' or 'ratio'"),
        (a_test(statistic="mean"), "tests.0.statistic is 'mean'"),
        (a_test(column=None), "tests.0.column is missing"),
        (a_test(column=""), "tests.0.column is ''"),
        (a_test(statistic="share"), "tests.0.the statistic share and reaching go together"),
        (a_test(reaching=1), "tests.0.the statistic share and reaching go together"),
        (
            a_test(statistic="share", reaching=1, against={"statistic": "lowest"}, by="ratio"),
            "tests.0.against.statistic has no meaning",
        ),
        (a_test(operations_until=0.5), "tests.0.operations_until has a meaning for"),
        (a_test(column="test_exact_by_epoch", operations_until=86), "tests.0.operations_until is 86"),
        (
            a_test(column="test_exact_by_epoch", within_epochs=9, operations_until=0.5),
            "tests.0.within_epochs and operations_until exclude each other",
        ),
        (a_test(study="ramps", where={}, column="test_exact"), "ramps has exact"),
        (a_test(at_least=None), "tests.0.at_least is missing"),
        (a_test(at_most=0.8), "nothing passes"),
        (a_test(at_least="1e-3"), "write 0.001"),
        (a_test(at_least=float("nan")), "finite"),
        (a_test(within_epochs=5), "test_exact_by_epoch alone"),
        (a_test(seeds=0), "tests.0.seeds is 0"),
        (a_test(atleast=0.5), "tests.0.atleast is no setting"),
    ],
)
def test_a_wrong_test_is_refused_before_there_are_rows(root: Path, test: Any, says: str) -> None:
    with pytest.raises(StudyError) as refused:
        judge_one(root, test)
    assert says in str(refused.value)
    assert str(root / FILE) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"paper": [claim_of()]}, "paper.0.tests is []"),
        ({"paper": [claim_of(a_test(), id="A claim")]}, "paper.0.id is 'A claim'"),
        ({"paper": [claim_of(a_test(), publisehd="x")]}, "paper.0.publisehd is no setting"),
        ({"paper": [claim_of(a_test(), statement="")]}, "paper.0.statement is ''"),
        ({"paper": [claim_of(a_test())], "critics": [claim_of(a_test())]}, "critics.a_claim stands there twice"),
        ({"blogs": []}, "blogs is no setting"),
        ({}, "hold no claims"),
    ],
)
def test_a_wrong_ledger_is_refused(root: Path, groups: Any, says: str) -> None:
    with pytest.raises(StudyError) as refused:
        judge_all(root, **groups)
    assert says in str(refused.value)
    assert refused.value.exit_status == 2


def test_no_verdict_rests_on_one_seed() -> None:
    """But on what is the same with every seed, or is not trained."""
    tests = [(claim.id, test) for _, claim in load(ROOT / FILE).claims() for test in claim.tests]
    trained = [(name, test) for name, test in tests if test.study not in ("search", "ramps")]
    assert [name for name, test in trained if test.seeds < 2 and test.column != "parameters"] == []


def test_the_real_ledger_asks_for_what_the_studies_have() -> None:
    every, sources, used = load(ROOT / FILE).claims(), Sources(ROOT), set()
    assert len(every) >= 24
    assert {group for group, _ in every} == set(GROUPS)
    for _, claim in every:
        for test in claim.tests:
            for other in filter(None, (Against(), test.against)):
                source = sources[other.study or test.study]
                used.add(source.name)
                chosen = pick(source, test.where if other.where is None else other.where, claim.id)
                # enough seeds to be decided at all
                assert chosen.groupby("experiment").size().min() >= test.seeds, claim.id
                # names that tell experiments apart
                kinds = chosen[[name for name in source.content if name != "seed"]].drop_duplicates()
                assert len(kinds) == chosen["experiment"].nunique(), claim.id
                # what is measured within so many epochs
                if test.within_epochs is not None:
                    assert test.within_epochs >= chosen["measure_every"].astype(int).max(), claim.id
    assert used == {"ramps", "search", "seeds", "ablations", "replication"}
