from __future__ import annotations

import csv
import shutil
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import yaml

from notsoclevr import claims, evidence, ledger, studies
from notsoclevr.claims import Judged
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.studies import Study, Trial

from .conftest import ROOT, run_command

STUDY = """
about: A study to try claims on
measure_every: 5
experiments:
  - variant: rates
    model: coordconv_regressor
    split: [uniform, quadrant]
    seed: [0, 1, 2]
    settings: {models.coordconv_regressor.learning_rate: [0.001, 0.01]}
  - variant: plain
    model: deconv_painter
    split: uniform
    seed: 0
"""
FAST = {"split": "uniform", "learning_rate": 0.01}
SLOW = {"split": "uniform", "learning_rate": 0.001}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one study, which has no rows, and no cells."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "studies" / "toy").mkdir(parents=True)
    (tmp_path / "studies" / "toy" / "study.yaml").write_text(STUDY, "utf-8")
    return tmp_path


def study_of(root: Path) -> Study:
    return studies.load_study(root / "studies" / "toy" / "study.yaml", root)


def fill(root: Path, where: dict[str, Any], *outcomes: Any) -> None:
    """Add rows to the study: for each seed an outcome, measured values or the text of an error."""
    study = study_of(root)
    rows = studies.load_rows(study.results)
    wanted = {name: studies.text(value) for name, value in where.items()}
    chosen = [trial for trial in study.trials if wanted.items() <= trial.content.items()]
    for trial, outcome in zip(chosen, outcomes, strict=False):
        row = trial.row({}, error=outcome) if isinstance(outcome, str) else trial.row(measure(trial, outcome))
        rows[trial.key] = row
    studies.save_rows(study, rows)


def measure(trial: Trial, outcome: Any) -> dict[str, Any]:
    """Give what a training measures: all of it the share that is named, or what the mapping says."""
    given = outcome if isinstance(outcome, dict) else {"train_exact": outcome, "test_exact": outcome}
    perfect = given.get("train_exact") == given.get("test_exact") == 1.0
    return {"parameters": 906, "epochs_to_perfect": 5 if perfect else None} | given


def a_test(**changes: Any) -> dict[str, Any]:
    """Give a test: right on at least 0.9 of the test half, by median."""
    whole = {"study": "toy", "where": FAST, "column": "test_exact", "statistic": "median", "at_least": 0.9} | changes
    return {name: value for name, value in whole.items() if value is not None}


def claim_of(*tests: Any, **changes: Any) -> dict[str, Any]:
    said = {"id": "a_claim", "source": "its table", "statement": "It works.", "published": "100 %"}
    return said | {"tests": list(tests)} | changes


def save(root: Path, **groups: Any) -> Path:
    path = root / ledger.FILE
    path.write_text(yaml.safe_dump({"tutorial": [], "paper": [], "critics": []} | groups), "utf-8")
    return path


def judge(root: Path, *tests: Any) -> Judged:
    return claims.judge(root, save(root, paper=[claim_of(*tests)]))[0]


def values(judged: Judged) -> list[float | None]:
    return [finding.value for finding in judged.findings]


# Verdicts


def test_rows_support_a_claim_and_other_rows_turn_the_verdict(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95, 0.2)
    judged = judge(root, a_test())
    assert judged.verdict == "holds"
    assert values(judged) == [0.95]
    fill(root, FAST, 1.0, 0.85, 0.2)
    judged = judge(root, a_test())
    assert judged.verdict == "does not hold"
    assert values(judged) == [0.85]


def test_a_claim_of_which_one_test_passes_holds_in_part(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 0.2)
    assert judge(root, a_test(), a_test(statistic="lowest")).verdict == "holds in part"
    assert judge(root, a_test(), a_test(statistic="highest")).verdict == "holds"
    assert judge(root, a_test(at_least=None, at_most=0.5), a_test(statistic="lowest")).verdict == "does not hold"


