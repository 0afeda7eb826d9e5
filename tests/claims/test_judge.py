from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from notsoclevr.claims.judge import Judged
from notsoclevr.errors import StudyError
from notsoclevr.report.claims import records

from .toy import FAST, SLOW, STUDY, a_test, fill, judge_one


def values(judged: Judged) -> list[float | None]:
    return [finding.value for finding in judged.findings]


def said(name: str, judged: Judged) -> Any:
    """What the ledger says of a claim under a name."""
    return records([judged])[0][name]


# Verdicts


def test_rows_support_a_claim_and_other_rows_turn_the_verdict(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95, 0.2)
    judged = judge_one(root, a_test())
    assert judged.verdict == "holds"
    assert values(judged) == [0.95]
    fill(root, FAST, 1.0, 0.85, 0.2)
    judged = judge_one(root, a_test())
    assert judged.verdict == "does not hold"
    assert values(judged) == [0.85]


def test_a_claim_of_which_one_test_passes_holds_in_part(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 0.2)
    assert judge_one(root, a_test(), a_test(statistic="lowest")).verdict == "holds in part"
    assert judge_one(root, a_test(), a_test(statistic="highest")).verdict == "holds"
    assert judge_one(root, a_test(at_least=None, at_most=0.5), a_test(statistic="lowest")).verdict == "does not hold"


@pytest.mark.parametrize("bound", [{"at_least": -1}, {"at_least": None, "at_most": 2}])
def test_nothing_passes_for_want_of_rows(root: Path, bound: Any) -> None:
    fill(root, SLOW, 1.0, 1.0, 1.0)
    assert judge_one(root, a_test(where=SLOW, **bound), a_test(**bound)).verdict == "not tested"
    compared = a_test(where=SLOW, against={"where": FAST}, by="difference", **bound)
    assert judge_one(root, compared).verdict == "not tested"
    # every experiment that a test names, not only some of them
    both = a_test(where={"split": "uniform", "learning_rate": [0.001, 0.01]}, **bound)
    assert judge_one(root, both).verdict == "not tested"
    fill(root, FAST, 1.0)
    assert judge_one(root, both).verdict == "holds"


def test_rows_of_one_seed_are_one_seed(root: Path) -> None:
    path = root / "studies" / "toy" / "study.yaml"
    study = yaml.safe_load(STUDY)
    study["experiments"].append(study["experiments"][0] | {"measure_every": 4})
    path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    for every in (5, 4):
        fill(root, FAST | {"measure_every": every}, 1.0, 1.0)
    where = FAST | {"variant": "rates", "seed": [0, 1]}
    assert judge_one(root, a_test(where=where, seeds=2)).verdict == "holds"
    assert judge_one(root, a_test(where=where, seeds=3)).verdict == "not tested"


def test_without_rows_a_claim_is_not_tested_and_they_are_named(root: Path) -> None:
    judged = judge_one(root, a_test())
    assert judged.verdict == "not tested"
    assert values(judged) == [None]
    assert said("missing", judged) == ["toy, rates: coordconv_regressor-uniform learning_rate=0.01, seeds 0 to 2"]
    assert said("seeds", judged) == "0"


def test_failed_rows_are_no_rows(root: Path) -> None:
    fill(root, FAST, "MemoryError: 9 GB", "MemoryError: 9 GB", "MemoryError: 9 GB")
    judged = judge_one(root, a_test())
    assert judged.verdict == "not tested"
    assert said("missing", judged) == [
        "toy, rates: coordconv_regressor-uniform learning_rate=0.01, seeds 0 to 2 (failed: MemoryError: 9 GB)"
    ]
    fill(root, FAST, 1.0)
    judged = judge_one(root, a_test())
    assert judged.verdict == "holds"
    assert said("seeds", judged) == "1"
    assert len(said("missing", judged)) == 1


