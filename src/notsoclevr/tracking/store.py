"""The tracking store: that of MLFLOW_TRACKING_URI, or one embedded at the root of the repository."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, suppress
from functools import cache
from getpass import getuser
from json import dumps
from pathlib import Path
from tempfile import gettempdir
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from notsoclevr.errors import StudyError
from notsoclevr.files import atomic_write, host, is_alive
from notsoclevr.tracking.artifacts import NOTE, find_network, log_data, log_images, log_network
from notsoclevr.tracking.errors import StoreError
from notsoclevr.tracking.feed import Feed, to_metrics
from notsoclevr.tracking.records import Outcome, Point, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

EMBEDDED = "mlflow.db"
NAME = "not-so-clevr-{}"  # of an experiment, and of a registered model
ALIAS = "best"  # of the best version of each registered model
DIGEST = "results.digest"
PARENT = "mlflow.parentRunId"
VERSIONS = "mlflow.modelVersions"  # what the page of a logged model says it is registered as
KIND_TAG = "mlflow.experimentKind"  # which pages MLflow shows of an experiment
PROCESS, HOST = "process.id", "process.host"
LINK = "#/experiments/"  # how the address of a page of the MLflow UI begins
MOST = 1000  # metrics that a server takes at once


@contextmanager
def connect(root: Path) -> Iterator[Store]:
    """Yield the store.

    Args:
        root: The repository. Inside a stage that DVC runs in a temporary copy, DVC_ROOT names the real one.

    Raises:
        StoreError: The store did not answer or refused, when it was opened or later.
    """
    # by default MLflow waits minutes for a server that is down
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers of every run
    import mlflow
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    root = Path(os.environ.get("DVC_ROOT", root)).resolve()
    uri = _absolute(root, os.environ.get("MLFLOW_TRACKING_URI", "")) or _embedded(root)
    mlflow.set_tracking_uri(uri)
    try:
        try:
            store = _open(root, uri)
        # the driver of another database; a folder nobody can write to; an address that is none
        except (ModuleNotFoundError, OSError, ValueError) as error:
            raise StoreError(uri, error) from error
        yield store
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        raise StoreError(uri, error) from error


def _absolute(root: Path, uri: str) -> str:
    """Return a URI; a file of SQLite without a whole path is taken from the root, since a stage may run in a copy."""
    database = uri.removeprefix("sqlite:///")
    if database in (uri, "") or database.startswith("/"):
        return uri
    # what follows is an address already, and may end in options
    return f"{_sqlite(root)}/{database}"


def _embedded(root: Path) -> str:
    """Return the URI of the store at a root."""
    return _sqlite(root / EMBEDDED)


def _sqlite(place: Path) -> str:
    """Return the URI of a database of SQLite, or of its folder, with escapes for what a URI gives a meaning."""
    path = quote(str(place))
    # of a plain sqlite:/// URI, MLflow makes the folder without reading the escapes, beside the one that is meant
    return f"sqlite{'+pysqlite' if '%' in path else ''}:///{path}"


@cache
def _outer_run() -> str | None:
    """Return the id of the run that `mlflow run` made, None without one.

    MLflow hands the id to everything below it, and its own functions would log to that run: it is taken out of the
    environment.
    """
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    return os.environ.pop("MLFLOW_RUN_ID", None)


@cache
def _git_commit(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # there is no git
        return ""


def _user() -> str:
    """Return who runs this; nothing where the system has no name for the user, as in some containers."""
    try:
        return getuser()
    except (KeyError, OSError):
        return ""


@cache
def _open(root: Path, uri: str) -> Store:
    """Return the store, which stays open for as long as this process lives."""
    return Store(root, uri)


def _create(database: Path) -> None:
    """Create the embedded store, unless it is there. It is put there whole: MLflow cannot open one that is half made.

    MLflow makes its tables in fifty steps. SQLite would wait for the disk after each, for three seconds of four; here
    one wait at the end is enough. MLflow also makes an experiment whose artifacts go below the working directory: here
    below the database, since the directory may be one that DVC removes.
    """
    import mlflow
    from sqlalchemy import Engine, event

    def hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    if not database.exists():
        with atomic_write(database) as temporary, chdir(database.parent):
            event.listen(Engine, "connect", hurry)
            try:
                mlflow.MlflowClient(_sqlite(temporary)).search_experiments()
            finally:
                event.remove(Engine, "connect", hurry)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())


class Store:
    """A tracking store that is open; see `connect`.

    Args:
        root: The repository.
        uri: Address of the store.
    """

    def __init__(self, root: Path, uri: str) -> None:
        import mlflow
        from filelock import FileLock

        self._root = root
        self._uri = uri
        self._artifacts = None if uri.startswith("http") else (root / "mlartifacts").as_uri()
        # a checkout that cannot be written to may log elsewhere
        self._lock = FileLock((root if os.access(root, os.W_OK) else Path(gettempdir())) / ".mlflow.lock")
        with self._lock:  # processes that create one database at once break it
            if uri == _embedded(root):
                _create(root / EMBEDDED)
            self._client: MlflowClient = mlflow.MlflowClient()
            # all of them: `mlflow run` takes any
            self._experiments = {each.name: each for each in self._client.search_experiments()}
            self._close_abandoned()

    def _close_abandoned(self) -> None:
        """Mark as killed the runs that are still running for processes of this host that are no more."""
        ours = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{host()}'"
        for run in self._client.search_runs(self._all(), ours):
            if not is_alive(int(run.data.tags[PROCESS])):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _all(self) -> list[str]:
        """Return the ids of all experiments."""
        return [str(each.experiment_id) for each in self._experiments.values()]

    def _experiment(self, kind: str, about: str = "") -> str:
        """Return the id of an experiment, which is made if need be, with a word on what it is about.

        Raises:
            MlflowException: Somebody deleted the experiment, or moved the embedded store to another folder.
        """
        from mlflow.exceptions import MlflowException

        name = NAME.format(kind)
        if name not in self._experiments:
            with self._lock:
                known = self._client.get_experiment_by_name(name)
                if not known:
                    artifacts = self._artifacts and f"{self._artifacts}/{name}"
                    known = self._client.get_experiment(self._client.create_experiment(name, artifacts))
                if known.lifecycle_stage == "deleted":
                    raise MlflowException(f"experiment {name}, number {known.experiment_id}, was deleted")
                self._experiments[name] = known
        experiment = self._experiments[name]
        if self._uri == _embedded(self._root) and not experiment.artifact_location.startswith(f"{self._artifacts}/"):
            raise MlflowException(
                f"the repository was moved, and its files are looked for in {experiment.artifact_location}"
            )
        for tag, value in {KIND_TAG: "custom_model_development", NOTE: about}.items():
            if value and not experiment.tags.get(tag):  # new, or of an earlier version; what a person wrote there stays
                self._client.set_experiment_tag(experiment.experiment_id, tag, value)
                experiment.tags[tag] = value
        return str(experiment.experiment_id)

    def _origin(self) -> dict[str, str]:
        """Return the tags of every run: where it comes from, and which process works on it."""
        tags = {
            "mlflow.user": _user(),
            "mlflow.source.name": "notsoclevr",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": _git_commit(self._root),
            "dvc.stage": os.environ.get("DVC_STAGE", ""),
            "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
            HOST: host(),
            PROCESS: str(os.getpid()),
        }
        return {name: value for name, value in tags.items() if value}

    def open_run(self, run: Run, *, adopt: bool = False) -> str:
        """Open a run.

        Args:
            run: What is known of it.
            adopt: Under `mlflow run`, take the run that MLflow made. In a stage of DVC that run is of the whole
                pipeline, and becomes the parent of the one that is opened.

        Returns:
            Its id.
        """
        from mlflow.entities import Param, RunTag

        outer = _outer_run()
        tags = self._origin() | {name: str(value) for name, value in run.tags.items()} | {"mlflow.runName": run.name}
        if run.description:
            tags[NOTE] = run.description
        known: Mapping[str, str] = {}
        if adopt and outer and "DVC_STAGE" not in os.environ:
            run_id = outer
            known = self._client.get_run(run_id).data.params  # MLflow has logged what it was given, once and for all
            self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        else:
            if parent := run.parent or outer:
                tags[PARENT] = parent
            run_id = self._client.create_run(self._experiment(run.experiment, run.about), tags=tags).info.run_id
        params = [Param(name, str(value)) for name, value in run.params.items() if name not in known]
        self._client.log_batch(run_id, params=params)
        return str(run_id)

    def resume_named(self, run: Run) -> str:
        """Open the run of this name again if there is one, else a new one; return its id."""
        from mlflow.entities import RunTag

        named = {"attributes.run_name": run.name} | {f"tags.{name}": value for name, value in run.tags.items()}
        filters = " and ".join(f"{name} = {dumps(value, ensure_ascii=False)}" for name, value in named.items())
        earlier = self._client.search_runs([self._experiment(run.experiment)], filters, max_results=1)
        if not earlier:
            return self.open_run(run)
        run_id = str(earlier[0].info.run_id)
        tags = self._origin() | {NOTE: run.description}
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def resume(self, run_id: str) -> bool:
        """Open a run again, however it ended; return whether the store has it.

        Raises:
            StudyError: A process of this host is still at it.
        """
        from mlflow.entities import RunTag
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # it was logged to another store
                return False
            raise
        if run.info.lifecycle_stage != "active":  # somebody deleted it
            return False
        origin = self._origin()
        ours = {name: origin[name] for name in (HOST, PROCESS)}
        there, process = (run.data.tags.get(name) for name in ours)
        # runs of processes that are no more were closed when the store was opened
        if run.info.status == "RUNNING" and there == ours[HOST] and process != ours[PROCESS]:
            raise StudyError(f"process {process} is still logging its run {run_id}")
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in ours.items()])
        self._client.update_run(run_id, status="RUNNING")
        return True

    def feed(self, run_id: str) -> Feed:
        """Return what takes the metrics of an open run as they are measured."""
        return Feed(self._client, run_id)

    def close_run(self, run_id: str, status: str) -> None:
        """Close a run: "FINISHED", "FAILED", or "KILLED" where somebody stopped it."""
        self._client.set_terminated(run_id, status)

    def log(self, run_id: str, outcome: Outcome) -> None:
        """Log what came of an open run, and leave it open. Of what it has, only files are sent again.

        Raises:
            StudyError: The network cannot be read.
        """
        try:
            for path, folder in outcome.files:
                send = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
                send(run_id, str(path), folder or None)
            log_images(self._client, run_id, outcome.images)
            digests = log_data(run_id, outcome.data) if outcome.data else {}
            model_id = log_network(self._client, run_id, outcome.network) if outcome.network else None
        except OSError as error:  # of files, which MLflow hands on as they are: the disk is full
            raise StoreError(self._uri, error) from error
        over_time = any(point.seconds for point in outcome.metrics)
        begun = self._begun(run_id) if over_time or model_id else round(1000 * time())
        metrics = to_metrics(outcome.metrics, begun, model_id, digests)
        for first in range(0, len(metrics), MOST):
            self._client.log_batch(run_id, metrics=metrics[first : first + MOST])
        if outcome.digest:  # last, since it says that all of it is logged
            self._client.set_tag(run_id, DIGEST, outcome.digest)

    def _begun(self, run_id: str) -> int:
        """Return when a run began, in milliseconds."""
        return int(self._client.get_run(run_id).info.start_time)

    def finish(self, run_id: str, outcome: Outcome, *, status: str = "FINISHED") -> None:
        """Log what came of an open run and close it; it is closed as failed or killed if that does not end well."""
        try:
            self.log(run_id, outcome)
            ended = outcome.seconds and self._begun(run_id) + round(1000 * outcome.seconds)
        except BaseException as error:
            with suppress(Exception):  # what ended it is more than a store that cannot close it
                self.close_run(run_id, status_after(error))
            raise
        now = round(1000 * time())
        self._client.set_terminated(run_id, status, min(now, ended or now))

    def find(self, experiment: str, digest: str) -> str | None:
        """Return the id of the newest finished run of these results, or None."""
        self._experiment(experiment)  # is there then, and where the store expects it
        runs = self._client.search_runs(
            self._all(), f"tags.`{DIGEST}` = '{digest}' and attributes.status = 'FINISHED'", max_results=1
        )
        return str(runs[0].info.run_id) if runs else None

    def complete(self, run_id: str, points: Sequence[Point], description: str) -> None:
        """Add to a closed run the metrics it lacks; a description that links more runs than its own replaces it."""
        run, now = self._client.get_run(run_id), round(1000 * time())
        missing = [point for point in points if point.name not in run.data.metrics]
        self._client.log_batch(run_id, metrics=to_metrics(missing, now))
        if description.count(LINK) > run.data.tags.get(NOTE, "").count(LINK):
            self._client.set_tag(run_id, NOTE, description)

    def link(self, experiment: str, run_id: str) -> str:
        """Return the address of a run's page within the MLflow UI."""
        return f"{LINK}{self._experiment(experiment)}/runs/{run_id}"

    def digests_below(self, experiment: str, parent: str) -> set[str]:
        """Return the digests of the closed children of a run."""
        children = self._client.search_runs(
            [self._experiment(experiment)], f"tags.`{PARENT}` = '{parent}'", max_results=50_000
        )
        closed = ("FINISHED", "FAILED")
        return {child.data.tags.get(DIGEST, "") for child in children if child.info.status in closed}

    def register(self, experiment: str, run_id: str, description: str) -> None:
        """Make the network of a run the best version of a registered model, unless it is that already.

        Args:
            experiment: The registered model is named after it.
            run_id: The run, which has logged a network.
            description: What the registered model is.
        """
        name = NAME.format(experiment)
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name, description=description)
        elif self._best(name) == run_id:
            return
        known = self._client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if known:  # it was the best before
            number = known[0].version
        else:
            model_id = find_network(self._client, run_id)
            assert model_id
            number = self._client.create_model_version(name, f"models:/{model_id}", run_id, model_id=model_id).version
            # as a server does by itself, and the client of a database does not
            self._client.set_logged_model_tags(model_id, {VERSIONS: dumps([{"name": name, "version": number}])})
        self._client.set_registered_model_alias(name, ALIAS, number)

    def _best(self, name: str) -> str | None:
        """Return the run of the version that has the alias, or None. A search of versions gives no aliases."""
        if ALIAS not in self._client.get_registered_model(name).aliases:
            return None
        return str(self._client.get_model_version_by_alias(name, ALIAS).run_id)


def status_after(error: BaseException) -> str:
    """Return the status of a run that an error ended: failed, or killed where somebody stopped it."""
    return "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"
