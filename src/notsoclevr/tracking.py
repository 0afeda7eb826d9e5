"""What MLflow remembers: the only module that imports mlflow.

A run is made from the files of a cell, by a training as soon as they are written and by `notsoclevr track` for cells
that have none. A training opens its run before it starts, so that one can see it under way, and closes it whatever
happens; a run whose process died without a word is closed by the next that comes.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import re
import socket
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from textwrap import shorten
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from notsoclevr.atomic import replacing
from notsoclevr.dataset import Split
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.results import Cell, write_json
from notsoclevr.studies import CONTENT, MEASURED, Study
from notsoclevr.training import Experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "not-so-clevr-{}"  # one a task, one for the comparison and one for the studies
ALIAS = "best"  # of the best version of each registered model
DIGEST = "results.digest"
PARENT = "mlflow.parentRunId"
NOTE, LINK = "mlflow.note.content", "#/experiments/"  # what MLflow shows above a run, and how a link there begins
PROCESS, HOST = "process.id", "process.host"
MODEL_KEPT = "logged_model"  # the name a network has among the outputs of its run


class UnreachableError(StudyError):
    """The tracking store does not answer, is none, or refuses what it is asked: the message says which."""

    def __init__(self, uri: str, error: Exception) -> None:
        from mlflow.store.db.db_types import DATABASE_ENGINES
        from sqlalchemy.exc import ArgumentError

        scheme = uri.partition(":")[0].partition("+")[0]
        reason: BaseException = error
        if lost := _lost_connection(error, scheme):
            reason = lost
            message = "does not answer: {}; start it, or unset MLFLOW_TRACKING_URI to use mlflow.db in the repository"
        elif scheme not in (*DATABASE_ENGINES, "http", "https") or isinstance(error, ArgumentError | ImportError):
            message = (
                "cannot be used: {}; MLFLOW_TRACKING_URI takes sqlite:///FILE or the address of an `mlflow server`"
            )
        else:
            message = "refuses: {}; if it does so again, move it away or name another in MLFLOW_TRACKING_URI"
        # SQLAlchemy adds the statement and a link
        said = str(reason).partition("[SQL:")[0].partition("(Background on")[0]
        said = shorten(said, 200, placeholder=" ...") or type(reason).__name__
        line = f"MLflow store {uri} {message.format(said)}"
        super().__init__(re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1:***@", line), exit_status=1)  # no passwords


def _lost_connection(error: BaseException, scheme: str) -> BaseException | None:
    """Return what began an error if that was a connection that was refused, lost or too slow, else None."""
    import requests
    from sqlalchemy.exc import OperationalError

    lost, cause = False, error
    while True:
        lost |= isinstance(cause, requests.ConnectionError | requests.Timeout)
        lost |= isinstance(cause, OperationalError) and scheme != "sqlite"  # of SQLite, it is the file that is at fault
        if (before := cause.__cause__ or cause.__context__) is None:
            return cause if lost else None
        cause = before


@contextmanager
def store(root: Path) -> Iterator[MlflowClient]:
    """Open the store: that of MLFLOW_TRACKING_URI if it is set, else the one embedded at the root of the repository.

    Args:
        root: The repository. Inside a stage that DVC runs in a temporary copy, DVC_ROOT names the real one.

    Yields:
        A client of the store; MLflow's own functions use the same store.

    Raises:
        UnreachableError: The store did not answer or refused, when it was opened or later.
    """
    # MLflow's patience with a server that is down is minutes long by default
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers of every run
    import mlflow
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    root = Path(os.environ.get("DVC_ROOT", root)).resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _embedded(root)
    mlflow.set_tracking_uri(uri)
    try:
        # processes that create one database at once break it
        with FileLock(root / ".mlflow.lock"):
            names = [EXPERIMENT.format(kind) for kind in _kinds()]
            try:
                client = mlflow.MlflowClient()
                known = {experiment.name for experiment in client.search_experiments()}
            except ModuleNotFoundError as error:  # the driver of another database
                raise UnreachableError(uri, error) from error
            artifacts = None if uri.startswith("http") else (root / "mlartifacts").as_uri()
            for name in names:
                if name not in known:
                    client.create_experiment(name, artifact_location=artifacts and f"{artifacts}/{name}")
            _close_abandoned(client, names)
        yield client
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        raise UnreachableError(uri, error) from error


def _embedded(root: Path) -> str:
    """Return the URI of the store at a root, with escapes for the characters that a URI gives a meaning."""
    path = quote(str(root / "mlflow.db"))
    # of a plain sqlite:/// URI, MLflow makes the folder without reading the escapes, beside the one that is meant
    return f"sqlite{'+pysqlite' if '%' in path else ''}:///{path}"


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None  # `store` has made it
    return str(experiment.experiment_id)


def _tasks() -> list[str]:
    return list(dict.fromkeys(model.task for model in MODELS.values()))


def _kinds() -> list[str]:
    return [*_tasks(), "comparison", "studies"]


def _close_abandoned(client: MlflowClient, names: Sequence[str]) -> None:
    """Mark as killed the runs that are still running for processes of this host that are no more."""
    from psutil import pid_exists

    ids = [_experiment_id(client, name) for name in names]
    ours = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{socket.gethostname()}'"
    for run in client.search_runs(["0", *ids], ours):
        if not pid_exists(int(run.data.tags[PROCESS])):
            client.set_terminated(run.info.run_id, "KILLED")


def _git_commit(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


@cache
def _outer_run() -> str | None:
    """Take the id of the run that `mlflow run` made, if it did, out of the environment, and return it.

    MLflow hands the id to everything below it, and its own functions would log to that run, or forget it.
    """
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    return os.environ.pop("MLFLOW_RUN_ID", None)


def _tags(root: Path, **more: Any) -> dict[str, str]:
    """Give the tags every run of ours has: where it comes from, and who is working on it."""
    tags = {
        "mlflow.source.name": "notsoclevr",
        "mlflow.source.git.commit": _git_commit(root),
        "dvc.stage": os.environ.get("DVC_STAGE", ""),
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        PARENT: _outer_run() or "",
        HOST: socket.gethostname(),
        PROCESS: os.getpid(),
        **more,
    }
    return {name: str(value) for name, value in tags.items() if value != ""}


def open_run(client: MlflowClient, root: Path, experiment: Experiment) -> str:
    """Open the run of a training that is about to start.

    Under `mlflow run` that is the run which MLflow made; but in a stage of DVC, that run is of the whole pipeline, and
    the parent of the one that is opened.

    Args:
        client: Of the store.
        root: The repository.
        experiment: What will be trained.

    Returns:
        The run's id.
    """
    recipe = asdict(experiment.recipe)
    adopted = None if "DVC_STAGE" in os.environ else _outer_run()
    return _open_run(client, root, experiment.model, experiment.split, experiment.seed, recipe, adopted)


def _open_run(
    client: MlflowClient,
    root: Path,
    model: str,
    split: str,
    seed: int,
    recipe: dict[str, Any],
    adopted: str | None = None,
) -> str:
    from mlflow.entities import Param, RunTag

    task = MODELS[model].task
    tags = _tags(root, task=task, model=model, split=split, seed=seed)
    if run_id := adopted:
        del tags[PARENT]
        known = client.get_run(run_id).data.params  # MLflow has logged what it was given, and refuses to be corrected
    else:
        name = EXPERIMENT.format(task)
        run_id = client.create_run(_experiment_id(client, name)).info.run_id
        known = {}
    tags["mlflow.runName"] = f"{model}-{split}"
    params = {"model": model, "split": split, "seed": seed, **recipe}
    client.log_batch(
        run_id,
        params=[Param(key, str(value)) for key, value in params.items() if key not in known],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    return str(run_id)


def close_run(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """Close the run of a training that did not end well: failed, or killed where somebody stopped it."""
    stopped = isinstance(error, KeyboardInterrupt | SystemExit)
    client.set_terminated(run_id, "KILLED" if stopped else "FAILED")


def digest(*paths: Path) -> str:
    """Give a fingerprint of files that are the same whenever the same experiment is trained."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _cell_digest(cell: Cell) -> str:
    return digest(cell.directory / "metrics.json", cell.directory / "history.csv")


