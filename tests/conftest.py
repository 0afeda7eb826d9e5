"""What several test modules need: a small copy of the project, and a network trained in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from notsoclevr import dataset
from notsoclevr.config import load
from notsoclevr.training import import_tensorflow

from . import preloaded

ROOT = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]

# What the tests start must not log to the store of the person who runs them, nor to that of an outer `mlflow run`.
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
    os.environ.pop(name, None)

# SQLite waits for the disk after each change of MLflow's store, but not in memory.
MEMORY = Path("/dev/shm")
if (
    MEMORY.is_dir()
    and min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > 6 * 2**30
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# A shell ignores Ctrl-C in what it starts in the background, and so would all that the tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As notsoclevr.training sets it, before a test module imports TensorFlow, which has no channels_first without it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# those that take longest, the longest first
LONG = (
    "test_pipeline",
    "studies/test_engine",
    "test_cli",
    "tracking/test_store",
    "test_training",
    "report/test_page_",
    "studies/search/test_engine",
    "test_team",
    "coordconv/test_locate",
    "coordconv/test_coord_conv",
    "test_tutorial",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long modules, so that the workers of `make test` end together."""

    def place(item: pytest.Item) -> int:
        return next((n for n, name in enumerate(LONG) if item.nodeid.startswith(f"tests/{name}")), len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _tensorflow() -> None:
    """Set TensorFlow up as the commands do, before any test computes with it."""
    import_tensorflow()


@pytest.fixture(autouse=True)
def _no_store_left_behind() -> Iterator[None]:
    """Take back what MLflow tells the processes that a test starts, when an earlier one has used a store."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def shrink(params: Path, **settings: Any) -> None:
    """Make the real params.yaml quick: one epoch of a narrow network, and a corner of the canvas to learn from."""
    content = yaml.safe_load(params.read_text("utf-8"))
    content["splits"]["uniform"]["train_share"] = 0.06
    content["splits"]["quadrant"]["boundary"] = 6
    for recipe in content["models"].values():
        recipe |= {"epochs": 1} | ({"width": 1} if "width" in recipe else {}) | settings
    params.write_text(yaml.safe_dump(content), "utf-8")


@pytest.fixture(scope="session")
def full() -> dataset.Dataset:
    """All 3,136 examples."""
    return dataset.generate()


def make_project(folder: Path, full: dataset.Dataset) -> Path:
    """Make a root with the real params.yaml, shrunk, and the data in it."""
    shutil.copy(ROOT / "params.yaml", folder)
    shrink(folder / "params.yaml")
    dataset.save_dataset(dataset.dataset_path(folder), full)
    for name, split in load(folder / "params.yaml").splits.items():
        dataset.save_split(dataset.split_path(folder, name), split(full))
    return folder


def inherited() -> dict[str, str]:
    """Return the variables of this process without those of MLflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def run_command(
    folder: Path, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `notsoclevr` with these arguments in a project, in a process of its own.

    A command that needs TensorFlow or MLflow is forked from a process that has imported them, which takes ten seconds.
    """
    if {"train", "evaluate", "track", "study", "search"} & set(arguments[:1]):
        return preloaded.run(arguments, cwd or folder, inherited() | environment)
    return subprocess.run(
        [sys.executable, "-m", "notsoclevr", *arguments],
        cwd=cwd or folder,
        env=inherited() | environment,
        capture_output=True,
        text=True,
        check=False,
    )


_timeouts = count(20)


def store_uri(folder: Path) -> str:
    """Name the store at a root, in a new way each time: MLflow keeps a store open, also one that was deleted."""
    return f"sqlite:///{folder}/mlflow.db?timeout={next(_timeouts)}"


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory, full: dataset.Dataset) -> Path:
    return make_project(tmp_path_factory.mktemp("pristine"), full)


@pytest.fixture
def project(tmp_path: Path, _pristine: Path) -> Path:
    """Return a project of the test's own, see `make_project`."""
    return shutil.copytree(_pristine, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def command(project: Path) -> Run:
    """Return `run_command` for that project."""
    return partial(run_command, project)
