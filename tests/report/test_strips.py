from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from notsoclevr.report import studies
from notsoclevr.report.strips import strips

from ..conftest import ROOT


def test_every_run_is_a_dot() -> None:
    with (ROOT / "studies" / "seeds" / "results.csv").open(newline="") as file:
        runs = [run for run in csv.DictReader(file) if not run["error"]]
    drawn = strips(studies.ended(studies.load(ROOT), "seeds"))
    kinds = {(run["split"], run["model"], run["variant"] == "fresh") for run in runs}
    assert len(drawn) == len(kinds)
    for strip in drawn:
        kind = strip["split"], strip["model"].name, strip["name"] != strip["model"].title
        own = [run for run in runs if (run["split"], run["model"], run["variant"] == "fresh") == kind]
        across = [x for x, _ in strip["dots"]]
        assert across == pytest.approx(sorted(100 * float(run["test_exact"]) for run in own), abs=0.006)
        assert len({*strip["dots"]}) == len(own)  # none hides another
        assert all(0 <= y <= 100 for _, y in strip["dots"])
        perfect = sum(float(run["train_exact"]) == float(run["test_exact"]) == 1 for run in own)
        assert strip["perfect"].startswith(f"{perfect} of {len(own)} (")
        low, high = strip["interval"]
        assert low <= strip["share"] == round(100 * perfect / len(own), 2) <= high


def test_dots_stand_apart_and_models_in_their_order() -> None:
    common = {"variant": "baseline", "split": "uniform", "train_exact": 1.0}
    rows = [common | {"model": "deconv_classifier", "test_exact": exact} for exact in (0.502, 0.5, 1.0)]
    rows[-1]["train_exact"] = 0.9  # and so it is not perfect
    rows.append(common | {"model": "coordconv_regressor", "test_exact": 1.0})
    classifier, regressor = strips(pd.DataFrame(rows))
    assert (classifier["model"].name, regressor["model"].name) == ("deconv_classifier", "coordconv_regressor")
    assert classifier["dots"] == [(50.0, 43.0), (50.2, 57.0), (100.0, 50.0)]
    assert classifier["words"] == "50 to 100 % of the test set exact, median 50.2 %"
    assert (classifier["perfect"], regressor["perfect"]) == ("0 of 3 (0 to 71 %)", "1 of 1 (3 to 100 %)")
    assert (classifier["interval"], regressor["interval"]) == ([0.0, 70.76], [2.5, 100.0])


def test_no_study_has_no_dots(tmp_path: Path) -> None:
    assert strips(studies.ended(studies.load(tmp_path), "seeds")) == []