def log_cell(client: MlflowClient, run_id: str, cell: Cell, split: Split) -> None:
    """Log a finished cell from its files, close its run, and note the run beside the files.

    Args:
        client: Of the store.
        run_id: An open run.
        cell: The cell.
        split: The examples it was trained and tested on.
    """
    import mlflow
    from mlflow.entities import Metric

    seconds = np.cumsum([0.0, *cell.timings["epoch_seconds"]])
    begun = client.get_run(run_id).info.start_time
    metrics = [
        Metric(name, value, begun + round(1000 * seconds[int(row["epoch"])]), int(row["epoch"]))
        for row in cell.history
        for name, value in row.items()
        if name != "epoch"
    ]
    last = {"train_seconds": cell.timings["train_seconds"], "parameters": cell.metrics["parameters"]}
    if perfect := cell.metrics["epochs_to_perfect"]:
        last |= {"epochs_to_perfect": perfect, "seconds_to_perfect": seconds[perfect]}
    metrics += [Metric(name, value, begun, 0) for name, value in last.items()]
    for chunk in range(0, len(metrics), 1000):  # the most that a server takes at once
        client.log_batch(run_id, metrics=metrics[chunk : chunk + 1000])
    with _active(run_id):
        _log_dataset(split, cell)
        _log_network(cell)
        mlflow.log_artifacts(str(cell.directory / "figures"), "figures")
        for name in ("metrics.json", "history.csv", "predictions.npz"):
            mlflow.log_artifact(str(cell.directory / name))
        for image in sorted((cell.directory / "figures" / "forming").glob("*.png")):
            mlflow.log_image(_pixels(image), key="forming", step=int(image.stem))
    client.set_tag(run_id, DIGEST, _cell_digest(cell))
    client.set_terminated(run_id, "FINISHED")
    with replacing(cell.directory / "run.json") as path:
        write_json(path, {"run_id": run_id, "experiment_id": client.get_run(run_id).info.experiment_id})


