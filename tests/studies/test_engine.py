"""The engine, on experiments that take a second, one epoch on 220 positions, or on toys that take none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from notsoclevr.errors import StudyError
from notsoclevr.studies import cluster as clusters
from notsoclevr.studies import engine, log, worker
from notsoclevr.studies.rows import load_rows, make_row, save_rows, to_frame
from notsoclevr.studies.spec import load_study

from ..conftest import ROOT, run_command, store_uri
from ..soak.kills import free_port
from ..soak.processes import wait_until
from .toy import DEADLY, run_toy_training, write_study

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


def study_runs(home: Path) -> tuple[list[Any], list[Any]]:
    """The parent runs and the children in the store of `home`."""
    client = MlflowClient(store_uri(home))
    experiment = client.get_experiment_by_name("not-so-clevr-studies")
    runs = client.search_runs([experiment.experiment_id])
    return [r for r in runs if r.data.tags.get("role") == "study"], [r for r in runs if "seed" in r.data.params]


def test_a_failure_is_a_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no\nluck")

    monkeypatch.setattr(worker, "train", fail)
    row = worker.run_training(load_study(write_study(home, BLOCK), home).trainings[0])
    assert row["error"] == "RuntimeError: no luck"
    assert row["test_exact"] == ""


def test_a_study_runs_what_it_lacks_and_nothing_else(home: Path) -> None:
    path = write_study(home, BLOCK | {"seed": 0})
    study = load_study(path, home)
    save_rows(study, to_frame([make_row(study.trainings[0], {"train_exact": 1.0, "test_exact": 0.5})]))
    assert engine.run_study(home, study, workers=1, scheduler=None) == 0
    first = load_rows(study.results)

    # one that works, and one that cannot: no machine has the memory
    settings = {"models.deconv_painter.width": 10**18}
    failing = {"variant": "failing", "model": "deconv_painter", "split": "uniform", "seed": 0, "settings": settings}
    write_study(home, BLOCK, failing)
    done = run_command(home, "study", str(path), "--workers", "1")
    assert done.returncode == 1
    assert "tried 2/3" in done.stderr
    assert "results.csv: 1 of 3 experiments failed" in done.stderr
    rows = load_rows(study.results)
    assert rows[: len(first)].equals(first)
    assert [*rows["variant"]] == ["tiny", "tiny", "failing"]
    assert [*(rows["error"] != "")] == [False, False, True]
    assert study.summary.exists()

    parents, children = study_runs(home)
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert sorted(run.info.status for run in children) == ["FAILED", "FINISHED", "FINISHED"]
    assert sorted(run.data.params["seed"] for run in children) == ["0", "0", "1"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    about = parents[0].data.tags["mlflow.note.content"]
    assert about
    ended = [run.data.tags["mlflow.note.content"] for run in children if run.info.status == "FINISHED"]
    assert all(note.endswith(f"tried: {about}") for note in ended)
    experiment = MlflowClient(store_uri(home)).get_experiment(parents[0].info.experiment_id)
    assert experiment.tags["mlflow.note.content"].startswith("Many experiments")


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_rows_that_mlflow_does_not_know_are_logged_without_training(home: Path, seeds: list[int]) -> None:
    study = load_study(write_study(home, BLOCK | {"seed": seeds}), home)
    save_rows(study, to_frame(make_row(each, {"test_exact": 0.25, "train_exact": 1.0}) for each in study.trainings))
    for _ in range(2):  # the second time there is nothing to log
        assert engine.run_study(home, study, workers=1, scheduler=None) == 0
        _, children = study_runs(home)
        assert [run.data.metrics["test_exact"] for run in children] == [0.25] * len(seeds)


def test_an_experiment_that_works_at_last_is_logged_beside_its_failure(home: Path) -> None:
    study = load_study(write_study(home, BLOCK | {"seed": 0}), home)
    (asked,) = study.trainings
    for row in [
        make_row(asked, {}, error="Boom"),
        make_row(asked, {"train_exact": 1.0, "test_exact": 0.5}),
        make_row(asked, {}, "Boom"),
    ]:
        for _ in range(2):
            with log.open_log(home, study.name, study.about, "study", ()) as opened:
                log.log_rows(opened, [row])
    _, children = study_runs(home)
    assert sorted(run.info.status for run in children) == ["FAILED", "FINISHED"]


def test_a_store_that_does_not_answer_stops_no_study(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    study = load_study(write_study(home, BLOCK), home)
    save_rows(study, to_frame(make_row(each, {"train_exact": 1.0, "test_exact": 0.5}) for each in study.trainings))
    assert engine.run_study(home, study, workers=1, scheduler=None) == 0
    assert capsys.readouterr().err.count("the same command, run again later, logs what MLflow lacks") == 1
    assert study.summary.exists()


def start_toy(home: Path, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a study of toys, as a shell does, and wait until it has a row."""
    (home / "scratch").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.studies.toy", "--root", str(home), "study", str(path), *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(home / "scratch"), "PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    results = path.with_name("results.csv")
    assert wait_until(lambda: process.poll() is not None or (results.exists() and len(load_rows(results))), 240)
    return process


