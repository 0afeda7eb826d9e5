"""What a run holds beside numbers: pictures, the examples that it has used, and a network that can be served."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

import numpy as np

from notsoclevr.errors import TAKE_BACK, StudyError, describe
from notsoclevr.tracking.records import Data, Network, Outcome

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description


def check_files(outcome: Outcome) -> None:
    """Check that every file to be logged is there, and that a network is a .keras file.

    Raises:
        StudyError: One is missing or damaged.
    """
    paths = [path for path, _ in outcome.files]
    if missing := [path for path in paths if not path.exists()]:
        raise StudyError(f"{missing[0]}: no such file; {TAKE_BACK}")
    if outcome.network and not is_zipfile(outcome.network.path):
        raise StudyError(f"{outcome.network.path}: missing or damaged; {TAKE_BACK}")


def log_images(client: MlflowClient, run_id: str, images: Mapping[str, Mapping[int, Path]]) -> None:
    """Log pictures of things over time to a run, but for those that it has: MLflow would show them twice."""
    import mlflow

    names = [file.path for file in client.list_artifacts(run_id, "images")] if images else []
    for key, paths in images.items():
        there = {int(found[1]) for name in names if (found := re.match(rf"images/{key}.step.(\d+)\D.*\.webp", name))}
        for step in paths.keys() - there:
            client.log_image(run_id, mlflow.Image(str(paths[step])), key=key, step=step)


@contextmanager
def _active(run_id: str) -> Iterator[None]:
    """Make a run the one that MLflow's own functions log to."""
    import mlflow

    mlflow.start_run(run_id=run_id, log_system_metrics=False)
    try:
        yield
    finally:
        mlflow.end_run("RUNNING")


def log_data(run_id: str, data: Sequence[Data]) -> dict[str, str]:
    """Log examples to a run, as what it has used; return MLflow's fingerprints of them by name."""
    import mlflow.data.numpy_dataset

    digests = {}
    with warnings.catch_warnings(), _active(run_id):
        warnings.simplefilter("ignore")  # MLflow warns that it cannot fetch a source on this disk
        for each in data:
            used = mlflow.data.numpy_dataset.from_numpy(
                each.features, targets=each.targets, source=each.source, name=each.name
            )
            mlflow.log_input(used, context=each.context)
            digests[each.name] = str(used.digest)
    return digests


def log_network(client: MlflowClient, run_id: str, network: Network) -> str:
    """Log a Keras model to a run, with its signature, what it needs, and the code of its layers; return its id.

    A run has one: what is left of an attempt that failed is completed, and one that is complete is left as it is.

    Raises:
        StudyError: The file cannot be read.
    """
    from importlib.metadata import version

    import keras
    import mlflow
    from mlflow.entities import LoggedModelStatus
    from mlflow.models import infer_signature

    earlier = find_network(client, run_id)
    if earlier and client.get_logged_model(earlier).status == LoggedModelStatus.READY:
        return earlier
    try:
        model = keras.saving.load_model(network.path, compile=False)
    except Exception as error:  # whatever Keras, zipfile and h5py say of a damaged file
        raise StudyError(f"{network.path}: cannot be read ({describe(error)}); {TAKE_BACK}") from error
    if network.activation:
        model = keras.Model(model.input, keras.layers.Activation(network.activation, name="answer")(model.output))
    example = np.zeros((1, *model.input_shape[1:]), np.float32)
    with nullcontext() if earlier else _active(run_id):  # an active run would list the model a second time
        logged = mlflow.tensorflow.log_model(
            model,
            name=network.name,
            tags={NOTE: network.description},
            signature=infer_signature(example, np.asarray(model(example))),
            pip_requirements=[f"{name}=={version(name)}" for name in ("keras", "numpy", "tensorflow")],
            code_paths=[str(network.code)],
            model_id=earlier,
        )
    return str(logged.model_id)


def find_network(client: MlflowClient, run_id: str) -> str | None:
    """Return the id of the network that a run has logged, or None."""
    outputs = client.get_run(run_id).outputs
    return str(outputs.model_outputs[0].model_id) if outputs and outputs.model_outputs else None