@contextmanager
def _active(run_id: str) -> Iterator[None]:
    """Make a run the one that MLflow's own functions log to, without closing it as they would."""
    import mlflow

    mlflow.start_run(run_id=run_id, log_system_metrics=False)
    try:
        yield
    finally:
        mlflow.end_run("RUNNING")


def _pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return (imread(path)[..., :3] * 255).astype(np.uint8)


def _log_dataset(split: Split, cell: Cell) -> None:
    import mlflow.data.numpy_dataset

    source = f"data/{cell.metrics['split']}.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the source: a file of ours is no source that MLflow could fetch from
        for half, context in (("train", "training"), ("test", "testing")):
            examples = getattr(split, half)
            data = mlflow.data.numpy_dataset.from_numpy(
                examples.coordinates, targets=examples.squares, source=source, name=f"{cell.metrics['split']}-{half}"
            )
            mlflow.log_input(data, context=context)


def _log_network(cell: Cell) -> None:
    """Log the Keras model with its signature, what it needs, and the code of the layer in it."""
    from importlib.metadata import version

    import keras
    import mlflow
    from mlflow.models import infer_signature

    import coordconv

    network = keras.saving.load_model(cell.directory / "model.keras", compile=False)
    example = np.zeros((1, *network.input_shape[1:]), np.float32)
    mlflow.tensorflow.log_model(
        network,
        name=MODEL_KEPT,
        signature=infer_signature(example, np.asarray(network(example))),
        pip_requirements=[f"{name}=={version(name)}" for name in ("keras", "numpy", "tensorflow")],
        code_paths=[str(Path(coordconv.__file__).parent)],
    )


def find_run(client: MlflowClient, kind: str, fingerprint: str) -> str | None:
    """Find the newest finished run of the same results.

    Args:
        client: Of the store.
        kind: A task, or "comparison".
        fingerprint: See `digest`.

    Returns:
        The run's id, or None.
    """
    runs = client.search_runs(
        ["0", _experiment_id(client, EXPERIMENT.format(kind))],
        f"tags.`{DIGEST}` = '{fingerprint}' and attributes.status = 'FINISHED'",
        max_results=1,
    )
    return str(runs[0].info.run_id) if runs else None


def count_runs(client: MlflowClient) -> Counter[str]:
    """Count our runs by their status."""
    ids = [_experiment_id(client, EXPERIMENT.format(kind)) for kind in _kinds()]
    return Counter(run.info.status for run in client.search_runs(ids, max_results=50_000))


