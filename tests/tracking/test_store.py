from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote
from urllib.request import Request, urlopen

import mlflow
import numpy as np
import pytest
import uvicorn
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.pyfunc import scoring_server

import coordconv
from notsoclevr import progress, stages, tracking
from notsoclevr.cells import files, training
from notsoclevr.config import load
from notsoclevr.dataset import Dataset, load_split, split_path
from notsoclevr.tracking import store as store_module

from .. import preloaded
from ..conftest import Run, make_project, run_command, store_uri
from ..soak.kills import free_port, healthy
from ..soak.processes import wait_until

TRAIN = ("train", "--split", "quadrant", "--model")
CELLS = ("deconv_painter", "coordconv_regressor")


@pytest.fixture(autouse=True)
def _own_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo that MLflow puts the code that comes with a model in the place of ours."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "coordconv"}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "coordconv"]:
        del sys.modules[name]
    sys.modules.update(ours)


def runs(uri: str, *tasks: str) -> list[MlflowRun]:
    client = MlflowClient(uri)
    wanted = [f"not-so-clevr-{task}" for task in tasks]
    known = [e.experiment_id for e in client.search_experiments() if not wanted or e.name in wanted]
    return list(client.search_runs(known))


def versions(uri: str) -> dict[str, list[str]]:
    """Return the versions of each registered model."""
    client = MlflowClient(uri)
    return {
        model.name: [str(version.version) for version in client.search_model_versions(f"name = '{model.name}'")]
        for model in client.search_registered_models()
    }


