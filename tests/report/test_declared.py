"""A model, a split, a metric and a task that nobody named in the report are in all of it."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from notsoclevr.cells.files import Cell
from notsoclevr.dataset import Dataset, SplitDataset
from notsoclevr.models import MODELS
from notsoclevr.report import comparison, comparison_figures, page
from notsoclevr.splits import SPLITS, Split
from notsoclevr.tasks import METRICS, TASKS, Metric

from .. import fabricated

MANHATTAN = Metric(name="steps", label="way", unit="steps", perfect=0, worst=80, digits=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripes(Split):
    name: ClassVar[str] = "stripes"
    question: ClassVar[str] = "Trained between the stripes, asked about the stripes."

    every: int

    def __call__(self, dataset: Dataset) -> SplitDataset:
        tests = dataset.coordinates[:, 0] % self.every == 0
        return SplitDataset(train=dataset[~tests], test=dataset[tests])


def measure(dataset: Dataset, points: Any) -> dict[str, Any]:
    off = np.abs(points - dataset.coordinates)
    return {"exact": (np.rint(off) == 0).all(axis=1), "steps": off.sum(axis=1)}


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two cells of the toy model, and one that has only the split in common with them."""
    toy = replace(
        MODELS["pooled_regressor"], name="toy", title="toy walker", short="toy", task="walking", colour="#123"
    )
    monkeypatch.setitem(METRICS, "steps", MANHATTAN)
    walking = replace(TASKS["regression"], question="how far is it?", metric="steps", measure=measure)
    monkeypatch.setitem(TASKS, "walking", walking)
    monkeypatch.setitem(MODELS, "toy", toy)
    monkeypatch.setitem(SPLITS, "stripes", Stripes)
    monkeypatch.setitem(fabricated.OUTPUTS, "walking", fabricated.OUTPUTS["regression"])
    recipes = dict(fabricated.CONFIG.models)
    monkeypatch.setattr(
        fabricated,
        "CONFIG",
        replace(fabricated.CONFIG, models=recipes | {"toy": recipes[MODELS["pooled_regressor"].name]}),
    )
    stripes = Stripes(every=4)
    return [
        fabricated.fabricate(tmp_path / "results", "coordconv_regressor", stripes),
        fabricated.fabricate(tmp_path / "results", "toy", stripes, fails=True),
        fabricated.fabricate(tmp_path / "results", "toy", fabricated.UNIFORM),
    ]


def test_the_tables_have_it(cells: list[Cell], tmp_path: Path) -> None:
    comparison.write(tmp_path / "reports", cells, {})
    with (tmp_path / "reports" / "comparison.csv").open(newline="") as file:
        regressor, walker, _ = csv.DictReader(file)
    assert list(walker)[:-2] == [*comparison.COLUMNS]
    assert list(walker)[-2:] == ["train_steps", "test_steps"]
    assert (walker["task"], walker["model"], walker["split"]) == ("walking", "toy", "stripes")
    assert (walker["train_steps"], walker["test_steps"], walker["test_error_px"]) == ("0.5", "9.25", "")
    assert regressor["test_steps"] == ""
    text = (tmp_path / "reports" / "comparison.md").read_text("utf-8")
    assert "**Walking**" in text
    assert "| parameters | train | test | way, test | trained for | perfect after |" in text
    cost = f"{walker['epochs']} epochs, {float(walker['gflop']):,.0f} GFLOP"
    weights = f"{int(walker['parameters']):,}"
    assert f"| toy walker | stripes | {weights} | 100 % | 0 % | 9.2 steps | {cost} | never |" in text


def test_the_figures_show_it(cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}
    monkeypatch.setattr(comparison_figures.figures, "save", lambda figure, path: drawn.update({path.stem: figure}))
    comparison_figures.save_maps(tmp_path / "maps.png", cells)
    comparison_figures.save_finding(tmp_path / "finding.png", cells[:2])
    comparison_figures.save_all_curves(tmp_path / "curves.png", cells)
    maps, finding, curves = drawn["maps"].axes, drawn["finding"].axes, drawn["curves"].axes
    assert [axes.get_ylabel() for axes in maps] == ["stripes split", "", "", "uniform split"]
    assert "walking\ntoy walker" in maps[1].get_title()
    assert [axes.get_xlabel() for axes in finding] == ["784 of 784", "0 of 784"]
    assert "(framed)" not in drawn["finding"].get_suptitle()
    assert [axes.get_title() for axes in curves] == [
        f"{task}, {split}" for split in ("stripes", "uniform") for task in ("regression", "walking")
    ]
    assert [line.get_color() for axes in curves for line in axes.lines] == [
        MODELS["coordconv_regressor"].colour,
        "#123",
        "#123",
    ]


def test_the_page_explores_it(cells: list[Cell], tmp_path: Path) -> None:
    page.write(tmp_path / "index.html", cells)
    text = (tmp_path / "index.html").read_text("utf-8")
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    study = json.loads(found[1])
    assert study["tasks"]["walking"] == {"question": "how far is it?", "answer": "point", "metric": "steps", "reach": 0}
    assert study["metrics"]["steps"]["heading"] == "way, steps"
    assert [*study["tests"]] == ["stripes", "uniform"]  # that which is answered worst first
    assert study["cells"][1]["numbers"].keys() == {"exact", "steps", "points"}
    assert "<h1>Trained between the stripes, asked about the stripes.</h1>" in text
    assert '<th scope="col" class="number">way, test</th>' in text
    assert "9.2 steps" in text
    assert "<span>error, way</span>" in text
    assert "way 80 steps" in text
