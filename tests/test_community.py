"""The files for those who cite, contribute and submit: they parse, and name what there is."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_citation_is_of_this_version() -> None:
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what CFF 1.2.0 requires
    assert citation["cff-version"] == "1.2.0"
    assert (citation["type"], citation["license"]) == ("software", PROJECT["license"])
    assert citation["version"] == PROJECT["version"]
    assert citation["keywords"] == PROJECT["keywords"]
    holder = re.search(r"Copyright \(c\) \d+ (.+)", (ROOT / "LICENSE").read_text("utf-8"))
    assert holder and citation["authors"] == [{"name": holder[1]}]


def test_the_citation_names_the_paper() -> None:
    (paper,) = read("CITATION.cff")["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["url"] == "https://arxiv.org/abs/1807.03247"
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Liu", "Lehman", "Molino", "Petroski Such", "Frank", "Sergeev", "Yosinski"]


def test_the_workflow_runs_what_a_developer_runs() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] == 40
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert python == "3.11"
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))


def test_the_hooks_run_what_ci_runs() -> None:
    config = read(".pre-commit-config.yaml")
    (local,) = config["repos"]
    hooks = {hook["entry"]: hook for hook in local["hooks"]}
    assert {entry: hook["stages"] for entry, hook in hooks.items()} == {
        "make lint": ["pre-commit"],
        "make test": ["pre-push"],
    }
    assert config["default_install_hook_types"] == ["pre-commit", "pre-push"]
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == list(hooks)
    for entry, hook in hooks.items():
        assert entry.removeprefix("make ") in TARGETS
        assert not hook["pass_filenames"]  # a target takes none


def test_the_changelog_has_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[:2] == ["Unreleased", PROJECT["version"]]


def test_contributing_names_targets_that_exist() -> None:
    named = re.findall(r"\bmake ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert named and set(named) - {"and"} <= set(TARGETS)