def track(client: MlflowClient, root: Path, cells: Sequence[Cell], split_of: Callable[[str], Split]) -> list[str]:
    """Log the cells that have no run, as after a checkout from DVC's cache or while the store was down.

    Args:
        client: Of the store.
        root: The repository.
        cells: The cells.
        split_of: Name of a split to its examples.

    Returns:
        Names of the cells that were logged.
    """
    logged = []
    for cell in cells:
        if find_run(client, cell.task, _cell_digest(cell)):
            continue
        metrics = cell.metrics
        run_id = _open_run(client, root, metrics["model"], metrics["split"], metrics["seed"], metrics["recipe"])
        try:
            log_cell(client, run_id, cell, split_of(metrics["split"]))
        except BaseException as error:
            close_run(client, run_id, error)
            raise
        logged.append(cell.name)
    return logged


def open_study(client: MlflowClient, root: Path, study: Study) -> str:
    """Open the parent run of a study: the one that it had before, if it goes on.

    Args:
        client: Of the store.
        root: The repository.
        study: The study.

    Returns:
        The run's id.
    """
    from mlflow.entities import RunTag

    experiment = _experiment_id(client, EXPERIMENT.format("studies"))
    parents = client.search_runs([experiment], f"tags.study = '{study.name}' and tags.role = 'study'", max_results=1)
    run_id = str(parents[0].info.run_id if parents else client.create_run(experiment).info.run_id)
    tags = _tags(root, study=study.name, role="study")
    tags |= {"mlflow.runName": study.name, "mlflow.note.content": study.about}
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
    client.update_run(run_id, status="RUNNING")
    return run_id


def known_trials(client: MlflowClient, parent: str) -> set[str]:
    """Give the digests of the rows that a study's run has a finished child of.

    Args:
        client: Of the store.
        parent: Id of the study's run.
    """
    experiment = _experiment_id(client, EXPERIMENT.format("studies"))
    children = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'", max_results=50_000)
    return {child.data.tags.get(DIGEST, "") for child in children if child.info.status in ("FINISHED", "FAILED")}


def log_trials(
    client: MlflowClient, parent: str, study: str, rows: Iterable[Mapping[str, str]], stop: Callable[[], None]
) -> None:
    """Log rows of a study, each as a child of its run.

    Args:
        client: Of the store.
        parent: Id of the study's run.
        study: Its name.
        rows: Of results.csv, that the run has no child of.
        stop: Called after each; what it raises ends the logging between two rows.
    """
    from mlflow.entities import Metric, Param, RunTag

    experiment = _experiment_id(client, EXPERIMENT.format("studies"))
    process = {HOST: socket.gethostname(), PROCESS: str(os.getpid())}
    for row in rows:
        tags = {name: row[name] for name in ("variant", "settings", "error") if row[name]}
        tags |= {"study": study, "role": "trial", PARENT: parent, DIGEST: row["digest"]}
        tags["mlflow.runName"] = f"{row['model']}-{row['split']} {row['settings']} seed {row['seed']}"
        params = [Param(name, row[name]) for name in CONTENT if row[name]]
        now = round(1000 * time())
        measured = {name: row[name] for name in MEASURED if row[name] and name != "test_exact_by_epoch"}
        metrics = [Metric(name, float(value), now, 0) for name, value in measured.items()]
        run_id = client.create_run(experiment, tags=process).info.run_id
        client.log_batch(run_id, metrics, params, [RunTag(name, value) for name, value in tags.items()])
        client.set_terminated(run_id, "FAILED" if row["error"] else "FINISHED")
        stop()


def close_study(client: MlflowClient, parent: str, status: str, files: Sequence[Path]) -> None:
    """Close the run of a study.

    Args:
        client: Of the store.
        parent: Its id.
        status: "FINISHED", or "KILLED" if it was broken off.
        files: What is logged with it.
    """
    for path in files:
        client.log_artifact(parent, str(path))
    client.set_terminated(parent, status)


