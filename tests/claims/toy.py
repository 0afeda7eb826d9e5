"""A small study and claims about it, for tests of what is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from notsoclevr.claims import judge
from notsoclevr.claims.judge import Judged
from notsoclevr.claims.spec import FILE
from notsoclevr.studies.rows import load_rows, make_row, save_rows, to_frame
from notsoclevr.studies.spec import Study, Training, load_study, text

from ..conftest import ROOT

STUDY = """
about: A study to try claims on
measure_every: 5
experiments:
  - variant: rates
    model: coordconv_regressor
    split: [uniform, quadrant]
    seed: [0, 1, 2]
    settings: {models.coordconv_regressor.learning_rate: [0.001, 0.01], models.coordconv_regressor.epochs: 12}
  - variant: plain
    model: deconv_painter
    split: uniform
    seed: 0
"""
FAST = {"split": "uniform", "learning_rate": 0.01}
SLOW = {"split": "uniform", "learning_rate": 0.001}


def make_root(folder: Path) -> Path:
    """Make a project with one study, which has no rows."""
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "studies" / "toy").mkdir(parents=True)
    (folder / "studies" / "toy" / "study.yaml").write_text(STUDY, "utf-8")
    return folder


def study_of(root: Path) -> Study:
    return load_study(root / "studies" / "toy" / "study.yaml", root)


def fill(root: Path, where: dict[str, Any], *outcomes: Any) -> None:
    """Add rows to the study: for each seed an outcome, measured values or the text of an error."""
    study = study_of(root)
    rows = load_rows(study.results).to_dict("index")
    wanted = {name: text(value) for name, value in where.items()}
    chosen = [training for training in study.trainings if wanted.items() <= training.content.items()]
    for training, outcome in zip(chosen, outcomes, strict=False):
        failed = isinstance(outcome, str)
        rows[training.key] = (
            make_row(training, {}, error=outcome) if failed else make_row(training, measure(training, outcome))
        )
    save_rows(study, to_frame(rows.values()))


def measure(training: Training, outcome: Any) -> dict[str, Any]:
    """Return what a training measures: all of it the share that is named, or what the mapping says."""
    given = outcome if isinstance(outcome, dict) else {"train_exact": outcome, "test_exact": outcome}
    given = {"train_exact": 0, "test_exact": 0} | given
    perfect = given.get("train_exact") == given.get("test_exact") == 1.0
    return {"parameters": 906, "epochs_to_perfect": 5 if perfect else None} | given


def a_test(**changes: Any) -> dict[str, Any]:
    """Return a test: right on at least 0.9 of the test set, by median."""
    whole = {"study": "toy", "where": FAST, "column": "test_exact", "statistic": "median", "at_least": 0.9} | changes
    return {name: value for name, value in whole.items() if value is not None}


def claim_of(*tests: Any, **changes: Any) -> dict[str, Any]:
    said = {"id": "a_claim", "source": "its table", "statement": "It works.", "published": "100 %"}
    return said | {"tests": list(tests)} | changes


def save(root: Path, **groups: Any) -> Path:
    """Write the ledger of a project."""
    path = root / FILE
    path.write_text(yaml.safe_dump({"tutorial": [], "paper": [], "critics": []} | groups), "utf-8")
    return path


def judge_all(root: Path, **groups: Any) -> list[Judged]:
    save(root, **groups)
    return judge.judge(root)


def judge_one(root: Path, *tests: Any) -> Judged:
    return judge_all(root, paper=[claim_of(*tests)])[0]