def test_without_rows_a_claim_is_not_tested_and_they_are_named(root: Path) -> None:
    judged = judge(root, a_test())
    assert judged.verdict == "not tested"
    assert values(judged) == [None]
    assert ledger.missing(judged) == ["toy, rates: coordconv_regressor-uniform learning_rate=0.01, seeds 0 to 2"]
    assert ledger.seeds(judged) == "0"


@pytest.mark.parametrize("bound", [{"at_least": -1}, {"at_least": None, "at_most": 2}])
def test_nothing_passes_for_want_of_rows(root: Path, bound: Any) -> None:
    fill(root, SLOW, 1.0, 1.0, 1.0)
    assert judge(root, a_test(where=SLOW, **bound), a_test(**bound)).verdict == "not tested"
    compared = a_test(where=SLOW, against={"where": FAST}, by="difference", **bound)
    assert judge(root, compared).verdict == "not tested"
    # every experiment that a test names, not only some of them
    both = a_test(where={"split": "uniform", "learning_rate": [0.001, 0.01]}, **bound)
    assert judge(root, both).verdict == "not tested"
    fill(root, FAST, 1.0)
    assert judge(root, both).verdict == "holds"


def test_failed_rows_are_no_rows(root: Path) -> None:
    fill(root, FAST, "MemoryError: 9 GB", "MemoryError: 9 GB", "MemoryError: 9 GB")
    judged = judge(root, a_test())
    assert judged.verdict == "not tested"
    assert ledger.missing(judged) == [
        "toy, rates: coordconv_regressor-uniform learning_rate=0.01, seeds 0 to 2 (failed: MemoryError: 9 GB)"
    ]
    fill(root, FAST, 1.0)
    judged = judge(root, a_test())
    assert judged.verdict == "holds"
    assert ledger.seeds(judged) == "1"
    assert len(ledger.missing(judged)) == 1


def test_a_test_waits_for_its_seeds(root: Path) -> None:
    fill(root, FAST, 1.0, "OSError: gone", 1.0)
    assert judge(root, a_test(seeds=2)).verdict == "holds"
    judged = judge(root, a_test(seeds=3))
    assert judged.verdict == "not tested"
    assert "seed 1 (failed: OSError: gone)" in ledger.missing(judged)[0]


def test_rows_that_the_study_no_longer_asks_for_do_not_count(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 1.0)
    path = root / "studies" / "toy" / "study.yaml"
    path.write_text(STUDY.replace("measure_every: 5", "measure_every: 6"), "utf-8")
    assert judge(root, a_test()).verdict == "not tested"


def test_a_setting_of_params_yaml_that_moves_on_leaves_the_rows_behind(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 1.0)
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params["models"]["coordconv_regressor"]["pixel_value"] += 1
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    assert judge(root, a_test()).verdict == "not tested"


# Values


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"statistic": "median"}, 0.9),
        ({"statistic": "lowest"}, 0.3),
        ({"statistic": "highest"}, 1.0),
        ({"statistic": "share_perfect", "column": None}, 1 / 3),
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
    assert values(judge(root, a_test(**changes))) == [pytest.approx(value)]


def test_perfect_is_both_halves_at_the_end(root: Path) -> None:
    fill(root, FAST, 1.0, {"train_exact": 1.0, "test_exact": 0.999}, {"train_exact": 0.999, "test_exact": 1.0})
    assert values(judge(root, a_test(statistic="share_perfect", column=None))) == [pytest.approx(1 / 3)]


def test_never_perfect_is_later_than_any_epoch(root: Path) -> None:
    fill(root, FAST, 1.0, 1.0, 0.5)
    epochs = {"column": "epochs_to_perfect", "at_least": None, "at_most": 1000}
    assert judge(root, a_test(**epochs)).verdict == "holds"
    assert judge(root, a_test(**epochs, statistic="highest")).verdict == "does not hold"
    fill(root, FAST, 1.0, 0.5, 0.5)
    judged = judge(root, a_test(**epochs))
    assert judged.verdict == "does not hold"
    assert "infinite (5 to infinite), at most 1,000: no" in ledger.measured(judged)[0]


