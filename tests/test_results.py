from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from notsoclevr import results
from notsoclevr.dataset import Dataset, Split, split_quadrant
from notsoclevr.errors import StudyError

from .cells import fabricate


@pytest.fixture(scope="module")
def quadrant(full: Dataset) -> Split:
    return split_quadrant(full, corner="lower_right", boundary=32)


def test_a_cell_is_read_as_it_was_written(tmp_path: Path, quadrant: Split) -> None:
    written = fabricate(tmp_path / "coordconv_painter-quadrant", "coordconv_painter", quadrant, fails_on_test=True)
    read = results.load(tmp_path / "coordconv_painter-quadrant")
    assert read.metrics == written.metrics
    assert (read.name, read.task) == ("coordconv_painter-quadrant", "rendering")
    assert (read.metrics["train_exact"], read.metrics["test_exact"]) == (1, 0)
    assert read.metrics["epochs_to_perfect"] is None
    assert read.metrics["recipe"]["optimizer"] in ("adam", "adamw")
    arrays = read.predictions
    assert arrays["predictions"].shape == (3136, 64, 64)
    assert arrays["predictions"].dtype == np.float16
    np.testing.assert_array_equal(arrays["exact"], ~arrays["is_test"])
    assert arrays["coordinates"][arrays["showcase"][0]].tolist() == [13, 7]
    names = {path.name for path in (tmp_path / "coordconv_painter-quadrant").iterdir()}
    assert names == {"model.keras", "metrics.json", "history.csv", "timings.json", "predictions.npz", "figures"}


def test_perfect_is_the_first_epoch_that_is(tmp_path: Path, quadrant: Split) -> None:
    cell = fabricate(tmp_path / "coordconv_regressor-quadrant", "coordconv_regressor", quadrant)
    assert cell.metrics["epochs_to_perfect"] == 1
    assert cell.metrics["test_error_px"] == pytest.approx(0.25 * 2**0.5)
    assert cell.predictions["predictions"].dtype == np.float32


def test_metrics_are_the_same_bytes_every_time(tmp_path: Path, quadrant: Split) -> None:
    for name in "ab":
        fabricate(tmp_path / name / "pooled_regressor-quadrant", "pooled_regressor", quadrant)
    a, b = ((tmp_path / name / "pooled_regressor-quadrant" / "metrics.json").read_bytes() for name in "ab")
    assert a == b


def test_a_failed_write_leaves_the_old_results(tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    with results.staging(cell, tmp_path) as folder:
        (folder / "metrics.json").write_text("old")
    with pytest.raises(OSError, match="No space"), results.staging(cell, tmp_path) as folder:
        (folder / "metrics.json").write_text("ne")
        raise OSError(28, "No space left on device")
    assert (cell / "metrics.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [cell]


@pytest.mark.parametrize("name", ["metrics.json", "timings.json", "history.csv", "predictions.npz"])
@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_damaged_cells_are_refused_in_one_line(tmp_path: Path, quadrant: Split, name: str, kind: str) -> None:
    directory = tmp_path / "coordconv_regressor-quadrant"
    fabricate(directory, "coordconv_regressor", quadrant)
    if kind == "missing":
        (directory / name).unlink()
    else:
        (directory / name).write_bytes((directory / name).read_bytes()[:20])
    with pytest.raises(StudyError) as refusal:
        results.load(directory)
    assert str(directory) in str(refusal.value)
    assert "dvc repro" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_foreign_cell_is_refused(tmp_path: Path, quadrant: Split) -> None:
    directory = tmp_path / "coordconv_regressor-quadrant"
    fabricate(directory, "coordconv_regressor", quadrant)
    metrics = json.loads((directory / "metrics.json").read_text())
    (directory / "metrics.json").write_text(json.dumps(metrics | {"model": "somebody_else"}))
    with pytest.raises(StudyError, match="somebody_else"):
        results.load(directory)
