"""The page of all cells, and cells to make smaller ones from."""

from __future__ import annotations

from pathlib import Path

import pytest

from notsoclevr.cells.files import Cell
from notsoclevr.report import page

from ..fabricated import fabricate, fabricate_all


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Cell]]:
    """The page of fourteen fabricated cells, and the cells."""
    folder = tmp_path_factory.mktemp("report")
    cells = fabricate_all(folder / "results")
    page.write(folder / "index.html", cells)
    return folder / "index.html", cells


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of results with two of the fourteen cells."""
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(tmp_path / "results", model, epochs=2, fails=model == "pooled_regressor")
    return tmp_path / "results"