def test_the_best_epoch_and_how_soon_it_came(root: Path) -> None:
    # measured after epochs 5, 10 and, the last, 12
    fill(root, FAST, *[{"train_exact": 0.1, "test_exact": 0.1, "test_exact_by_epoch": "0.2 0.9 0.1"}] * 3)
    by_epoch = {"column": "test_exact_by_epoch"}
    assert values(judge(root, a_test(**by_epoch))) == [0.9]
    assert values(judge(root, a_test(**by_epoch, within_epochs=9))) == [0.2]
    assert values(judge(root, a_test(**by_epoch, within_epochs=10))) == [0.9]
    fall = a_test(**by_epoch, against={"column": "test_exact"}, by="difference")
    assert values(judge(root, fall)) == [pytest.approx(0.8)]
    with pytest.raises(StudyError, match="first measured after 5"):
        judge(root, a_test(**by_epoch, within_epochs=4))
    fill(root, FAST, *[{"test_exact_by_epoch": "0.2 0.1 0.9"}] * 3)
    assert values(judge(root, a_test(**by_epoch, within_epochs=11))) == [0.2]
    assert values(judge(root, a_test(**by_epoch, within_epochs=12))) == [0.9]


def test_how_long_it_took_to_a_share(root: Path) -> None:
    # measured after epochs 5, 10 and, the last, 12
    fill(root, FAST, *[{"train_seconds": 36.0, "test_exact_by_epoch": "0.2 0.9 0.95"}] * 3)
    by_epoch = {"column": "test_exact_by_epoch"}
    for share, seconds in ((0.2, 15), (0.3, 30), (0.95, 36), (0.96, float("inf"))):
        assert values(judge(root, a_test(**by_epoch, seconds_until=share))) == [pytest.approx(seconds)]
    said = ledger.measured(judge(root, a_test(**by_epoch, seconds_until=0.3)))
    assert "median of the seconds until test_exact was 0.3 30" in said[0]


@pytest.mark.parametrize(
    ("own", "other", "by", "bound", "verdict"),
    [
        (0.5, 0.0, "ratio", {"at_least": 10}, "holds"),  # infinitely more
        (0.0, 0.0, "ratio", {"at_least": 0}, "does not hold"),  # no answer
        (float("nan"), 0.5, "difference", {"at_least": -9}, "does not hold"),
        (0.9, 0.8, "difference", {"at_least": 0.1}, "holds"),  # 0.09999999999999998
        (0.3, 0.2, "difference", {"at_least": None, "at_most": 0.1}, "holds"),
        (0.9, 0.8, "difference", {"at_least": 0.1001}, "does not hold"),
        (0.9, 0.8, "difference", {"at_least": 0.2, "at_most": 0.3}, "does not hold"),
    ],
)
def test_comparisons_at_the_edges(root: Path, own: float, other: float, by: str, bound: Any, verdict: str) -> None:
    fill(root, FAST, own, own, own)
    fill(root, SLOW, other, other, other)
    assert judge(root, a_test(against={"where": SLOW}, by=by, **bound)).verdict == verdict


def test_the_ramps_are_exact() -> None:
    source = evidence.Sources(ROOT)["ramps"]
    assert {entry.columns["task"]: entry.measured["exact"] for entry in source.entries} == {
        "regression": "1.0",
        "classification": "1.0",
    }