@pytest.fixture(scope="module")
def trained(full: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cells of a shrunken project, trained and compared in processes of their own."""
    project = make_project(tmp_path_factory.mktemp("trained"), full)
    for model in CELLS:
        finished = run_command(project, *TRAIN, model)
        assert finished.returncode == 0, finished.stderr
    finished = run_command(project, "evaluate", cwd=project / "data")  # anywhere in the project will do
    assert finished.returncode == 0, finished.stderr
    return project


def test_a_run_of_another_experiment_is_found(tmp_path: Path) -> None:
    """`mlflow run . --experiment-name mine` makes it there."""
    with tracking.connect(tmp_path):
        client = MlflowClient(store_uri(tmp_path))
        run_id = client.create_run(client.create_experiment("mine")).info.run_id
    client.set_tag(run_id, store_module.DIGEST, "abc")
    client.set_terminated(run_id)
    opened = store_module.Store(tmp_path.resolve(), store_uri(tmp_path))
    assert opened.find("regression", "abc") == run_id
    assert opened.find("regression", "abd") is None


def test_a_run_holds_the_whole_cell(trained: Path) -> None:
    uri = store_uri(trained)
    (run,) = runs(uri, "rendering")
    cell = trained / "results" / "deconv_painter-quadrant"
    metrics = json.loads((cell / "metrics.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "deconv_painter-quadrant"
    assert json.loads((cell / "run.json").read_text())["run_id"] == run.info.run_id
    decides = {"model": "deconv_painter", "split": "quadrant", "seed": 0} | metrics["recipe"]
    decides |= {f"split_{name}": value for name, value in metrics["split_arguments"].items()}
    assert run.data.params == {name: str(value) for name, value in decides.items()}
    assert run.data.metrics["test_iou"] == pytest.approx(metrics["test_iou"])
    assert run.data.tags["task"] == "rendering"
    assert {"model", "split", "seed"} <= set(run.data.tags)
    assert run.data.tags["mlflow.note.content"].startswith("deconv painter, quadrant split.")
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(run.data.tags)
    contexts = {tag.value for dataset in run.inputs.dataset_inputs for tag in dataset.tags}
    assert contexts == {"training", "testing"}

    client = MlflowClient(uri)
    for experiment in client.search_experiments(filter_string="name LIKE 'not-so-clevr-%'"):
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
        assert experiment.tags["mlflow.note.content"]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"figures", "images", "metrics.json", "history.csv", "predictions.npz"} <= names
    images = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
    assert {"figures/curves.png", "figures/map.png", "figures/showcase.png"} <= images
    steps = [file.path for file in client.list_artifacts(run.info.run_id, "images") if file.path.endswith("png")]
    assert len(steps) == 2  # before the training, and after its one epoch

    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    folder = Path(model.artifact_location.removeprefix("file://"))
    assert "signature" in (folder / "MLmodel").read_text()
    assert "keras==" in (folder / "requirements.txt").read_text()
    assert (folder / "code" / "coordconv").is_dir()


def test_metrics_are_those_of_the_network_on_its_data_sets(trained: Path) -> None:
    """The last of them, which the network that is kept was measured by; those before it were of others."""
    uri = store_uri(trained)
    (run,) = runs(uri, "rendering")
    model = MlflowClient(uri).get_logged_model(run.outputs.model_outputs[0].model_id)
    assert model.name == "deconv_painter-quadrant"
    assert model.tags["mlflow.note.content"].endswith("It answers with the probability of each pixel to be lit.")
    versions = json.loads(model.tags["mlflow.modelVersions"])
    assert [each["name"] for each in versions] == ["not-so-clevr-rendering"]
    digests = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    found = {each.key: (each.value, each.dataset_name, each.dataset_digest) for each in model.metrics}
    for name, value in run.data.metrics.items():
        part = name.partition("_")[0]
        data = f"quadrant-{part}" if part in ("train", "test") and name != "train_seconds" else None
        assert found[name] == (value, data, digests[data] if data else None)
    assert len(model.metrics) == len(run.data.metrics)


def served(model: str, inputs: np.ndarray) -> np.ndarray:
    """Return what the program that `mlflow models serve` runs answers to a request."""
    server = uvicorn.Server(
        uvicorn.Config(scoring_server.init(mlflow.pyfunc.load_model(model)), port=free_port(), log_level="error")
    )
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    assert wait_until(lambda: server.started, 60)
    body = json.dumps({"inputs": inputs.tolist()}).encode()
    address = f"http://127.0.0.1:{server.config.port}/invocations"
    with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=60) as answer:
        predictions = np.array(json.load(answer)["predictions"])
    server.should_exit = True
    thread.join()
    return predictions


def test_the_logged_model_answers_as_the_predictions_say(trained: Path) -> None:
    uri = store_uri(trained)
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    version = client.get_model_version_by_alias("not-so-clevr-regression", "best")
    (run,) = runs(uri, "regression")
    assert version.run_id == run.info.run_id
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[0, 20, 30] = 1
    answer = served("models:/not-so-clevr-regression@best", image)
    with np.load(trained / "results" / "coordconv_regressor-quadrant" / "predictions.npz") as file:
        np.testing.assert_allclose(answer, file["predictions"][[(20 - 4) * 56 + 30 - 4]], rtol=1e-4, atol=1e-3)

    painted = served("models:/not-so-clevr-rendering@best", np.array([[20.0, 30.0]]))[..., 0]  # shares, not logits
    with np.load(trained / "results" / "deconv_painter-quadrant" / "predictions.npz") as file:
        np.testing.assert_allclose(painted, file["predictions"][[(20 - 4) * 56 + 30 - 4]], rtol=1e-2, atol=1e-3)


def test_evaluation_is_a_run(trained: Path) -> None:
    uri = store_uri(trained)
    (run,) = runs(uri, "comparison")
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) == {f"{model}-quadrant.test_exact" for model in CELLS}
    names = {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id)}
    assert {"comparison.csv", "comparison.md", "history.csv", "figures", "index.html"} <= names


def test_track_rebuilds_what_is_missing_and_nothing_else(trained: Path) -> None:
    uri = store_uri(trained)
    again = run_command(trained, "track")
    assert again.returncode == 0, again.stderr
    assert "now has: none\n" in again.stdout
    assert len(runs(uri)) == 3
    assert versions(uri) == {"not-so-clevr-regression": ["1"], "not-so-clevr-rendering": ["1"]}
    before = {run.info.run_name: run.data for run in runs(uri)}

    for path in (trained / "mlflow.db", *trained.glob("results/*/run.json")):
        path.unlink()
    shutil.rmtree(trained / "mlartifacts")
    rebuilt = run_command(trained, "track")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "now has: coordconv_regressor-quadrant, deconv_painter-quadrant\n" in rebuilt.stdout
    after = {run.info.run_name: run.data for run in runs(store_uri(trained))}
    assert after.keys() == before.keys()
    for name, data in before.items():
        assert after[name].metrics == data.metrics
        assert after[name].params == data.params


def test_track_of_a_folder_logs_that_cell_and_nothing_else(trained: Path) -> None:
    """Neither a comparison nor the registry: they belong to all of results/, and get it whatever was logged before."""
    uri, cell = f"sqlite:///{trained}/another.db", "results/deconv_painter-quadrant"
    one = run_command(trained, "track", cell, MLFLOW_TRACKING_URI=uri)
    assert one.returncode == 0, one.stderr
    assert [run.info.run_name for run in runs(uri)] == ["deconv_painter-quadrant"]
    assert versions(uri) == {}

    all_of_them = run_command(trained, "track", MLFLOW_TRACKING_URI=uri)
    assert all_of_them.returncode == 0, all_of_them.stderr
    (comparison,) = runs(uri, "comparison")
    assert set(comparison.data.metrics) == {f"{model}-quadrant.test_exact" for model in CELLS}
    assert comparison.data.tags["mlflow.note.content"].count("/runs/") == 2
    assert versions(uri).keys() == {"not-so-clevr-regression", "not-so-clevr-rendering"}


def test_track_logs_a_cell_whose_folder_cannot_be_written_to(trained: Path) -> None:
    uri, note = f"sqlite:///{trained}/fourth.db", trained / "results" / "deconv_painter-quadrant" / "run.json"
    note.rename(trained / "run.json")
    note.mkdir()  # nothing can be written in its place, whoever runs the tests
    try:
        done = run_command(trained, "track", MLFLOW_TRACKING_URI=uri)
    finally:
        note.rmdir()
        (trained / "run.json").rename(note)
    assert done.returncode == 0, done.stderr
    statuses = {run.info.run_name: run.info.status for run in runs(uri)}
    assert statuses == dict.fromkeys(["comparison", *(f"{model}-quadrant" for model in CELLS)], "FINISHED")


def test_track_names_the_cell_that_is_incomplete_and_logs_the_rest(trained: Path) -> None:
    """The report of both is logged whole; the link and the metric that are missing come with the cell."""
    uri, network = f"sqlite:///{trained}/third.db", trained / "results" / "deconv_painter-quadrant" / "predictions.npz"
    network.rename(trained / "elsewhere.npz")
    try:
        partly = run_command(trained, "track", MLFLOW_TRACKING_URI=uri)
    finally:
        (trained / "elsewhere.npz").rename(network)
    assert partly.returncode == 0, partly.stderr
    assert "now has: coordconv_regressor-quadrant\n" in partly.stdout
    (line,) = [line for line in partly.stderr.splitlines() if "deconv_painter-quadrant" in line]
    assert "predictions.npz: no such file" in line
    assert sorted(str(run.info.run_name) for run in runs(uri)) == ["comparison", "coordconv_regressor-quadrant"]
    (comparison,) = runs(uri, "comparison")
    assert comparison.data.metrics.keys() == {"coordconv_regressor-quadrant.test_exact"}
    assert comparison.data.tags["mlflow.note.content"].count("/runs/") == 1

    assert run_command(trained, "track", MLFLOW_TRACKING_URI=uri).returncode == 0
    (comparison,) = runs(uri, "comparison")
    assert comparison.data.metrics.keys() == {f"{model}-quadrant.test_exact" for model in CELLS}
    assert comparison.data.tags["mlflow.note.content"].count("/runs/") == 2


def log_a_run(root: Path, name: str) -> None:
    """Open the store at a root, and log a run to it."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tracking.connect(root) as store:
        run_id = store.open_run(tracking.Run(experiment="regression", name=name))
        exact = tracking.Point("test_exact", 0.5, step=1)
        store.finish(run_id, tracking.Outcome(metrics=[exact], files=[(root / "note.txt", "")]))


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """The store does not exist yet: all of them find it missing together."""
    (tmp_path / "note.txt").write_text("said")
    names = ["a", "b", "c", "d"]
    with ProcessPoolExecutor(len(names), preloaded.CONTEXT) as pool:
        assert [*pool.map(partial(log_a_run, tmp_path), names)] == [None] * len(names)
    found = runs(store_uri(tmp_path))
    assert sorted(str(run.info.run_name) for run in found) == names
    assert [run.data.metrics for run in found] == [{"test_exact": 0.5}] * len(names)
    assert {run.info.status for run in found} == {"FINISHED"}


@dataclass(frozen=True)
class Server:
    """A real `mlflow server` with a store and artifacts of its own."""

    address: str
    store: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lives until a test kills it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    process = subprocess.Popen(
        f"{sys.executable} -m mlflow server --host 127.0.0.1 --port {port} --workers 1 "
        f"--backend-store-uri sqlite:///{folder}/store.db --artifacts-destination {folder}/artifacts".split(),
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # a process each, for what is not used here
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert wait_until(lambda: healthy(port), 120)
    server = Server(f"http://127.0.0.1:{port}", f"sqlite:///{folder}/store.db", process)
    yield server
    if process.poll() is None:
        server.kill()


def test_a_real_server_gets_runs_artifacts_and_models(project: Path, command: Run, server: Server) -> None:
    address = server.address
    finished = command(*TRAIN, "coordconv_regressor", MLFLOW_TRACKING_URI=address)
    assert finished.returncode == 0, finished.stderr
    assert not (project / "mlflow.db").exists()
    (run,) = runs(address, "regression")
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    names = {file.path for file in MlflowClient(address).list_artifacts(run.info.run_id, "figures")}
    assert "figures/map.png" in names
    evaluated = command("evaluate", MLFLOW_TRACKING_URI=address)
    assert evaluated.returncode == 0, evaluated.stderr
    version = MlflowClient(address).get_model_version_by_alias("not-so-clevr-regression", "best")
    assert version.run_id == run.info.run_id
    tracked = command("track", MLFLOW_TRACKING_URI=address)
    assert tracked.returncode == 0, tracked.stderr
    assert versions(address) == {"not-so-clevr-regression": ["1"]}


def curve(uri: str, run_id: str, name: str = "test_exact") -> list[tuple[int, float]]:
    """Return what a store has of a metric, by step."""
    return [(each.step, each.value) for each in MlflowClient(uri).get_metric_history(run_id, name)]


def test_a_run_whose_server_was_killed_in_mid_training_is_completed(
    project: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each epoch is in the store before the next begins; what the store then misses, `track` brings it, once."""
    shown = []

    class Watched(progress.Progress):
        def epoch(self, row: dict[str, float]) -> None:
            super().epoch(row)
            if row["epoch"] <= 2:
                (run,) = runs(server.address, "rendering")
                expected = [(epoch, pytest.approx(0, abs=1)) for epoch in range(1, int(row["epoch"]) + 1)]
                assert wait_until(lambda: curve(server.address, run.info.run_id) == expected, 60)
                shown.append(run.info.status)
            if row["epoch"] == 2:
                server.kill()

    # artifacts in a folder, so that the store can be asked and completed without its server
    client = MlflowClient(server.address)
    client.create_experiment("not-so-clevr-rendering", f"file://{project}/artifacts")
    monkeypatch.setattr(training, "Progress", Watched)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    experiment = load(project / "params.yaml", {"models.deconv_painter.epochs": 3}).experiment(
        "deconv_painter", "quadrant"
    )
    split, folder = load_split(split_path(project, "quadrant")), project / "results" / experiment.name
    training.train_cell(project, experiment, split, folder, started=perf_counter())
    assert re.search(r"does not answer: .*; the results are kept", capsys.readouterr().err.splitlines()[-1])
    assert shown == ["RUNNING", "RUNNING"]

    (left,) = runs(server.store, "rendering")
    assert left.info.status == "RUNNING"
    cell = files.load(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.store)
    network, client = folder / "model.keras", MlflowClient(server.store)
    with tracking.connect(project) as store:
        whole = network.read_bytes()
        for damage, says in ((whole[:1000], "missing or damaged"), (whole.replace(b"config", b"c0nfig"), "cannot be")):
            network.write_bytes(damage)
            assert training.log_missing(store, [cell]) == []
            line = capsys.readouterr().err
            assert line.startswith(f"notsoclevr: {experiment.name} is not logged: {network}: {says}")
        network.write_bytes(whole)
        client.update_run(left.info.run_id, "RUNNING")
        client.set_tag(left.info.run_id, "process.id", str(os.getppid()))
        assert training.log_missing(store, [cell]) == []
        assert f"process {os.getppid()} is still logging its run {left.info.run_id}" in capsys.readouterr().err
        client.set_tag(left.info.run_id, "process.id", str(os.getpid()))
    with (
        monkeypatch.context() as full,
        pytest.raises(tracking.StoreError, match="disk"),
        tracking.connect(project) as store,
    ):
        full.setattr(MlflowClient, "log_model_artifacts", Mock(side_effect=OSError("disk")))
        training.log_missing(store, [cell])
    with tracking.connect(project) as store:
        assert training.log_missing(store, [cell]) == [experiment.name]
        assert training.log_missing(store, [cell]) == []

    (run,) = runs(server.store, "rendering")
    assert run.info.run_id == left.info.run_id
    assert run.info.status == "FINISHED"
    lasted = json.loads((folder / "timings.json").read_text())["total_seconds"]
    assert run.info.end_time == run.info.start_time + round(1000 * lasted)
    for name in ("train_loss", "test_exact"):
        assert curve(server.store, run.info.run_id, name) == [(row["epoch"], row[name]) for row in cell.history]
    client = MlflowClient(server.store)
    images = [file.path for file in client.list_artifacts(run.info.run_id, "images") if file.path.endswith("png")]
    assert len(images) == 4
    (output,) = run.outputs.model_outputs
    assert client.get_logged_model(output.model_id).status == "READY"
    assert client.get_experiment(run.info.experiment_id).tags["mlflow.note.content"].startswith("Not-so-Clevr")

    client.delete_run(run.info.run_id)  # as somebody may in the MLflow UI
    with tracking.connect(project) as store:
        assert training.log_missing(store, [cell]) == [experiment.name]


def test_a_classifier_that_is_logged_twice_is_there_once_and_answers_with_probabilities(
    project: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.store)
    experiment = load(project / "params.yaml").experiment("coordconv_classifier", "quadrant")
    network = experiment.entry.build(experiment.recipe)
    network.save(project / "model.keras")
    logged = tracking.Network(
        name="any",
        description="",
        path=project / "model.keras",
        activation=str(experiment.task.activation),
        code=Path(coordconv.__file__).parent,
    )
    with tracking.connect(project) as store:
        run_id, better = (store.open_run(tracking.Run(experiment="classification", name="any")) for _ in range(2))
        exact = tracking.Point("test_exact", 0.5, step=1, seconds=0.1, of_network=True)
        for each in (run_id, run_id, better):
            store.finish(each, tracking.Outcome(metrics=[exact], network=logged))
        for number, best in (("1", run_id), ("1", run_id), ("2", better), ("1", run_id)):
            store.register("classification", best, "The best.")
            found = MlflowClient(server.store).get_model_version_by_alias("not-so-clevr-classification", "best")
            assert (str(found.version), found.run_id) == (number, best)
    assert versions(server.store)["not-so-clevr-classification"] == ["2", "1"]
    client = MlflowClient(server.store)
    (output,) = client.get_run(run_id).outputs.model_outputs
    assert curve(server.store, run_id) == [(1, 0.5)]
    assert len(client.get_logged_model(output.model_id).metrics) == 1
    position = np.array([[20, 30]], np.float32)
    answer = mlflow.pyfunc.load_model(f"models:/{output.model_id}").predict(position)
    np.testing.assert_allclose(answer, experiment.task.predictions(network(position).numpy()).reshape(1, -1), rtol=1e-3)
    assert answer.sum() == pytest.approx(1)


def test_who_adds_to_a_feed_does_not_wait_and_a_store_that_fails_is_left_alone() -> None:
    asked = Event()

    def fail(*_: Any, **__: Any) -> None:
        assert asked.wait(60)
        raise ConnectionError

    client = Mock()
    client.get_run.return_value.info.start_time = 0
    client.log_batch.side_effect = fail
    feed = tracking.Feed(client, "run")
    for step in range(3):  # a store that has not answered yet
        feed.add([tracking.Point("test_exact", 0.5, step)])
    asked.set()
    feed.close()
    assert client.log_batch.call_count == 1


def test_the_store_is_in_the_repository_whatever_its_name(tmp_path: Path) -> None:
    """Characters that mean something in a URI, and one that looks like an escape."""
    root = tmp_path / "a?b 100%#c%3Fd"
    root.mkdir()
    (root / "note.txt").write_text("said")
    with tracking.connect(root) as store:
        run_id = store.open_run(tracking.Run(experiment="rendering", name="one"))
        store.finish(run_id, tracking.Outcome(files=[(root / "note.txt", "")]))
    client = MlflowClient(f"sqlite+pysqlite:///{quote(str(root / 'mlflow.db'))}")
    assert [file.path for file in client.list_artifacts(run_id)] == ["note.txt"]
    assert [path.name for path in tmp_path.iterdir()] == [root.name]
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in root.iterdir()}


def test_what_mlflow_run_logs_stays_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its experiment is the one that MLflow makes with the store, wherever that is done."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    with tracking.connect(tmp_path):
        pass
    default = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_experiment("0")
    assert default.artifact_location == str(tmp_path / "mlruns" / "0")


def test_a_checkout_that_cannot_be_written_to_logs_elsewhere(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('elsewhere') / 'own.db'}")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != project and real(path, mode))
    with tracking.connect(project) as store:
        store.finish(store.open_run(tracking.Run(experiment="rendering", name="one")), tracking.Outcome())
    assert not (project / ".mlflow.lock").exists()


def test_a_relative_store_is_taken_from_the_repository_and_keeps_its_options() -> None:
    relative = "sqlite:///own.db?timeout=5"
    assert store_module._absolute(Path("/clone"), relative) == "sqlite:////clone/own.db?timeout=5"
    assert store_module._absolute(Path("/100%"), relative) == "sqlite+pysqlite:////100%25/own.db?timeout=5"
    assert store_module._absolute(Path("/clone"), "sqlite:////own.db") == "sqlite:////own.db"


KILLED_MIDWAY = """
import os, signal, sys
from pathlib import Path
import sqlalchemy
from notsoclevr import tracking

@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "CREATE TABLE scorers" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

with tracking.connect(Path(sys.argv[1])):
    pass
"""


def test_a_user_without_a_name_can_log(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with another user's number."""
    monkeypatch.setattr(store_module, "getuser", Mock(side_effect=KeyError("getpwuid(): uid not found: 12345")))
    with tracking.connect(project) as store:
        run_id = store.open_run(tracking.Run(experiment="rendering", about="", name="a run"))
    assert "mlflow.user" not in MlflowClient(store_uri(project)).get_run(run_id).data.tags


def test_an_error_of_who_uses_the_store_is_not_its_own(project: Path) -> None:
    with pytest.raises(PermissionError), tracking.connect(project):
        raise PermissionError(13, "Permission denied", "results/run.json")


def test_a_kill_while_the_store_is_made_leaves_none_that_is_broken(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run([sys.executable, "-c", KILLED_MIDWAY, str(tmp_path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    done = subprocess.run([sys.executable, "-c", KILLED_MIDWAY.replace("scorers", "-"), str(tmp_path)], env=environment)
    assert done.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.lock"}


@pytest.mark.parametrize(
    ("uri", "says", "remedy"),
    [
        ("file://{}/mlruns", "cannot be used: The filesystem tracking backend", "sqlite:///FILE"),
        ("sqlite:/one.db", "cannot be used: Could not parse", "sqlite:///FILE"),
        ("http://[", "cannot be used: Invalid IPv6 URL", "sqlite:///FILE"),
        ("nobody://here", "cannot be used: Model registry functionality is unavailable", "sqlite:///FILE"),
        ("postgresql+pg8000://me:secret@localhost/x", "cannot be used: No module named 'pg8000'", "sqlite:///FILE"),
        ("sqlite:///{}/params.yaml", "refuses: (sqlite3.DatabaseError) file is not a database;", "move it away"),
        ("http://127.0.0.1:9", "does not answer: [Errno", "start it"),
    ],
)
def test_the_message_tells_a_store_that_is_down_from_one_that_refuses(
    project: Path, monkeypatch: pytest.MonkeyPatch, uri: str, says: str, remedy: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(project))
    with pytest.raises(tracking.StoreError) as raised, tracking.connect(project):
        pass
    assert says in str(raised.value)
    assert remedy in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_deleted_experiment_is_named_with_the_way_back(project: Path) -> None:
    client = MlflowClient(store_uri(project))
    client.delete_experiment(number := client.create_experiment("not-so-clevr-rendering"))
    said = f"experiment not-so-clevr-rendering, number {number}, was deleted; `mlflow experiments restore"
    with pytest.raises(tracking.StoreError, match=said), tracking.connect(project) as store:
        store.open_run(tracking.Run(experiment="rendering", name="a run"))


def test_a_clone_that_was_moved_does_not_write_where_it_was(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    with tracking.connect(before) as store:
        store.open_run(tracking.Run(experiment="rendering", name="a run"))
    before.rename(after)
    os.environ.pop("MLFLOW_TRACKING_URI")  # a new process has none
    with (
        pytest.raises(tracking.StoreError, match=r"was moved.*before.*; move it back"),
        tracking.connect(after) as store,
    ):
        store.open_run(tracking.Run(experiment="rendering", name="a run"))
    assert not before.exists()


def test_a_store_without_a_whole_path_is_at_the_root_and_takes_any_name(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///own.db")
    monkeypatch.chdir(elsewhere := tmp_path_factory.mktemp("elsewhere"))
    run = tracking.Run(experiment="studies", name="o'brien", tags={"role": "the study's"})
    with tracking.connect(project) as store:
        assert store.resume_named(run) == store.resume_named(run)
    assert (project / "own.db").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_constraint_is_what_the_store_said(project: Path) -> None:
    with pytest.raises(tracking.StoreError) as raised, tracking.connect(project) as store:
        for _ in range(2):
            store._client.create_experiment("not-so-clevr-rendering")
    assert "refuses: " in str(raised.value)
    assert "already exists" in str(raised.value) or "UNIQUE constraint failed" in str(raised.value)
    assert "does not answer" not in str(raised.value)


def test_with_the_server_down_the_comparison_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its stage ends well: else DVC would count it as failed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(stages.report, "write", Mock())
    (project / "reports").mkdir()
    (project / "reports" / "comparison.md").write_text("a table", "utf-8")
    stages.evaluate(project, [], [])
    shown = capsys.readouterr()
    assert shown.out == "a table\n"
    assert re.fullmatch(r"notsoclevr: .*does not answer: .*; log it later with `notsoclevr track`\n", shown.err)


def test_with_the_server_down_the_results_are_kept_and_logged_later(project: Path, command: Run) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    once = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    finished = command(*TRAIN, "coordconv_regressor", MLFLOW_TRACKING_URI=nobody, **once)
    assert finished.returncode == 0, finished.stderr  # else DVC would have it trained again
    assert nobody in finished.stderr
    last = finished.stderr.splitlines()[-1]
    assert "results are kept" in last
    assert "notsoclevr track" in last
    assert "Traceback" not in finished.stderr
    assert (project / "results" / "coordconv_regressor-quadrant" / "metrics.json").exists()

    later = command("track")
    assert later.returncode == 0, later.stderr
    (run,) = runs(store_uri(project))
    assert run.info.status == "FINISHED"
