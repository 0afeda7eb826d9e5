"""The whole, as a stranger would run it: a fresh clone, the real pipeline, a shrunken params.yaml."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from mlflow import MlflowClient

from notsoclevr import pipeline
from notsoclevr.config import load
from notsoclevr.errors import StudyError

from .conftest import ROOT, inherited, shrink, store_uri
from .soak.processes import strays, wait_until

PIPELINE = ("mlflow", "run", ".", "-e", "pipeline", "--env-manager", "local")
MODELS = ["coordconv_regressor", "deconv_painter"]  # to a point and to an image, with coordinates and without
CELLS = [f"{model}-quadrant" for model in MODELS]


def run(clone: Path, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone, with the clone's code and this environment's packages."""
    settings = {
        "PYTHONPATH": str(clone / "src"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.example",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.example",
    }
    done = subprocess.run(
        command, cwd=clone, env=inherited() | settings | environment, capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def status(clone: Path) -> set[str]:
    """Return the stages that `dvc status` names."""
    with chdir(clone), Repo() as repo:
        return set(repo.status(targets=["dvc.yaml"]))


def runs_of(client: MlflowClient) -> list[Any]:
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def tracked(clone: Path) -> list[Any]:
    return runs_of(MlflowClient(store_uri(clone)))


# Python runs a module of this name as it starts: each stage lists the modules that it has imported as it ends.
SITECUSTOMIZE = """\
import atexit, json, pathlib, sys
def list_modules():
    found = {m.__name__: m.__file__ for m in list(sys.modules.values()) if m.__name__.split(".")[0] in names}
    pathlib.Path("..", f"{sys.argv[1]}.json").write_text(json.dumps(found))
names = ("coordconv", "notsoclevr")
if sys.orig_argv[1:3] == ["-m", "notsoclevr"]:
    atexit.register(list_modules)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone in which the whole pipeline has run, shrunk: one epoch, little data, two cells."""
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    for committed in ("results", "reports"):
        shutil.rmtree(folder / committed, ignore_errors=True)  # what is found afterwards, this pipeline has made
    shrink(folder / "params.yaml")
    content = yaml.safe_load((folder / "params.yaml").read_text())
    content["matrix"] = {"model": MODELS, "split": ["quadrant"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    lister = folder / "src" / "sitecustomize.py"
    lister.write_text(SITECUSTOMIZE)
    run(folder, *PIPELINE)
    lister.unlink()
    return folder


def test_every_cell_is_there(clone: Path) -> None:
    with (clone / "reports" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["split"]) for row in rows] == [(model, "quadrant") for model in MODELS]
    for row in rows:
        cell = clone / "results" / f"{row['model']}-{row['split']}"
        for name in ("model.keras", "history.csv", "metrics.json", "predictions.npz", "timings.json", "run.json"):
            assert (cell / name).is_file()
        assert (cell / "figures" / "showcase.png").is_file()
    assert (clone / "reports" / "figures" / "maps.png").is_file()


def test_every_cell_and_the_comparison_is_one_finished_run(clone: Path) -> None:
    found = tracked(clone)
    assert {run.info.status for run in found} == {"FINISHED"}
    (outer,) = [run for run in found if "mlflow.project.entryPoint" in run.data.tags]
    assert not outer.data.metrics
    found.remove(outer)
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {outer.info.run_id}
    assert sorted(run.info.run_name for run in found) == sorted([*CELLS, "comparison"])
    painter = next(run for run in found if run.info.run_name == "deconv_painter-quadrant")
    assert painter.data.tags["dvc.stage"] == "train@deconv_painter-quadrant"
    commit = run(clone, "git", "rev-parse", "HEAD").stdout.strip()
    assert painter.data.tags["mlflow.source.git.commit"] == commit


def test_nothing_is_left_to_do_and_dvc_shows_what_there_is(clone: Path) -> None:
    assert status(clone) == set()
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["results/deconv_painter-quadrant/metrics.json"]["data"]
    assert metrics["parameters"] > 0


def test_the_pages_pass_their_tests_after_the_pipeline(clone: Path) -> None:
    """`make test` after `make repro`: the README shows what is committed, which is not what was made here."""
    pages = ("tests/test_readme.py", "tests/report/test_comparison.py", "-k", "readme")
    quietly = ("-q", "-W", "ignore", "-p", "no:cacheprovider", "--noconftest")
    run(clone, sys.executable, "-m", "pytest", *quietly, *pages, PYTEST_ADDOPTS="")


def test_what_killed_processes_left_concerns_no_stage_and_no_commit(clone: Path) -> None:
    left = [".deconv_painter-quadrant.host-1.part/metrics.json", "data/.quadrant.host-1.part.npz"]
    left += [f"results/{CELLS[0]}/.timings.host-1.part.json", "reports/figures/.maps.host-1.part.png"]
    for name in left:
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text("half")
    assert status(clone) == set()
    run(clone, "dvc", "plots", "show")
    assert [line for line in run(clone, "git", "status", "--porcelain").stdout.splitlines() if line[:2] == "??"] == []


# What decides none of the numbers in a stage's outputs.
PLUMBING = ("cli", "config", "errors", "files", "progress", "stages", "tracking/", "cells/record", "report/record")


@pytest.mark.parametrize("stage", ["generate", "split", "train", "evaluate"])
def test_a_stage_depends_on_the_code_that_it_imports(clone: Path, stage: str) -> None:
    """All of it beyond what the command line imports for every command; and on nothing that it does not import."""
    listed = json.loads((clone.parent / f"{stage}.json").read_text())
    for_all = run(clone, sys.executable, "-c", "import sys, notsoclevr.cli; print(*sys.modules)").stdout.split()
    files = {name: str(Path(file).relative_to(clone / "src")) for name, file in listed.items()}
    deps = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"][stage]["deps"]
    code = [dep.removeprefix("src/").replace("${item.model}", MODELS[0]) for dep in deps if dep.startswith("src/")]
    for name in files.keys() - set(for_all):
        within = files[name].removeprefix("notsoclevr/")
        is_empty = (clone / "src" / files[name]).read_text().count("\n") <= 1  # the docstring of a package
        if not within.startswith(PLUMBING) and not is_empty:
            assert any(files[name] == dep or files[name].startswith(f"{dep}/") for dep in code), name
    for dep in code:
        assert any(file == dep or file.startswith(f"{dep}/") for file in files.values()), dep


def change(clone: Path, *models: str, **settings: Any) -> set[str]:
    """Change recipes, if not in these settings then in their rate, and return the stages that this concerns."""
    params = clone / "params.yaml"
    content = yaml.safe_load(params.read_text())
    for model in models:
        recipe = content["models"][model]
        recipe |= settings or {"learning_rate": recipe["learning_rate"] / 2}
    params.write_text(yaml.safe_dump(content))
    return status(clone)


def test_a_recipe_concerns_its_own_cells_and_the_comparison(clone: Path) -> None:
    for path in (clone / "studies").glob("*/results.csv"):
        path.unlink()  # from here on there is less to evaluate
    assert change(clone, "deconv_painter") == {"train@deconv_painter-quadrant", "evaluate"}
    changed = json.loads(run(clone, "dvc", "params", "diff", "--json").stdout)
    assert "models.deconv_painter.learning_rate" in changed["params.yaml"]


def test_a_new_model_has_no_other_trained_again(clone: Path) -> None:
    before = status(clone)
    module = clone / "src/notsoclevr/models/another.py"
    module.write_text('"""Another model."""\n')
    assert status(clone) == before | {"evaluate"}
    module.unlink()


def test_a_cell_that_fails_is_named_and_the_others_are_kept(clone: Path) -> None:
    change(clone, "coordconv_regressor")
    cell = clone / "results" / "coordconv_regressor-quadrant"
    cell.rename(cell.with_name("aside"))
    cell.write_text("in the way")
    failed = run(clone, "notsoclevr", "pipeline", "--jobs", "2", check=False)
    assert failed.returncode == 1
    assert "of 2  deconv_painter-quadrant  exact" in failed.stderr
    assert "coordconv_regressor-quadrant: training failed, see outputs/logs/<cell>.log" in failed.stderr
    assert "Not a directory" in (clone / "outputs/logs/coordconv_regressor-quadrant.log").read_text()
    assert status(clone) == {"train@coordconv_regressor-quadrant", "evaluate"}
    cell.unlink()
    cell.with_name("aside").rename(cell)


def test_ctrl_c_stops_a_training_and_closes_its_run(clone: Path) -> None:
    """Of the cell that failed above. What is left is done by a plain `dvc repro` as well."""
    client = MlflowClient(store_uri(clone))
    before = len(runs_of(client))
    params = (clone / "params.yaml").read_text()
    change(clone, "coordconv_regressor", epochs=10_000)  # not over before it is stopped
    (clone / ".dvc" / "tmp" / "rwlock").write_text("")  # as a `dvc repro` killed while it wrote it leaves it
    command = [sys.executable, "-m", "notsoclevr", "pipeline"]
    environment = os.environ | {
        "PYTHONPATH": str(clone / "src"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    with subprocess.Popen(command, cwd=clone, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: len(runs_of(client)) == before + 1, 120, pause=0.3)
        process.send_signal(signal.SIGINT)
        assert process.stderr and process.stderr.read().endswith("notsoclevr: stopped\n")
    assert process.returncode == 130
    assert wait_until(lambda: not strays(clone), 120)
    assert tracked(clone)[0].info.status == "KILLED"
    (clone / "params.yaml").write_text(params)
    assert status(clone) == {"train@coordconv_regressor-quadrant", "evaluate"}

    done = run(clone, "dvc", "repro").stdout
    stages = [line.split("'")[1] for line in done.splitlines() if line.startswith("Running stage")]
    assert stages == ["train@coordconv_regressor-quadrant", "evaluate"]
    again = run(clone, "notsoclevr", "pipeline", "--jobs", "2", "--models", "coordconv_regressor")
    assert "Running stage" not in again.stdout
    assert (
        "cells differ from the commit, as may be on another kind of processor, see `dvc metrics diff`" in again.stdout
    )
    assert "deconv_classifier-uniform (missing), deconv_painter-quadrant (another recipe." in again.stdout
    assert status(clone) == set()


def test_only_lists_of_dvc_that_are_cut_are_removed(tmp_path: Path) -> None:
    whole, cut = (tmp_path / ".dvc" / "tmp" / name for name in ("rwlock", "exps/rwlock"))
    cut.parent.mkdir(parents=True)
    whole.write_text("{}")
    cut.write_text('{"a')
    pipeline.clear_torn_locks(tmp_path)
    assert whole.exists()
    assert not cut.exists()


# A DVC that takes a while to end after its stage has.
SLOW_DVC = """\
import pathlib, subprocess, time
stage = subprocess.Popen(["sleep", "60"])
pathlib.Path("begun").touch()
stage.wait()
time.sleep(0.3)
pathlib.Path("whole").touch()
raise SystemExit(1)
"""
CALLS_IT = """\
import pathlib, sys
from notsoclevr import cli, pipeline
pipeline.DVC = (sys.executable, "-c", sys.argv[1])
cli._stop_politely()
pipeline._call_dvc(pathlib.Path())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dvc_has_the_time_to_leave_its_files_whole(tmp_path: Path, number: int) -> None:
    """Also in the background of a script, where SIGINT is ignored."""
    command = [sys.executable, "-c", CALLS_IT, SLOW_DVC]
    if number == signal.SIGTERM:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        assert wait_until((tmp_path / "begun").exists, 120)
        process.send_signal(number)
    assert process.returncode != 0
    assert (tmp_path / "whole").exists()


STORE = "notsoclevr: MLflow store x does not answer: training goes on without it"
EPOCH = "coordconv_regressor-uniform epoch 2/20  loss 1  exact 0 % train, 0 % test"
LOST = "ERROR: failed to reproduce: exited with -9"


@pytest.mark.parametrize(("lines", "says"), [((STORE, LOST), STORE), ((STORE, EPOCH, LOST), LOST)])
def test_what_ended_a_training_is_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: tuple[str], says: str
) -> None:
    monkeypatch.setattr(pipeline, "DVC", (sys.executable, "-c", f"print({chr(10).join(lines)!r}); exit(1)"))
    with pytest.raises(StudyError, match="coordconv_regressor-uniform: training failed"):
        pipeline._Trainings(tmp_path, load(ROOT / "params.yaml"), ["coordconv_regressor-uniform"]).run(1)
    assert f"1 of 1  coordconv_regressor-uniform  failed: {says}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "all cells are as committed"),
        ({"test_exact": (1.0, 0.75), "train_error_px": (0.0, 9.0)}, "a-b (test_exact -0.25)"),
        (
            {"test_exact": (1.0, 1.0), "train_error_px": (0.25, 0.5), "test_loss": (0, 0.125)},
            "a-b (train_error_px +0.25)",
        ),
        ({"test_exact": (1.0, 0.5), "parameters": (5, 6), "recipe.width": (1, 2)}, "a-b (another recipe.width)"),
        ({"test_exact": (1.0, None), "epochs": (3, None)}, "a-b (missing)"),
        ({"test_exact": (None, 1.0), "epochs": (None, 3)}, "a-b (not committed)"),
    ],
)
def test_it_says_how_the_cells_compare_with_those_that_are_committed(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], says: str
) -> None:
    diff = {
        name: {"old": old, "new": new} | ({} if None in (old, new) else {"diff": new - old})
        for name, (old, new) in changed.items()
    }
    found = {"results/a-b/metrics.json": diff} if diff else {}
    monkeypatch.setattr(pipeline, "_read_dvc", lambda *_: found)
    said = pipeline.differences(Path())
    assert said == says or (said.startswith("1 cell differs from the commit") and said.endswith(f": {says}"))


def test_two_clones_in_different_places_write_the_same_lock(clone: Path, tmp_path: Path) -> None:
    """A shrunken cell is trained by a plain `dvc repro` in another folder, on one core."""
    other = tmp_path / "other place"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(other)], check=True)
    shutil.copy(clone / "params.yaml", other)
    name = "coordconv_regressor-quadrant"
    one_core = "import os, sys; os.sched_setaffinity(0, {0}); from dvc.cli import main; sys.exit(main(sys.argv[1:]))"
    done = run(other, sys.executable, "-c", one_core, "repro", f"train@{name}").stdout
    stages = [line.split("'")[1] for line in done.splitlines() if line.startswith("Running stage")]
    assert stages == ["generate", "split@quadrant", f"train@{name}"]
    locks = [yaml.safe_load((folder / "dvc.lock").read_text())["stages"] for folder in (clone, other)]
    for stage in ("generate", "split@quadrant", f"train@{name}"):
        assert locks[0][stage] == locks[1][stage]


def test_the_pipeline_takes_models_and_epochs(clone: Path) -> None:
    """Other epochs are an experiment, which leaves the settings and the results alone."""
    before = {path: path.read_bytes() for path in (clone / "params.yaml", *clone.glob("results/*/metrics.json"))}
    runs = len(tracked(clone))
    run(clone, *PIPELINE, "-P", "models=coordconv_regressor", "-P", "epochs=2")
    new = tracked(clone)[:-runs]
    outer = next(one for one in new if "mlflow.project.entryPoint" in one.data.tags)
    assert outer.data.params == {"models": "coordconv_regressor", "epochs": "2"}
    cells = {one.info.run_name: one for one in new if one.info.run_id != outer.info.run_id}
    assert cells.keys() == {"comparison", "coordconv_regressor-quadrant"}
    assert {one.data.tags["mlflow.parentRunId"] for one in cells.values()} == {outer.info.run_id}
    assert cells["coordconv_regressor-quadrant"].data.params["epochs"] == "2"
    experiment = cells["coordconv_regressor-quadrant"].data.tags["dvc.experiment"]
    assert experiment in run(clone, "dvc", "exp", "show", "--json", "--no-pager").stdout
    best = MlflowClient(store_uri(clone)).get_model_version_by_alias("not-so-clevr-regression", "best")
    assert best.run_id not in {one.info.run_id for one in new}
    assert {path: path.read_bytes() for path in before} == before
    assert status(clone) == set()


def test_mlflow_run_is_one_run(clone: Path) -> None:
    shutil.rmtree(clone / "data")
    before = {one.info.run_id for one in tracked(clone)}
    arguments = ["-P", "model=coordconv_regressor", "-P", "split=uniform", "-P", "epochs=3", "-P", "learning_rate=1e-3"]
    run(clone, "mlflow", "run", ".", "--env-manager", "local", *arguments)
    (only,) = [one for one in tracked(clone) if one.info.run_id not in before]
    assert only.info.status == "FINISHED"
    assert only.data.params["epochs"] == "3"
    assert only.data.params["optimizer"] in ("adam", "adamw")
    assert "test_exact" in only.data.metrics
    assert (clone / "outputs" / "coordconv_regressor-uniform" / "model.keras").exists()

    failed = run(clone, "mlflow", "run", ".", "--env-manager", "local", "-P", "model=nobody", check=False)
    assert failed.returncode != 0
    assert sum("notsoclevr: " in line for line in failed.stderr.splitlines()) == 1
    new = [one.info.status for one in tracked(clone) if one.info.run_id not in before]
    assert sorted(new) == ["FAILED", "FINISHED"]