def test_cells_are_the_comparison_beside_its_timings(root: Path) -> None:
    own = {"study": "cells", "where": {"model": "coordconv_regressor", "split": "uniform"}}
    slower = a_test(**own, column="train_seconds", at_least=10)
    perfect = a_test(**own, statistic="share_perfect", column=None, at_least=1)
    judged = judge(root, slower)
    assert judged.verdict == "not tested"
    assert ledger.missing(judged) == ["cells, coordconv_regressor-uniform"]

    reports = root / "reports"
    shutil.copytree(ROOT / "reports", reports, ignore=shutil.ignore_patterns("figures", "claims.*"))
    assert judge(root, slower, perfect).verdict == "holds"
    with (ROOT / "reports" / "timings.csv").open(newline="") as file:
        rows = {(row["model"], row["split"]): row for row in csv.DictReader(file)}
    assert values(judge(root, slower)) == [float(rows["coordconv_regressor", "uniform"]["train_seconds"])]
    for name, table in (("comparison.csv", "task,model\nregression,x\n"), ("timings.csv", "model,split\na,b,c\n")):
        kept = (reports / name).read_text()
        (reports / name).write_text(table)
        with pytest.raises(StudyError, match=f"{name}.*notsoclevr evaluate"):
            judge(root, slower)
        (reports / name).write_text(kept)
    (reports / "timings.csv").write_text("model,split\ncoordconv_regressor,uniform\n")
    with pytest.raises(StudyError, match=r"train_seconds is missing"):
        judge(root, slower)


def test_the_columns_of_the_cells_are_there() -> None:
    header = [(ROOT / "reports" / f"{name}.csv").read_text().splitlines()[0] for name in ("comparison", "timings")]
    assert set(evidence.CELL_MEASURES) <= set(",".join(header).split(","))


# Bad input


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (a_test(study="toys"), "tests.0.study is 'toys'; there are toy, cells, ramps"),
        (a_test(study="../toy"), "there are toy, cells, ramps"),
        (a_test(column="test_exat"), "tests.0.column is 'test_exat'; toy has parameters"),
        (a_test(column="learning_rate"), "tests.0.column is 'learning_rate'"),
        (a_test(column="error"), "tests.0.column is 'error'"),
        (a_test(where={"modle": "x"}), "tests.0.where.modle is no column to choose rows of toy by"),
        (a_test(where={"test_exact": 1.0}), "tests.0.where.test_exact is no column"),
        (a_test(where={"model": "deconv"}), "tests.0.where.model is deconv; of what is left of toy"),
        (a_test(where=FAST | {"seed": 3}), "tests.0.where.seed is 3; of what is left of toy by then it is 0, 1, 2"),
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
        (a_test(statistic="share_perfect"), "tests.0.column has no meaning"),
        (
            a_test(statistic="share_perfect", column=None, against={"statistic": "lowest"}, by="ratio"),
            "tests.0.against.statistic has no meaning",
        ),
        (a_test(seconds_until=0.5), "tests.0.seconds_until has a meaning for"),
        (
            a_test(column="test_exact_by_epoch", within_epochs=9, seconds_until=0.5),
            "tests.0: within_epochs and seconds_until exclude each other",
        ),
        (a_test(study="ramps", where={}, statistic="share_perfect", column=None), "ramps has exact"),
        (a_test(at_least=None), "has no bound"),
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
        judge(root, test)
    assert says in str(refused.value)
    assert str(root / ledger.FILE) in str(refused.value)
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
        ({}, "holds no claims"),
    ],
)
def test_a_wrong_ledger_is_refused(root: Path, groups: Any, says: str) -> None:
    with pytest.raises(StudyError) as refused:
        claims.judge(root, save(root, **groups))
    assert says in str(refused.value)
    assert refused.value.exit_status == 2


def test_a_column_that_does_not_apply_is_refused(root: Path) -> None:
    fill(root, FAST, 1.0)
    with pytest.raises(StudyError, match=r"test_iou, which does not apply to toy, rates: coordconv_regressor"):
        judge(root, a_test(column="test_iou"))


# Files


