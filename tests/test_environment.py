"""The environments: what each file pins is what uv.lock resolved."""

from __future__ import annotations

import tomllib

import yaml

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = {package["name"]: package.get("version") for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
STUDY = PROJECT["dependency-groups"]["study"]


def test_pins_are_exact_and_those_of_the_lock() -> None:
    groups = PROJECT["dependency-groups"]
    for pin in (*groups["study"], *groups["cluster"], *groups["dev"]):
        if pin == "notsoclevr":  # the study itself, from src/
            continue
        name, version = pin.split("==")
        assert LOCK[name.lower()] == version


def test_conda_pins_the_same_under_pip() -> None:
    content = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))
    *conda, pip = content["dependencies"]
    assert [name.split("=")[0] for name in conda] == ["python", "pip"]
    assert sorted(pip["pip"]) == sorted(STUDY)
