from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from notsoclevr import tracking
from notsoclevr.dataset import Dataset

from ..conftest import Run, make_project, run_command, store_uri
from ..soak.kills import free_port

TRAIN = ("train", "--split", "quadrant", "--model")
CELLS = ("deconv_painter", "coordconv_regressor")


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
    contexts = {tag.value for dataset in run.inputs.dataset_inputs for tag in dataset.tags}
    assert contexts == {"training", "testing"}

    client = MlflowClient(uri)
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


def test_the_logged_model_answers_as_the_predictions_say(trained: Path) -> None:
    import mlflow

    uri = store_uri(trained)
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    version = client.get_model_version_by_alias("not-so-clevr-regression", "best")
    (run,) = runs(uri, "regression")
    assert version.run_id == run.info.run_id
    model = mlflow.pyfunc.load_model("models:/not-so-clevr-regression@best")
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[0, 20, 30] = 1
    answer = model.predict(image)
    with np.load(trained / "results" / "coordconv_regressor-quadrant" / "predictions.npz") as file:
        np.testing.assert_allclose(answer, file["predictions"][[(20 - 4) * 56 + 30 - 4]], rtol=1e-4, atol=1e-3)

    painter = mlflow.pyfunc.load_model("models:/not-so-clevr-rendering@best")
    painted = painter.predict(np.array([[20.0, 30.0]], np.float32))[..., 0]  # probabilities, not logits
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
    assert "0 of 2" in again.stdout
    assert len(runs(uri)) == 3
    assert versions(uri) == {"not-so-clevr-regression": ["1"], "not-so-clevr-rendering": ["1"]}
    before = {run.info.run_name: run.data for run in runs(uri)}

    for path in (trained / "mlflow.db", *trained.glob("results/*/run.json")):
        path.unlink()
    shutil.rmtree(trained / "mlartifacts")
    rebuilt = run_command(trained, "track")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "2 of 2" in rebuilt.stdout
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


def test_track_names_the_cell_that_is_incomplete_and_logs_the_rest(trained: Path) -> None:
    """The report of both is logged whole; the link and the metric that are missing come with the cell."""
    uri, network = f"sqlite:///{trained}/third.db", trained / "results" / "deconv_painter-quadrant" / "predictions.npz"
    network.rename(trained / "elsewhere.npz")
    try:
        partly = run_command(trained, "track", MLFLOW_TRACKING_URI=uri)
    finally:
        (trained / "elsewhere.npz").rename(network)
    assert partly.returncode == 0, partly.stderr
    assert "1 of 1" in partly.stdout
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


def test_processes_at_once_lose_nothing(project: Path, command: Run) -> None:
    """The store does not exist yet: all of them find it missing together."""
    with ThreadPoolExecutor() as pool:
        models = ("coordconv_regressor", "pooled_regressor", "strided_regressor")
        finished = list(pool.map(lambda model: command(*TRAIN, model), models))
    assert [one.returncode for one in finished] == [0] * len(models), [one.stderr for one in finished]
    found = runs(store_uri(project))
    assert sorted(run.data.params["model"] for run in found) == sorted(models)
    assert {run.info.status for run in found} == {"FINISHED"}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real `mlflow server` with a store and artifacts of its own."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    process = subprocess.Popen(
        f"{sys.executable} -m mlflow server --host 127.0.0.1 --port {port} --workers 1 "
        f"--backend-store-uri sqlite:///{folder}/store.db --artifacts-destination {folder}/artifacts".split(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            with urlopen(f"{address}/health"):
                break
        except (URLError, OSError):
            time.sleep(0.5)
    yield address
    os.killpg(process.pid, 15)
    process.wait()


def test_a_real_server_gets_runs_artifacts_and_models(project: Path, command: Run, server: str) -> None:
    finished = command(*TRAIN, "coordconv_regressor", MLFLOW_TRACKING_URI=server)
    assert finished.returncode == 0, finished.stderr
    assert not (project / "mlflow.db").exists()
    (run,) = runs(server, "regression")
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    names = {file.path for file in MlflowClient(server).list_artifacts(run.info.run_id, "figures")}
    assert "figures/map.png" in names
    evaluated = command("evaluate", MLFLOW_TRACKING_URI=server)
    assert evaluated.returncode == 0, evaluated.stderr
    version = MlflowClient(server).get_model_version_by_alias("not-so-clevr-regression", "best")
    assert version.run_id == run.info.run_id
    tracked = command("track", MLFLOW_TRACKING_URI=server)
    assert tracked.returncode == 0, tracked.stderr
    assert versions(server) == {"not-so-clevr-regression": ["1"]}


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


def test_a_constraint_is_what_the_store_said(project: Path) -> None:
    with pytest.raises(tracking.StoreError) as raised, tracking.connect(project) as store:
        for _ in range(2):
            store._client.create_experiment("not-so-clevr-rendering")
    assert "refuses: " in str(raised.value)
    assert "already exists" in str(raised.value) or "UNIQUE constraint failed" in str(raised.value)
    assert "does not answer" not in str(raised.value)


def test_with_the_server_down_the_results_are_kept_and_logged_later(project: Path, command: Run) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    finished = command(*TRAIN, "coordconv_regressor", MLFLOW_TRACKING_URI=nobody)
    assert finished.returncode == 1
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