def test_the_command_writes_both_files_and_counts(root: Path) -> None:
    fill(root, FAST, 1.0, 0.95, 0.5)
    other = claim_of(a_test(where=SLOW), id="b_claim", statement="a | b\n  c")
    save(root, critics=[other], tutorial=[claim_of(a_test(), a_test(at_least=0.96))])
    started = perf_counter()
    done = run_command(root, "claims")
    seconds = perf_counter() - started
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 claims: holds 0, holds in part 1, does not hold 0, not tested 1\n"
    assert seconds < 5  # no TensorFlow

    page = (root / "reports" / "claims.md").read_text("utf-8")
    assert (
        page.index("2 claims: holds 0, holds in part 1") < page.index("## The tutorial") < page.index("## Its critics")
    )
    assert "## The paper" not in page
    said = (
        "median test_exact 0.95 (0.5 to 1), at least 0.9: yes<br>median test_exact 0.95 (0.5 to 1), at least 0.96: no"
    )
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
    (root / ledger.FILE).unlink()
    assert run_command(root, "claims").returncode == 2


def test_edited_rows_are_refused(root: Path) -> None:
    fill(root, FAST, 0.5, 0.5, 0.5)
    results = root / "studies" / "toy" / "results.csv"
    results.write_text(results.read_text().replace(",0.5,", ",1.0,"))
    with pytest.raises(StudyError, match="was cut or edited"):
        judge(root, a_test())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1"),
        (0.99999, "0.99999"),
        (0.9987244, "0.9987"),
        (0.00001, "1e-05"),
        (0.0, "0"),
        (408193.0, "408,193"),
        (105.88, "105.9"),
        (float("inf"), "infinite"),
        (float("nan"), "undefined"),
    ],
)
def test_numbers_are_not_rounded_into_perfection(value: float, shown: str) -> None:
    assert ledger._number(value) == shown


# The real ledger


def test_the_real_ledger_asks_for_what_the_studies_have() -> None:
    path = ROOT / ledger.FILE
    every = claims._each(claims.load(path))
    assert len(every) >= 24
    assert {group for group, _ in every} == set(ledger.GROUPS)
    names = {path.parent.name for path in ROOT.glob("studies/*/study.yaml")}
    trials = {name: studies.load_study(ROOT / "studies" / name / "study.yaml", ROOT).trials for name in names}
    used = set()
    for _, claim in every:
        for test in claim.tests:
            sides = [(test.study, test.where, test.column)]
            if test.against:
                other = test.against
                sides.append((other.study or test.study, other.where or test.where, other.column or test.column))
            for name, where, column in sides:
                used.add(name)
                if name not in names:
                    assert name in ("cells", "ramps")
                    continue
                wanted = {
                    key: {studies.text(each) for each in (value if isinstance(value, list) else [value])}
                    for key, value in where.items()
                }
                assert set(wanted) <= set(studies.COLUMNS), claim.id
                assert column is None or column in studies.MEASURED, claim.id
                rows = [trial.row({}) for trial in trials[name]]
                chosen = [row for row in rows if all(row[key] in values for key, values in wanted.items())]
                assert chosen, f"{claim.id}: {name} has no {where}"
                # a measure that the task of its models has
                for task in {MODELS[row["model"]].task for row in chosen}:
                    if column is not None and column.endswith("_iou"):
                        assert task == "rendering", claim.id
                    if column is not None and column.endswith("_px"):
                        assert task != "rendering", claim.id
                # enough seeds to be decided at all
                seeds: dict[tuple[str, ...], int] = {}
                for row in chosen:
                    kind = tuple(value for key, value in row.items() if key not in ("key", "seed", "digest"))
                    seeds[kind] = seeds.get(kind, 0) + 1
                assert min(seeds.values()) >= test.seeds, claim.id
                # what is measured within so many epochs
                every_epochs = max(int(row["measure_every"]) for row in chosen)
                assert test.within_epochs is None or test.within_epochs >= every_epochs, claim.id
    assert {"cells", "ramps", "seeds", "ablations", "replication"} <= used


def test_the_committed_ledger_is_that_of_the_committed_rows() -> None:
    judged = claims.judge(ROOT, ROOT / ledger.FILE)
    committed = (ROOT / "reports" / "claims.md").read_text("utf-8")
    assert committed == ledger.markdown(judged), "run `notsoclevr claims`"
    assert all(each.verdict == "not tested" for each in judged if any(not f.sides[0].values for f in each.findings))
