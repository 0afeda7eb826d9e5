"""What a worker does: one experiment in, one row out. It needs this package and nothing else, no file and no MLflow."""

from __future__ import annotations

import logging
import random
import signal
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.image import imsave

from notsoclevr.dataset import SHOWCASE_PLACES, generate
from notsoclevr.errors import describe
from notsoclevr.evaluation import summarise
from notsoclevr.studies.rows import BY_EPOCH, MEASURED, SQUARES, Row, make_row
from notsoclevr.studies.spec import Training
from notsoclevr.tasks import Floats
from notsoclevr.training import import_tensorflow, train

_alone = threading.Lock()  # Keras has one random state a process; a worker of a cluster may have several threads


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to workers too, to the driver; Dask calls this when a worker starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_training(training: Training) -> Row:
    """Train one experiment on one thread.

    Args:
        training: The experiment.

    Returns:
        Its row. A failure is a row too, with the error in it.
    """
    try:
        with _alone:
            import_tensorflow()
            logging.getLogger("tensorflow").setLevel(logging.ERROR)  # that each training is compiled anew is no news
            return make_row(training, _measure(training))
    except Exception as error:
        return make_row(training, {}, error=describe(error))


@contextmanager
def _own_random(seed: int) -> Iterator[None]:
    """Give Keras random numbers of its own, which it draws the seeds of weights from.

    It draws them with `random.randint`. The threads of a Dask worker draw from `random` too, at moments of their own,
    and an experiment would give another result every time; Dask has bound its own `randint` when it was imported.
    """
    shared = random.randint
    random.randint = random.Random(seed).randint
    try:
        yield
    finally:
        random.randint = shared


def _measure(training: Training) -> dict[str, Any]:
    import keras

    keras.backend.clear_session()
    experiment = training.experiment
    split = experiment.split(generate())
    with _own_random(experiment.seed):
        fit = train(experiment, split, measure_every=training.measure_every)
    metrics = summarise(experiment, fit.canvas, fit.outputs, fit.history, fit.network)
    perfect = metrics["epochs_to_perfect"]
    values = metrics | {
        "seconds_to_perfect": perfect and round(sum(fit.epoch_seconds[: int(perfect)]), 2),
        "train_seconds": round(sum(fit.epoch_seconds), 2),
        BY_EPOCH: " ".join(f"{row['test_exact']:.4g}" for row in fit.history),
    }
    measured = {name: values[name] for name in MEASURED if name in values}
    if training.squares and experiment.task.paints:
        measured[SQUARES] = _picture(experiment.task.predictions(fit.outputs[SHOWCASE_PLACES]))
    return measured


def _picture(images: Floats) -> str:
    """Return images, (n, 64, 64) from 0 to 1, beside each other as the text of a PNG file, base64."""
    file = BytesIO()
    imsave(file, np.hstack([*images]), cmap="gray", vmin=0, vmax=1, format="png")
    return b64encode(file.getvalue()).decode()