def strange_lines(stderr: str) -> list[str]:
    """What is neither the line of a row nor the last word; click ends the line that Ctrl-C was echoed to."""
    return [line for line in stderr.splitlines() if line and not line.startswith(("tried ", "notsoclevr: "))]


def family_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a study has started, which answer to nobody on another machine."""
    family = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() != "git"]
    for member in [psutil.Process(process.pid), *family]:
        heard = [each.laddr for each in member.net_connections() if each.status == psutil.CONN_LISTEN]
        assert {each.ip for each in heard} <= {"127.0.0.1"}
        assert 8787 not in {each.port for each in heard}
    return family


def wait_for_end(family: list[psutil.Process]) -> None:
    assert wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in family), 60)


@pytest.mark.parametrize(
    ("how", "whom", "status"),
    [
        (signal.SIGINT, os.killpg, 130),  # Ctrl-C: the terminal tells the workers too
        (signal.SIGTERM, os.kill, 143),
    ],
)
def test_a_study_that_is_stopped_leaves_its_rows_and_nothing_else(
    home: Path, how: signal.Signals, whom: Callable[[int, int], None], status: int
) -> None:
    path = write_study(home, BLOCK | {"seed": list(range(400))})
    process = start_toy(home, path, "--workers", "2")
    family = family_of(process)
    assert len(family) >= 2
    whom(process.pid, how)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == status
    assert stderr.count("notsoclevr: stopped") == (how == signal.SIGINT)
    wait_for_end(family)
    assert 1 <= len(load_rows(path.with_name("results.csv"))) < 400
    assert strange_lines(stderr) == []
    assert list((home / "scratch").iterdir()) == []
    parents, children = study_runs(home)
    assert [run.info.status for run in parents] == ["KILLED"]
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}


def test_a_study_that_was_killed_goes_on(home: Path) -> None:
    path = write_study(home, BLOCK | {"seed": list(range(400))})
    process = start_toy(home, path, "--workers", "1")
    family = family_of(process)
    process.kill()
    assert "Traceback" not in process.communicate()[1]
    wait_for_end(family)
    kept = load_rows(path.with_name("results.csv"))
    write_study(home, BLOCK | {"seed": list(range(len(kept) + 1))})
    process = start_toy(home, path, "--workers", "1")
    stderr = process.communicate(timeout=240)[1]
    assert process.returncode == 0, stderr
    assert len(stderr.splitlines()) == 1  # for the one that was missing
    after = load_rows(path.with_name("results.csv"))
    assert after.iloc[:-1].equals(kept)
    assert len(after) == len(kept) + 1
    _, children = study_runs(home)
    finished = [run.data.params["seed"] for run in children if run.info.status == "FINISHED"]
    assert sorted(finished, key=int) == [*after["seed"]]


def test_a_worker_that_is_killed_costs_no_row(home: Path) -> None:
    path = write_study(home, BLOCK | {"seed": list(range(20))})
    process = start_toy(home, path, "--workers", "2")
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "--multiprocessing-fork" in child.cmdline()
    ]
    assert len(workers) == 2
    workers[0].kill()
    stderr = process.communicate(timeout=240)[1]
    assert process.returncode == 0, stderr
    assert strange_lines(stderr) == []
    assert [*load_rows(path.with_name("results.csv"))["seed"]] == [str(seed) for seed in range(20)]
    _, children = study_runs(home)
    assert sorted(int(run.data.params["seed"]) for run in children) == list(range(20))


def test_an_experiment_that_kills_its_workers_is_a_row_and_the_rest_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "run_training", run_toy_training)
    study = load_study(write_study(home, BLOCK | {"seed": [0, DEADLY, 2, 3, 4]}), home)
    save_rows(study, to_frame([make_row(study.trainings[0], {}, error="Boom")]))  # it is run again
    assert engine.run_study(home, study, workers=2, scheduler=None) == 1
    rows = load_rows(study.results)
    errors = dict(zip(rows["seed"], rows["error"], strict=True))
    assert errors.pop(str(DEADLY)).startswith("its worker process died")
    assert errors == dict.fromkeys("0234", "")


def test_workers_that_do_not_come_back_end_the_study(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "run_training", run_toy_training)
    monkeypatch.setitem(clusters.SETTINGS, "distributed.scheduler.no-workers-timeout", "100 ms")  # a start takes longer
    study = load_study(write_study(home, BLOCK | {"seed": [0, DEADLY, 2]}), home)
    with pytest.raises(StudyError, match="the scheduler or all workers were lost") as error:
        engine.run_study(home, study, workers=1, scheduler=None)
    assert error.value.exit_status == 1
    assert not load_rows(study.results)["error"].any()


def test_logging_that_is_stopped_leaves_no_half_of_a_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(write_study(home, BLOCK | {"seed": [0, 1, 2]}), home)
    save_rows(study, to_frame(make_row(each, {"test_exact": 0.5, "train_exact": 1.0}) for each in study.trainings))
    log_batch, calls = MlflowClient.log_batch, iter(range(9))

    def interrupted(*arguments: Any, **more: Any) -> None:
        if next(calls) == 2:  # that of the study and one child were let through
            os.kill(os.getpid(), signal.SIGINT)
        log_batch(*arguments, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run_study(home, study, workers=1, scheduler=None)
    monkeypatch.undo()
    parents, _ = study_runs(home)
    assert [run.info.status for run in parents] == ["KILLED"]
    assert engine.run_study(home, study, workers=1, scheduler=None) == 0
    _, children = study_runs(home)
    assert [run.data.params["seed"] for run in children if run.info.status == "FINISHED"] == ["2", "1", "0"]


def test_two_drivers_do_not_run_one_study(home: Path) -> None:
    path = write_study(home, BLOCK)
    with (
        FileLock(path.with_name(".study.lock")),
        pytest.raises(StudyError, match="another process is running this study") as error,
    ):
        engine.run_study(home, load_study(path, home), workers=1, scheduler=None)
    assert error.value.exit_status == 1


def test_what_has_ended_is_not_lost_when_the_user_stops() -> None:
    """It ended while the driver was busy with the row before it."""

    class Ended:
        def add_done_callback(self, callback: Callable[[Any], object]) -> None:
            callback(self)

    def stop() -> None:
        raise KeyboardInterrupt

    pending = clusters.Pending(stop)
    futures: list[Any] = [Ended(), Ended()]
    for future in futures:
        pending.add(future)
    found = []
    with pytest.raises(KeyboardInterrupt):
        for future in pending:
            found.append(future)
    assert found == futures


Cluster = tuple[str, list[subprocess.Popen[bytes]], subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The address of a scheduler, two workers on loopback, and the scheduler, each a process that a test may kill."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": tmp_path_factory.mktemp("cluster"),
    }
    quiet["env"] = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}"}
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet
    )
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    assert wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 240)
    yield address, workers, scheduler
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def test_a_cluster_loses_a_worker_and_no_row(home: Path, cluster: Cluster) -> None:
    address, workers, _ = cluster
    path = write_study(home, BLOCK | {"seed": list(range(30))})
    process = start_toy(home, path, "--scheduler", address)
    workers[0].kill()
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 0, stderr
    rows = load_rows(path.with_name("results.csv"))  # each exactly once: a second row would be refused
    assert [*rows["seed"]] == [str(seed) for seed in range(30)]
    assert not rows["error"].any()
    _, children = study_runs(home)
    assert sorted(int(run.data.params["seed"]) for run in children) == list(range(30))


def test_a_cluster_that_loses_its_scheduler_makes_no_row_of_it(home: Path, cluster: Cluster) -> None:
    address, _, scheduler = cluster
    path = write_study(home, BLOCK | {"seed": list(range(400))})
    process = start_toy(home, path, "--scheduler", address)
    scheduler.kill()
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    rows = load_rows(path.with_name("results.csv"))
    assert f"the scheduler or all workers were lost; {len(rows)} of 400 rows are kept" in stderr
    assert strange_lines(stderr) == []
    assert not rows["error"].any()


def test_a_scheduler_that_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_TIMEOUT", 1)
    study = load_study(write_study(home, BLOCK), home)
    with (
        pytest.raises(StudyError, match=r"--scheduler tls://127.0.0.1:9: no scheduler answers: TypeError"),
        clusters.remote_cluster("tls://127.0.0.1:9"),  # without the certificates that it takes
    ):
        pass
    with pytest.raises(StudyError, match=r"--scheduler tcp://127.0.0.1:9: no scheduler answers") as error:
        engine.run_study(home, study, workers=1, scheduler="tcp://127.0.0.1:9")
    assert error.value.exit_status == 1
    assert not study.results.exists()
    assert not (home / "mlflow.db").exists()
