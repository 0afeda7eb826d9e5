from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from unittest.mock import Mock

import pytest

from notsoclevr import tracking
from notsoclevr.cells import training
from notsoclevr.dataset import Dataset
from notsoclevr.errors import StudyError

from ..fabricated import CONFIG, fabricate


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """A store that has no run yet."""
    store = Mock()
    store.find.return_value = None
    store.open_run.return_value = "a1"
    monkeypatch.setattr(tracking, "connect", lambda root: nullcontext(store))
    return store


def test_a_training_that_fails_is_one_line_and_leaves_nothing(
    tmp_path: Path, store: Mock, full: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", Mock(side_effect=RuntimeError("no memory\nfor a tensor")))
    experiment = CONFIG.experiment("deconv_painter", "uniform")
    directory = tmp_path / "results" / experiment.name
    with pytest.raises(StudyError) as failure:
        training.train_cell(tmp_path, experiment, experiment.split(full), directory, started=perf_counter())
    said = "deconv_painter-uniform: the training failed: RuntimeError: no memory for a tensor"
    assert (str(failure.value), failure.value.exit_status) == (said, 1)
    assert [*tmp_path.rglob("*")] == [directory.parent, directory]
    store.close_run.assert_called_once_with("a1", "FAILED")


@pytest.mark.parametrize(
    ("odd", "says"),
    [("figures/snapshots/copy.png", "'copy'"), ("timings.json", "IndexError")],
)
def test_a_cell_with_an_odd_file_is_named_and_the_others_are_logged(
    tmp_path: Path, store: Mock, capsys: pytest.CaptureFixture[str], odd: str, says: str
) -> None:
    cells = [fabricate(tmp_path, model) for model in ("coordconv_regressor", "pooled_regressor")]
    for cell in cells:
        (cell.directory / "figures" / "snapshots").mkdir(parents=True)
    path = cells[0].directory / odd
    path.write_text(path.read_text().replace("2.0,", "", 1) if path.exists() else "")
    assert training.log_missing(store, cells) == ["pooled_regressor-quadrant"]
    (line,) = capsys.readouterr().err.splitlines()
    place = "coordconv_regressor-quadrant"
    assert line.startswith(f"notsoclevr: {place} is not logged: {tmp_path / place}: its files cannot be read (")
    assert says in line
