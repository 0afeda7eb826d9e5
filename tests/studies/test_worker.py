from __future__ import annotations

import random
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from notsoclevr.dataset import generate
from notsoclevr.studies.rows import NUMBERS, SQUARES, save_squares, to_frame
from notsoclevr.studies.spec import Training
from notsoclevr.studies.worker import run_training
from notsoclevr.training import train

from .. import preloaded
from .toy import make_study

REGRESSION = {
    **{"variant": "one", "model": "coordconv_regressor", "split": "uniform", "seed": 1},
    "settings": {"models.coordconv_regressor.epochs": 1, "splits.uniform.train_share": 0.02},
}


def test_a_row_holds_what_was_measured_whatever_random_numbers_other_threads_draw(tmp_path: Path) -> None:
    """A Dask worker has such threads, and Keras seeds its weights from the same `random`."""
    (training,) = make_study(tmp_path, REGRESSION).trainings
    asked, done = training.experiment, threading.Event()
    last = train(asked, asked.split(generate())).history[-1]

    def draw() -> None:
        while not done.wait(0.0005):
            random.random()

    others = threading.Thread(target=draw)
    others.start()
    try:
        row = run_training(training)
    finally:
        done.set()
        others.join()
    assert row["error"] == ""
    assert {name: float(row[name]) for name in last if name in NUMBERS} == {
        name: value for name, value in last.items() if name in NUMBERS
    }
    assert row["parameters"] == "906"
    assert row["epochs_to_perfect"] == ""


def count_threads(training: Training) -> list[int]:
    """Return how many threads TensorFlow may use after a training."""
    assert run_training(training)["error"] == ""
    import tensorflow as tf

    threading = tf.config.threading
    return [threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()]


def test_a_worker_trains_on_one_thread(tmp_path: Path) -> None:
    (training,) = make_study(tmp_path, REGRESSION).trainings
    with ProcessPoolExecutor(1, preloaded.CONTEXT) as pool:  # the second time it has trained already
        assert [*pool.map(count_threads, [training, training])] == [[1, 1], [1, 1]]


def test_what_a_painter_paints_is_kept_where_the_study_asks_for_it(tmp_path: Path) -> None:
    settings = {"models.deconv_painter.epochs": 2, "splits.uniform.train_share": 0.02}
    block = {"variant": "one", "model": "deconv_painter", "split": "uniform", "seed": 1, "settings": settings}
    study = make_study(tmp_path, block, squares=True)
    row = run_training(study.trainings[0])
    assert row["error"] == ""
    assert float(row["training_operations"]) > 1e9
    save_squares(study, row)
    assert row.keys() == set(to_frame([row]).columns)
    painted = imread(study.squares(row["key"]))
    assert painted.shape[:2] == (64, 12 * 64)
    assert 0 < painted[..., 0].mean() < 1
    assert len(np.unique(painted[..., 0])) > 1
    assert SQUARES not in row
