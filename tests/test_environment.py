"""The environments: what each file pins is what uv.lock resolved."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import yaml

from .conftest import ROOT, inherited

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = {package["name"]: package.get("version") for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
GROUPS = PROJECT["dependency-groups"]
TRAINING, STUDY = {"include-group": "training"}, [*GROUPS["training"], *GROUPS["study"][1:]]


def test_pins_are_exact_and_those_of_the_lock() -> None:
    assert GROUPS["study"][0] == TRAINING
    for pin in (*STUDY, *GROUPS["docs"], *GROUPS["dev"]):
        if pin in ("notsoclevr", {"include-group": "docs"}):  # the study itself, from src/; a group that is looked at
            continue
        name, version = pin.split("==")
        assert LOCK[name.lower()] == version


def test_conda_pins_the_same_under_pip() -> None:
    content = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))
    *conda, pip = content["dependencies"]
    assert [name.split("=")[0] for name in conda] == ["python", "pip"]
    assert sorted(pip["pip"]) == sorted(STUDY)


def test_make_works_whatever_the_name_of_the_clone(tmp_path: Path) -> None:
    """In a folder that is set up, `make ui` has nothing to do but to open the store in it, or to name the server."""
    clone = tmp_path / "a?b 100%#c"
    (clone / ".venv").mkdir(parents=True)
    (clone / "src" / "notsoclevr").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "uv.lock", "src/notsoclevr/pyproject.toml"):
        shutil.copy(ROOT / name, clone / name)
    (clone / ".venv" / "synced").touch()
    mlflow = clone / ".venv" / "bin" / "mlflow"
    mlflow.parent.mkdir()
    mlflow.write_text('#!/bin/sh\necho mlflow "$@"\n')
    mlflow.chmod(0o755)
    for server, says in (
        ({}, "mlflow ui --backend-store-uri sqlite:///mlflow.db --default-artifact-root mlruns"),
        (
            {"MLFLOW_TRACKING_URI": "sqlite:///own.db"},
            "mlflow ui --backend-store-uri sqlite:///own.db --default-artifact-root mlruns",
        ),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "the runs are at http://127.0.0.1:9"),
    ):
        shown = subprocess.run(
            ["make", "--silent", "ui"],
            cwd=clone,
            env=inherited() | server,
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout == f"{says}\n"


def test_stages_need_no_installed_script() -> None:
    """A module and PYTHONPATH=src will do, from the root; the lock has the same commands."""
    stages, locked = (yaml.safe_load((ROOT / name).read_text("utf-8"))["stages"] for name in ("dvc.yaml", "dvc.lock"))
    for stage in stages.values():
        assert stage["cmd"].startswith("python -m notsoclevr ")
    for name, stage in locked.items():
        assert stage["cmd"].startswith(stages[name.split("@")[0]]["cmd"].split("${")[0])