def log_comparison(client: MlflowClient, root: Path, reports: Path, cells: Sequence[Cell]) -> None:
    """Log the comparison as a run of its own, once, and register the best model of each task.

    A comparison that is known already gets what it lacks, as when it was logged before its cells were. An experiment of
    DVC registers nothing.

    Args:
        client: Of the store.
        root: The repository.
        reports: Folder of the comparison.
        cells: The cells in results/: those to register from, and those whose runs are linked.

    Raises:
        StudyError: comparison.csv is not what `evaluate` writes.
    """
    import mlflow

    page = reports / "index.html"  # a comparison that was made before there was a report has none
    fingerprint = digest(reports / "comparison.csv", *([page] if page.exists() else []))
    exact = _exact(reports / "comparison.csv")
    if run_id := find_run(client, "comparison", fingerprint):
        _complete_comparison(client, run_id, exact, cells)
    else:
        run = client.create_run(
            _experiment_id(client, EXPERIMENT.format("comparison")),
            tags=_tags(root) | {"mlflow.runName": "comparison", DIGEST: fingerprint},
        )
        run_id = run.info.run_id
        try:
            _complete_comparison(client, run_id, exact, cells)
            with _active(run_id):
                mlflow.log_artifacts(str(reports))
        except BaseException as error:
            close_run(client, run_id, error)
            raise
        client.set_terminated(run_id, "FINISHED")
    if "DVC_EXP_NAME" in os.environ:  # an experiment is a trial: its cells may never become those of results/
        return
    for task in _tasks():
        if rivals := [cell for cell in cells if cell.task == task]:
            _register_best(client, task, rivals)


def _exact(table: Path) -> dict[str, float]:
    """Load which share of its test half each cell in comparison.csv answers exactly."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return {f"{row['model']}-{row['split']}": float(row["test_exact"]) for row in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise StudyError(
            f"{table}: cannot be read ({type(error).__name__}: {error}); make it again with `notsoclevr evaluate`"
        ) from None


def _complete_comparison(client: MlflowClient, run_id: str, exact: Mapping[str, float], cells: Sequence[Cell]) -> None:
    """Log to the run of a comparison the metrics that it lacks, and links to the runs of its cells."""
    from mlflow.entities import Metric

    run, now = client.get_run(run_id), round(1000 * time())
    metrics = {f"{name}.test_exact": value for name, value in exact.items()}
    lacking = [Metric(name, value, now, 0) for name, value in metrics.items() if name not in run.data.metrics]
    client.log_batch(run_id, metrics=lacking)
    before, after = run.data.tags.get(NOTE, ""), _describe(client, exact, cells)
    if not before or after.count(LINK) > before.count(LINK):  # cells that are not here today may have been once
        client.set_tag(run_id, NOTE, after)


def _describe(client: MlflowClient, exact: Mapping[str, float], cells: Sequence[Cell]) -> str:
    """Describe a comparison in Markdown, with links to the runs: the frame that MLflow shows the report in has none."""
    lines = ["The report is the artifact `index.html`.", "", "| cell | exact on the test half |", "| --- | ---: |"]
    known = {cell.name: cell for cell in cells}
    for name, share in exact.items():
        shown = name
        if (cell := known.get(name)) and (run_id := find_run(client, cell.task, _cell_digest(cell))):
            experiment = _experiment_id(client, EXPERIMENT.format(cell.task))
            shown = f"[{name}]({LINK}{experiment}/runs/{run_id})"
        lines.append(f"| {shown} | {share:.2%} |")
    return "\n".join(lines)


def _register_best(client: MlflowClient, task: str, cells: Sequence[Cell]) -> None:
    """Register the network of the best model: exact on most of the test halves, and the smaller among equals.

    Of its networks it is the one that was trained on the split that is hardest for all models.
    """
    mean: dict[str, dict[str, float]] = {"model": {}, "split": {}}
    for key, means in mean.items():
        for name in {cell.metrics[key] for cell in cells}:
            means[name] = float(np.mean([cell.metrics["test_exact"] for cell in cells if cell.metrics[key] == name]))
    best = max(
        cells,
        key=lambda cell: (
            mean["model"][cell.metrics["model"]],
            -cell.metrics["parameters"],
            -mean["split"][cell.metrics["split"]],
        ),
    )
    run_id = find_run(client, task, _cell_digest(best))
    if run_id is None:
        return
    name = EXPERIMENT.format(task)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=f"The best model of the {task} task, whatever its kind.")
    elif _best_run(client, name) == run_id:
        return
    known = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")  # it may have been the best before
    if known:
        number = known[0].version
    else:
        outputs = client.get_run(run_id).outputs
        model_id = outputs.model_outputs[0].model_id if outputs else None
        number = client.create_model_version(name, f"models:/{model_id}", run_id, model_id=model_id).version
    client.set_registered_model_alias(name, ALIAS, number)


def _best_run(client: MlflowClient, name: str) -> str | None:
    """Return the run of the version that has the alias, or None. A search of versions gives no aliases."""
    if ALIAS not in client.get_registered_model(name).aliases:
        return None
    return str(client.get_model_version_by_alias(name, ALIAS).run_id)
