"""A study of experiments that train nothing, and `notsoclevr` with them: python -m tests.studies.toy study FILE."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import sleep
from typing import Any

import yaml

from notsoclevr.studies.rows import Row, make_row
from notsoclevr.studies.spec import Study, Training, load_study

ROOT = Path(__file__).parents[2]  # not from conftest, which every worker would import with this module
BLOCK: dict[str, Any] = {
    "variant": "rates",
    "model": "coordconv_regressor",
    "split": ["uniform", "quadrant"],
    "seed": [0, 1, 2],
    "settings": {"models.coordconv_regressor.learning_rate": [0.001, 0.01]},
}
PERFECT = {"train_exact": 1.0, "test_exact": 1.0, "epochs_to_perfect": 3, "seconds_to_perfect": 2.5}
DEADLY = 666  # the seed that kills its worker


def write_study(folder: Path, *blocks: Mapping[str, Any], **more: Any) -> Path:
    path = folder / "tried" / "study.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"about": "a test", "experiments": list(blocks), **more}), "utf-8")
    return path


def make_study(folder: Path, *blocks: Mapping[str, Any], **more: Any) -> Study:
    return load_study(write_study(folder, *blocks, **more), ROOT)


def run_toy_training(training: Training) -> Row:
    sleep(0.1)
    if training.experiment.seed == DEADLY:
        os._exit(9)
    return make_row(training, {"train_exact": 1.0, "test_exact": 0.5})


if __name__ == "__main__":
    from notsoclevr.cli import main
    from notsoclevr.studies import engine

    engine.run_training = run_toy_training
    main()