def test_a_test_waits_for_its_seeds(root: Path) -> None:
    fill(root, FAST, 1.0, "OSError: gone", 1.0)
    assert judge_one(root, a_test(seeds=2)).verdict == "holds"
    judged = judge_one(root, a_test(seeds=3))
    assert judged.verdict == "not tested"
    assert "seed 1 (failed: OSError: gone)" in said("missing", judged)[0]


def test_rows_that_the_study_no_longer_asks_for_do_not_count(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 1.0)
    path = root / "studies" / "toy" / "study.yaml"
    path.write_text(STUDY.replace("measure_every: 5", "measure_every: 6"), "utf-8")
    assert judge_one(root, a_test()).verdict == "not tested"


def test_a_setting_of_params_yaml_that_moves_on_leaves_the_rows_behind(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 1.0)
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params["models"]["coordconv_regressor"]["pixel_value"] += 1
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    assert judge_one(root, a_test()).verdict == "not tested"


# Values


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"statistic": "median"}, 0.9),
        ({"statistic": "lowest"}, 0.3),
        ({"statistic": "highest"}, 1.0),
        ({"statistic": "share", "reaching": 0.9}, 2 / 3),
        ({"column": "parameters"}, 906),
        ({"where": {"variant": "rates", "split": "uniform"}}, 0.5),  # 0.3, 0.5, 0.5, 0.5, 0.9, 1
        ({"against": {"where": SLOW}, "by": "difference"}, 0.4),
        ({"against": {"where": SLOW}, "by": "ratio"}, 1.8),
        ({"against": {"column": "train_exact"}, "by": "difference"}, 0.0),
        ({"against": {"statistic": "lowest"}, "by": "difference"}, 0.6),
    ],
)
def test_statistics(root: Path, changes: Any, value: float) -> None:
    fill(root, SLOW, 0.5, 0.5, 0.5)
    fill(root, FAST, 1.0, 0.9, 0.3)
    assert values(judge_one(root, a_test(**changes))) == [pytest.approx(value)]


def test_what_is_compared_with_replaces_the_rows_of_the_test(root: Path) -> None:
    """It does not narrow them: `where` of `against` stands alone."""
    fill(root, FAST, 0.9, 0.9, 0.9)
    fill(root, {"split": "quadrant", "learning_rate": 0.01}, 0.5, 0.5, 0.5)
    fill(root, {"split": "quadrant", "learning_rate": 0.001}, 0.1, 0.1, 0.1)
    test = a_test(against={"where": {"split": "quadrant"}, "statistic": "lowest"}, by="difference", at_least=0.75)
    assert judge_one(root, test).findings[0].value == pytest.approx(0.8)
    ramps = {"study": "ramps", "where": {"task": "regression"}, "column": "exact"}
    assert judge_one(root, a_test(against=ramps, by="ratio")).findings[0].value == pytest.approx(0.9)


def test_never_perfect_is_later_than_any_epoch(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 0.5)
    epochs = {"column": "epochs_to_perfect", "at_least": None, "at_most": 1000}
    assert judge_one(root, a_test(**epochs)).verdict == "holds"
    assert judge_one(root, a_test(**epochs, statistic="highest")).verdict == "does not hold"
    fill(root, FAST, 1.0, 0.5, 0.5)
    judged = judge_one(root, a_test(**epochs))
    assert judged.verdict == "does not hold"
    assert "epochs until perfect, median never (5 to never), needed at most 1,000: no" in said("measured", judged)[0]


