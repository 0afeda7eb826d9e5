"""The page of all cells, and cells to make smaller ones from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import coordconv  # noqa: F401  # so that Keras knows its layers in files of another worker
from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import load_matrix
from notsoclevr.claims.judge import judge
from notsoclevr.report import claims, page, studies
from notsoclevr.report.strips import strips

from ..conftest import ROOT
from ..fabricated import CONFIG, fabricate, fabricate_all
from .browser import CHROMIUM, FLAGS, Browser, Watched


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Path, list[Cell]]:
    """The page of fourteen fabricated cells with the real claims and seeds, and the cells.

    The first worker that needs it writes it, and the others read it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "report"
    index = folder / "index.html"
    with FileLock(f"{folder}.lock"):
        if not index.exists():
            page.write(
                index,
                fabricate_all(folder / "results"),
                (),
                claims.records(judge(ROOT)),
                strips(studies.ended(studies.load(ROOT), "seeds")),
                ROOT / "reports" / "figures" / "replication_squares.png",
            )
    cells, missing = load_matrix(folder / "results", CONFIG)
    assert not missing
    return index, cells


@pytest.fixture(scope="session")
def _few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("few")
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(results, model, epochs=2, fails=model == "pooled_regressor")
    return results


@pytest.fixture
def few(_few: Path, tmp_path: Path) -> Path:
    """A folder of results with two of the fourteen cells."""
    return shutil.copytree(_few, tmp_path / "results")


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
