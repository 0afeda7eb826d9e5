"""The page of all cells, and cells to make smaller ones from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from notsoclevr.cells.files import Cell
from notsoclevr.claims.judge import judge
from notsoclevr.claims.spec import FILE
from notsoclevr.report import claims, page, studies
from notsoclevr.report.strips import strips

from ..conftest import ROOT
from ..fabricated import fabricate, fabricate_all
from .browser import CHROMIUM, FLAGS, Browser, Watched


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Cell]]:
    """The page of fourteen fabricated cells with the real claims and seeds, and the cells."""
    folder = tmp_path_factory.mktemp("report")
    cells = fabricate_all(folder / "results")
    page.write(
        folder / "index.html",
        cells,
        (),
        claims.records(judge(ROOT, ROOT / FILE)),
        strips(studies.ended(studies.load(ROOT), "seeds")),
    )
    return folder / "index.html", cells


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of results with two of the fourteen cells."""
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(tmp_path / "results", model, epochs=2, fails=model == "pooled_regressor")
    return tmp_path / "results"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    it = Watched(browser)
    yield it
    it.context.close()
    assert [line for line in it.said if not line.startswith("request data:")] == []
