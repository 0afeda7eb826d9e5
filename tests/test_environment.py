"""The environments: what each file pins is what uv.lock resolved."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = {package["name"]: package["version"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
LAYER = PROJECT["project"]["dependencies"]
STUDY = PROJECT["project"]["optional-dependencies"]["study"]


def test_pins_are_exact_and_those_of_the_lock() -> None:
    development = PROJECT["dependency-groups"]["dev"]
    for pin in (*LAYER, *STUDY, *development):
        name, version = pin.split("==")
        assert LOCK[name.lower()] == version


def test_conda_pins_the_same_under_pip() -> None:
    content = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))
    *conda, pip = content["dependencies"]
    assert [name.split("=")[0] for name in conda] == ["python", "pip"]
    assert sorted(pip["pip"]) == sorted([*LAYER, *STUDY])


def test_make_works_whatever_the_name_of_the_clone(tmp_path: Path) -> None:
    """In a folder that is set up, `make ui` has nothing to do but to open the store in it."""
    clone = tmp_path / "a?b 100%#c"
    (clone / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv" / "synced").touch()
    shown = subprocess.run(["make", "--dry-run", "ui"], cwd=clone, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == 'mlflow ui --backend-store-uri "${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"\n'


@pytest.mark.parametrize("path", [ROOT / "dvc.yaml", *sorted(ROOT.glob("studies/*/dvc.yaml"))], ids=str)
def test_stages_need_no_installed_script(path: Path) -> None:
    """A module and PYTHONPATH=src will do, from the root; the lock has the same commands."""
    stages = yaml.safe_load(path.read_text("utf-8"))["stages"]
    for stage in stages.values():
        start = "python -m notsoclevr " if path.parent == ROOT else "cd ../.. && python -m notsoclevr "
        assert stage["cmd"].startswith(start)
    lock = path.with_suffix(".lock")
    for name, locked in yaml.safe_load(lock.read_text("utf-8"))["stages"].items() if lock.exists() else ():
        cmd = stages[name.split("@")[0]]["cmd"]
        assert locked["cmd"].startswith(cmd.split("${")[0])


def test_the_layer_is_importable_without_the_study(tmp_path: Path) -> None:
    """`pip install .` into an empty environment gives the layer, without MLflow and DVC."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    python = tmp_path / "empty" / "bin" / "python"
    for arguments in (
        ["venv", "--quiet", str(tmp_path / "empty")],
        ["pip", "install", "--quiet", "--python", str(python), str(ROOT)],
    ):
        made = subprocess.run(["uv", *arguments], env=environment, capture_output=True, text=True, check=False)
        if "Failed to fetch" in made.stderr or "error sending request" in made.stderr:
            pytest.skip("no package index within reach")
        assert made.returncode == 0, made.stderr
    program = (
        "import importlib.util as u, coordconv; print(coordconv.CoordConv2D(4, 3).name);"
        "print([name for name in ('mlflow', 'dvc', 'click') if u.find_spec(name)])"
    )
    shown = subprocess.run(
        [str(python), "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.stdout.split() == ["coord_conv2d", "[]"], shown.stderr
