from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from notsoclevr.studies.rows import NUMBERS, SQUARES, save_squares, to_frame
from notsoclevr.studies.worker import run_training

from .toy import make_study

REGRESSION = {
    **{"variant": "one", "model": "coordconv_regressor", "split": "uniform", "seed": 1},
    "settings": {"models.coordconv_regressor.epochs": 1, "splits.uniform.train_share": 0.02},
}
SECONDS = ("train_seconds", "seconds_to_perfect")


def test_threads_that_draw_random_numbers_change_no_row(tmp_path: Path) -> None:
    """A Dask worker has such threads, and Keras seeds its weights from the same `random`."""
    (training,) = make_study(tmp_path, REGRESSION).trainings
    quiet, done = run_training(training), threading.Event()

    def draw() -> None:
        while not done.wait(0.0005):
            random.random()

    others = threading.Thread(target=draw)
    others.start()
    try:
        disturbed = run_training(training)
    finally:
        done.set()
        others.join()
    assert quiet["error"] == disturbed["error"] == ""
    for name in NUMBERS:
        if name not in SECONDS:
            assert quiet[name] == disturbed[name]


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
