"""The engine, on experiments that take a second: one epoch on 220 positions."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from notsoclevr import engine, training
from notsoclevr.studies import Trial, load_rows, load_study

from .conftest import ROOT, run_command, store_uri

MODEL = "coordconv_regressor"
BLOCK: dict[str, Any] = {
    "variant": "tiny",
    "model": MODEL,
    "split": "quadrant",
    "seed": [0, 1],
    "settings": {f"models.{MODEL}.epochs": 1, "splits.quadrant.boundary": 6},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A root with the real params.yaml; a study needs nothing else."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def write(home: Path, *blocks: dict[str, Any]) -> Path:
    path = home / "studies" / "tiny" / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"about": "a test", "experiments": list(blocks)}), "utf-8")
    return path


def study_runs(home: Path) -> tuple[list[Any], list[Any]]:
    """The parent runs and the children in the store of `home`."""
    client = MlflowClient(store_uri(home))
    experiment = client.get_experiment_by_name("not-so-clevr-studies")
    runs = client.search_runs([experiment.experiment_id])
    return [r for r in runs if r.data.tags["role"] == "study"], [r for r in runs if r.data.tags["role"] == "trial"]


def test_a_row_holds_what_the_training_measured(home: Path) -> None:
    trial = load_study(write(home, BLOCK), home).trials[0]
    row = engine.perform(trial)
    split = engine.SPLITS["quadrant"](engine.generate(), **trial.split_arguments)
    last = training.train(trial.experiment, split, engine.np.array([], int)).history[-1]
    assert row["error"] == ""
    assert float(row["test_exact"]) == last["test_exact"]
    assert float(row["train_loss"]) == last["train_loss"]
    assert row["parameters"] == "906"
    assert row["epochs_to_perfect"] == ""


def test_a_failure_is_a_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no\nluck")

    monkeypatch.setattr(engine, "train", fail)
    row = engine.perform(load_study(write(home, BLOCK), home).trials[0])
    assert row["error"] == "RuntimeError: no luck"
    assert row["test_exact"] == ""


def test_a_study_runs_what_it_lacks_and_nothing_else(home: Path) -> None:
    path = write(home, BLOCK)
    done = run_command(home, "study", str(path), "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "tiny 2/2" in done.stderr
    first = path.with_name("results.csv").read_bytes()
    assert (path.with_name("summary.csv")).exists()
    parents, children = study_runs(home)
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert sorted(run.data.params["seed"] for run in children) == ["0", "1"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}

    # one that works, and one that cannot: the uniform split of next to nothing has no training half
    empty = BLOCK | {
        **{"variant": "empty", "split": "uniform", "seed": 0},
        "settings": {f"models.{MODEL}.epochs": 1, "splits.uniform.train_share": 0.0001},
    }
    write(home, BLOCK | {"seed": [0, 1, 2]}, empty)
    done = run_command(home, "study", str(path), "--workers", "1")
    assert done.returncode == 1
    assert "results.csv: 1 of 4 experiments failed" in done.stderr
    assert "seed 0  exact" not in done.stderr.replace("empty", "")
    assert path.with_name("results.csv").read_bytes().startswith(first)
    rows = list(load_rows(path.with_name("results.csv")).values())
    assert [(row["variant"], bool(row["error"])) for row in rows] == [
        *[("tiny", False)] * 3,
        ("empty", True),
    ]
    parents, children = study_runs(home)
    assert len(parents) == 1
    assert sorted(run.info.status for run in children) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_rows_that_mlflow_does_not_know_are_logged_without_training(home: Path, seeds: list[int]) -> None:
    path = write(home, BLOCK | {"seed": seeds})
    study = load_study(path, home)
    rows = {trial.key: trial.row({"test_exact": 0.25, "train_exact": 1.0}) for trial in study.trials}
    engine.save_rows(study, rows)
    for _ in range(2):  # the second time there is nothing to log
        assert engine.run_study(home, study, workers=1, scheduler=None) == 0
        _, children = study_runs(home)
        assert [run.data.metrics["test_exact"] for run in children] == [0.25] * len(seeds)


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.05)


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "notsoclevr", "study", *arguments],
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_until_a_row(home: Path, path: Path, *arguments: str) -> subprocess.Popen[str]:
    process = start(home, str(path), *arguments)
    results = path.with_name("results.csv")
    wait_for(lambda: results.exists() and load_rows(results))
    return process


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_study_that_is_stopped_goes_on(home: Path, how: signal.Signals, status: int) -> None:
    path = write(home, BLOCK | {"seed": list(range(40))})
    results = path.with_name("results.csv")
    process = start_until_a_row(home, path, "--workers", "1")
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, how)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert "Traceback" not in stderr
    wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in family), 30)
    kept = load_rows(results)
    assert 1 <= len(kept) < 40
    if how != signal.SIGKILL:
        return  # the harshest shows that it goes on
    write(home, BLOCK | {"seed": list(range(len(kept) + 1))})
    assert run_command(home, "study", str(path), "--workers", "1").returncode == 0
    after = load_rows(results)
    assert len(after) == len(kept) + 1
    assert all(after[key] == row for key, row in kept.items())


def do_nothing(threads: int) -> None:
    """Start a worker that needs no TensorFlow."""


def die_of_seed_1(trial: Trial) -> dict[str, str]:
    if trial.experiment.seed == 1:
        os._exit(9)
    return trial.row({"test_exact": 0.5, "train_exact": 1.0})


def test_an_experiment_that_kills_its_worker_is_a_row_and_the_rest_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_start_worker", do_nothing)
    monkeypatch.setattr(engine, "perform", die_of_seed_1)
    study = load_study(write(home, BLOCK | {"seed": list(range(5))}), home)
    assert engine.run_study(home, study, workers=2, scheduler=None) == 1
    errors = {row["seed"]: row["error"] for row in load_rows(study.results).values()}
    assert errors.pop("1") == "its process died, perhaps for want of memory"
    assert errors == dict.fromkeys("0234", "")


def test_rows_that_ended_are_kept_before_a_broken_pool_is_seen() -> None:
    ended, broken, cancelled = Future[Any](), Future[Any](), Future[Any]()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    broken.set_exception(BrokenExecutor())
    ended.set_result({})
    for futures in itertools.permutations((ended, broken, cancelled)):
        assert next(engine._as_completed(futures, lambda: None)) is ended


def test_logging_can_be_stopped_between_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(write(home, BLOCK | {"seed": [0, 1, 2]}), home)
    engine.save_rows(study, {trial.key: trial.row({"test_exact": 0.5, "train_exact": 1.0}) for trial in study.trials})
    log_trials = engine.tracking.log_trials

    def interrupted(client: Any, parent: str, name: str, rows: Any, stop: Callable[[], None]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        log_trials(client, parent, name, rows, stop)

    monkeypatch.setattr(engine.tracking, "log_trials", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run_study(home, study, workers=1, scheduler=None)
    parents, children = study_runs(home)
    assert [run.info.status for run in (*parents, *children)] == ["KILLED", "FINISHED"]


def test_two_drivers_do_not_run_one_study(home: Path) -> None:
    path = write(home, BLOCK)
    with engine.FileLock(path.with_name(".study.lock")):
        done = run_command(home, "study", str(path))
    assert done.returncode == 1
    assert "another process is running this study" in done.stderr


Cluster = tuple[str, list[subprocess.Popen[bytes]], subprocess.Popen[bytes]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The address of a scheduler, two workers on loopback, and the scheduler, each a process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    port = address.rpartition(":")[2]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    scheduler = subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"], **quiet)
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    yield address, workers, scheduler
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def test_a_cluster_loses_a_worker_and_no_row(home: Path, cluster: Cluster) -> None:
    address, workers, _ = cluster
    path = write(home, BLOCK | {"seed": list(range(8))})
    results = path.with_name("results.csv")
    process = start_until_a_row(home, path, "--scheduler", address)
    workers[0].kill()
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 0, stderr
    study = load_study(path, home)
    rows = load_rows(results)
    assert list(rows) == [trial.key for trial in study.trials]  # each exactly once: a second row would be refused
    assert not any(row["error"] for row in rows.values())
    _, children = study_runs(home)
    assert sorted(int(run.data.params["seed"]) for run in children) == list(range(8))


def test_a_cluster_that_loses_its_scheduler_makes_no_row_of_it(home: Path, cluster: Cluster) -> None:
    address, _, scheduler = cluster
    path = write(home, BLOCK | {"seed": list(range(40))})
    results = path.with_name("results.csv")
    process = start_until_a_row(home, path, "--scheduler", address)
    scheduler.kill()
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert "the scheduler was lost" in stderr
    assert "Traceback" not in stderr
    assert not any(row["error"] for row in load_rows(results).values())


def test_a_scheduler_that_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 1)
    study = load_study(write(home, BLOCK), home)
    with pytest.raises(engine.StudyError, match=r"--scheduler tcp://127.0.0.1:9: no scheduler answers") as error:
        engine.run_study(home, study, workers=1, scheduler="tcp://127.0.0.1:9")
    assert error.value.exit_status == 1
    assert not study.results.exists()
    assert not (home / "mlflow.db").exists()


def test_an_empty_address_is_no_address(home: Path) -> None:
    done = run_command(home, "study", str(write(home, BLOCK)), "--scheduler", "")
    assert done.returncode == 2
    assert "--scheduler is empty" in done.stderr


def test_workers_and_scheduler_exclude_each_other(home: Path) -> None:
    done = run_command(home, "study", str(write(home, BLOCK)), "--workers", "2", "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 2
    assert "give one of the two" in done.stderr