def test_the_best_epoch_and_how_soon_it_came(root: Path) -> None:
    # measured after epochs 5, 10 and, the last, 12
    fill(root, FAST, *[{"train_exact": 0.1, "test_exact": 0.1, "test_exact_by_epoch": "0.2 0.9 0.1"}] * 3)
    by_epoch = {"column": "test_exact_by_epoch"}
    assert values(judge_one(root, a_test(**by_epoch))) == [0.9]
    assert values(judge_one(root, a_test(**by_epoch, within_epochs=9))) == [0.2]
    assert values(judge_one(root, a_test(**by_epoch, within_epochs=10))) == [0.9]
    assert values(judge_one(root, a_test(**by_epoch, statistic="share", reaching=0.9))) == [1]
    fall = a_test(**by_epoch, against={"column": "test_exact"}, by="difference")
    assert values(judge_one(root, fall)) == [pytest.approx(0.8)]
    fall_within = a_test(**by_epoch, within_epochs=9, against={"column": "test_exact"}, by="difference")
    assert values(judge_one(root, fall_within)) == [pytest.approx(0.1)]
    elsewhere = a_test(within_epochs=9, **by_epoch, against=by_epoch | {"where": SLOW}, by="difference")
    assert (
        "against exact answers on the test set, the best within 9 epochs of"
        in said("measured", judge_one(root, elsewhere))[0]
    )
    with pytest.raises(StudyError, match="first measured after 5"):
        judge_one(root, a_test(**by_epoch, within_epochs=4))
    fill(root, FAST, *[{"test_exact_by_epoch": "0.2 0.1 0.9"}] * 3)
    assert values(judge_one(root, a_test(**by_epoch, within_epochs=11))) == [0.2]
    assert values(judge_one(root, a_test(**by_epoch, within_epochs=12))) == [0.9]


def test_what_it_cost_to_get_to_a_share(root: Path) -> None:
    # measured after epochs 5, 10 and, the last, 12
    fill(root, FAST, *[{"training_operations": 36e9, "test_exact_by_epoch": "0.2 0.9 0.95"}] * 3)
    by_epoch = {"column": "test_exact_by_epoch"}
    for share, operations in ((0.2, 15e9), (0.3, 30e9), (0.95, 36e9), (0.96, float("inf"))):
        assert values(judge_one(root, a_test(**by_epoch, operations_until=share))) == [pytest.approx(operations)]
    measured = said("measured", judge_one(root, a_test(**by_epoch, operations_until=0.3)))
    assert "GFLOP until the first measured epoch with 30 % of the test set exact, median 30" in measured[0]
    beside = {"against": {"column": "training_operations"}, "by": "ratio", "at_most": 1, "at_least": None}
    judged = judge_one(root, a_test(**by_epoch, **beside, operations_until=0.3))
    assert "30 against training operations 36: 0.8333 times" in said("measured", judged)[0]
    fill(root, FAST, *[{"test_exact_by_epoch": "0.2 0.9 0.95"}] * 3)
    with pytest.raises(StudyError, match=r"operations_until: a row of .* has no training_operations"):
        judge_one(root, a_test(**by_epoch, operations_until=0.3))


def test_a_value_that_is_no_number_passes_nothing(root: Path) -> None:
    """As of one training that diverged, which a statistic must not leave out."""
    fill(root, FAST, {"test_loss": float("nan")}, {"test_loss": 1.0}, {"test_loss": 1.0})
    assert judge_one(root, a_test(column="test_loss", at_least=-9)).verdict == "does not hold"


@pytest.mark.parametrize(
    ("own", "other", "by", "bound", "verdict"),
    [
        (0.5, 0.0, "ratio", {"at_least": 10}, "holds"),  # infinitely more
        (0.0, 0.0, "ratio", {"at_least": 0}, "does not hold"),  # no answer
        (0.9, 0.8, "difference", {"at_least": 0.1}, "holds"),  # 0.09999999999999998
        (0.3, 0.2, "difference", {"at_least": None, "at_most": 0.1}, "holds"),
        (0.9, 0.8, "difference", {"at_least": 0.1001}, "does not hold"),
        (0.9, 0.8, "difference", {"at_least": 0.2, "at_most": 0.3}, "does not hold"),
    ],
)
def test_comparisons_at_the_edges(root: Path, own: float, other: float, by: str, bound: Any, verdict: str) -> None:
    fill(root, FAST, own, own, own)
    fill(root, SLOW, other, other, other)
    assert judge_one(root, a_test(against={"where": SLOW}, by=by, **bound)).verdict == verdict
