"""What git is told to look away from: all that the documented commands make and that belongs to one machine."""

from __future__ import annotations

import subprocess

import pytest

from .conftest import ROOT

CELL = "results/coordconv_painter-quadrant"
MADE = {
    "make setup": [".venv/synced", "src/coordconv.egg-info/PKG-INFO", "src/notsoclevr/__pycache__/cli.cpython-311.pyc"],
    "make lint": [".ruff_cache/CACHEDIR.TAG", ".mypy_cache/CACHEDIR.TAG"],
    "make docs": ["site/index.html", "site/.doctrees/README.doctree"],
    "make test": [
        *(".pytest_cache/CACHEDIR.TAG", ".hypothesis/examples/0"),
        "tests/report/node_modules/axe-core/axe.min.js",
    ],
    "make test-backends": [".venv-backends/synced"],
    "make bench": ["benchmarks/.layer.part.csv"],
    "make example": ["examples/.example.part.txt"],
    "make where": ["examples/.where.part.csv"],
    "make repro": [
        *(f"data/{name}.npz" for name in ("not_so_clevr", "uniform", "quadrant")),
        *(
            f"{CELL}/{name}"
            for name in ("model.keras", "predictions.npz", "figures/map.png", "run.json", "timings.json")
        ),
        *("reports/index.html", "mlflow.db", "mlflow.db-wal", "mlartifacts/not-so-clevr-rendering/0", ".mlflow.lock"),
        *(".dvc/cache/files/md5/0", ".dvc/tmp/lock"),
    ],
    "mlflow run .": ["outputs/coordconv_painter-quadrant/metrics.json", "mlruns/0/meta.yaml"],
    "notsoclevr study": ["studies/seeds/.study.lock"],
    "notsoclevr search": [f"studies/search/deconv_painter/{name}" for name in ("journal.log", ".study.lock")],
    "dvc plots show": ["dvc_plots/index.html", "dvc_plots/static/curves.png"],
    "jupyter": ["examples/.ipynb_checkpoints/tutorial-checkpoint.ipynb"],
    "dvc exp run": [".dvc/tmp/exps/run/0"],
    "dvc remote modify --local": [".dvc/config.local"],
}
KEPT = [
    *(
        "data/README.md",
        f"{CELL}/metrics.json",
        f"{CELL}/history.csv",
        "studies/seeds/results.csv",
        "studies/search/space.yaml",
    ),
    *("reports/comparison.md", "reports/figures/maps.png", "benchmarks/layer.csv", "examples/locate.txt", "dvc.lock"),
    *(".dvc/config", ".github/workflows/ci.yml", ".pre-commit-config.yaml"),
]


def ignored(paths: list[str]) -> list[str]:
    shown = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert shown.returncode in (0, 1), shown.stderr
    return shown.stdout.splitlines()


@pytest.mark.parametrize("command", MADE)
def test_what_a_documented_command_makes_does_not_show_in_git_status(command: str) -> None:
    assert ignored(MADE[command]) == MADE[command]


def test_what_is_committed_is_not_ignored() -> None:
    assert ignored(KEPT) == []
    assert all((ROOT / path).exists() for path in KEPT)
