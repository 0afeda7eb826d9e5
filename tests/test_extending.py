"""docs/extending.md, done: a model, a split and a metric from outside go through training, comparison and report."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import pytest
import yaml

from notsoclevr import stages
from notsoclevr.cells.matrix import load_matrix
from notsoclevr.cells.training import train_cell
from notsoclevr.config import load
from notsoclevr.dataset import Dataset, load_split, save_split, split_path
from notsoclevr.models import MODELS
from notsoclevr.splits import SPLITS
from notsoclevr.studies.search.space import load_space
from notsoclevr.tasks import METRICS, TASKS

from .conftest import ROOT

GUIDE = (ROOT / "docs" / "extending.md").read_text("utf-8")
SPLIT_IMPORTS = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
from notsoclevr.dataset import Dataset, SplitDataset
from notsoclevr.splits import Quadrant, Split, Uniform
"""
METRIC_IMPORTS = """
from __future__ import annotations
from typing import Any
import numpy as np
import numpy.typing as npt
from notsoclevr.dataset import Dataset
from notsoclevr.tasks import METRICS, TASKS, Floats, Metric
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def module(path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def extended(project: Path, tmp_path: Path, full: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose matrix is the guide's model on the guide's split, with the guide's metric."""
    model, split, metric = blocks("python")
    entry = module(tmp_path / "toy_model.py", model, monkeypatch).ENTRY
    stripes = module(tmp_path / "toy_split.py", SPLIT_IMPORTS + split, monkeypatch).SPLITS["stripes"]
    monkeypatch.setitem(METRICS, "row_px", METRICS["error_px"])  # to be taken away again, as what the guide puts there
    monkeypatch.setitem(TASKS, "regression", TASKS["regression"])
    module(tmp_path / "toy_metric.py", METRIC_IMPORTS + metric, monkeypatch)
    monkeypatch.setitem(MODELS, entry.name, entry)
    monkeypatch.setitem(SPLITS, stripes.name, stripes)
    content = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
    model_settings, split_settings = (yaml.safe_load(text.replace("...", "ramps")) for text in blocks("yaml"))
    content["models"] |= model_settings["models"]
    content["models"]["dense_regressor"]["epochs"] = 1
    content["splits"] |= split_settings["splits"]
    content["matrix"] = {"model": ["dense_regressor"], "split": ["uniform", "stripes"]}
    (project / "params.yaml").write_text(yaml.safe_dump(content), "utf-8")
    split_of = load(project / "params.yaml").splits["stripes"]
    save_split(split_path(project, "stripes"), split_of(full))
    return project


def test_the_recipe_of_the_guides_model_can_be_searched(extended: Path) -> None:
    folder = extended / "studies" / "search"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "studies/search/space.yaml", folder)
    space = load_space(folder / "dense_regressor", extended)
    names = [setting.name for setting in space.settings]
    assert "pixel_value" in names and "units" not in names
    (units,) = re.findall(r"`(units: .*?)`", GUIDE)
    path = folder / "space.yaml"
    path.write_text(path.read_text("utf-8").rstrip() + f"\n  {units}\n", "utf-8")
    assert load_space(folder / "dense_regressor", extended).settings[-1].choices == [32, 64, 128]


def test_the_guide_is_all_it_takes(extended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load(extended / "params.yaml")
    for model, split in config.cells.values():
        experiment = config.experiment(model, split)
        examples = load_split(split_path(extended, split))
        train_cell(extended, experiment, examples, extended / "results" / experiment.name, started=perf_counter())
    metrics: dict[str, Any] = json.loads((extended / "results/dense_regressor-stripes/metrics.json").read_text("utf-8"))
    assert metrics["split_arguments"] == {"every": 4}
    assert metrics["recipe"]["units"] == 64
    assert 0 < metrics["test_row_px"] <= metrics["test_error_px"]

    cells, missing = load_matrix(extended / "results", config)
    assert [cell.name for cell in cells] == [*config.cells]
    assert not missing
    stages.evaluate(extended, cells, missing)
    with (extended / "reports" / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if (row["model"], row["split"]) == ("dense_regressor", "stripes"))
    assert float(row["test_row_px"]) == pytest.approx(metrics["test_row_px"], abs=1e-6)
    assert list(row)[-2:] == ["train_row_px", "test_row_px"]
    assert "dense regressor" in capsys.readouterr().out
    page = (extended / "reports" / "index.html").read_text("utf-8")
    assert "dense regressor" in page
    assert "stripes" in page
    assert (extended / "reports" / "figures" / "maps.png").exists()
