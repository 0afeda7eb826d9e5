from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from notsoclevr.studies.log import StudyLog
from notsoclevr.studies.search import engine
from notsoclevr.studies.search.rows import Chosen
from notsoclevr.studies.search.space import Space

from ...conftest import ROOT
from .toy import MODEL, SHRUNK, Workers, space_of, write_space


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A root with the real params.yaml, and the real space shrunk."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_space(tmp_path, **SHRUNK)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[..., Chosen]:
    """Return a function that runs a search on such workers, and tells MLflow nothing."""
    monkeypatch.setattr(engine, "open_log", lambda root, name, *_: nullcontext(StudyLog(root=root, name=name)))

    def run_on(workers: Workers, model: str = MODEL, number: int = 2) -> Chosen:
        monkeypatch.setattr(engine, "local_cluster", workers.open)
        return engine.run_search(home, space_of(home, model), workers=number, scheduler=None)

    return run_on


@pytest.fixture(scope="session")
def _searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that has ended."""
    root = tmp_path_factory.mktemp("searched")
    shutil.copy(ROOT / "params.yaml", root)
    write_space(root, **SHRUNK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "open_log", lambda root, name, *_: nullcontext(StudyLog(root=root, name=name)))
        patch.setattr(engine, "local_cluster", Workers().open)
        engine.run_search(root, space_of(root), workers=2, scheduler=None)
    return root / "studies/search" / MODEL


@pytest.fixture
def searched(home: Path, _searched: Path) -> Space:
    """A search in `home` that has ended."""
    shutil.copytree(_searched, home / "studies/search" / MODEL)
    return space_of(home)
