from __future__ import annotations

import random
import threading
from pathlib import Path

from notsoclevr.studies.rows import NUMBERS
from notsoclevr.studies.trial import run_trial

from .toy import make_study

SECONDS = ("train_seconds", "seconds_to_perfect")


def test_threads_that_draw_random_numbers_change_no_row(tmp_path: Path) -> None:
    """A Dask worker has such threads, and Keras seeds its weights from the same `random`."""
    settings = {"models.coordconv_regressor.epochs": 1, "splits.uniform.train_share": 0.02}
    block = {"variant": "one", "model": "coordconv_regressor", "split": "uniform", "seed": 1, "settings": settings}
    (trial,) = make_study(tmp_path, block).trials
    quiet, done = run_trial(trial), threading.Event()

    def draw() -> None:
        while not done.wait(0.0005):
            random.random()

    others = threading.Thread(target=draw)
    others.start()
    try:
        disturbed = run_trial(trial)
    finally:
        done.set()
        others.join()
    assert quiet["error"] == disturbed["error"] == ""
    for name in NUMBERS:
        if name not in SECONDS:
            assert quiet[name] == disturbed[name]
