from __future__ import annotations

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from notsoclevr.cells import files
from notsoclevr.cells.matrix import load_matrix
from notsoclevr.cells.record import cell_digest, collect
from notsoclevr.errors import StudyError
from notsoclevr.files import staging
from notsoclevr.models import MODELS
from notsoclevr.tasks import TASKS
from notsoclevr.training import import_tensorflow

from .. import preloaded
from ..fabricated import CONFIG, QUADRANT, fabricate


def test_a_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = fabricate(tmp_path, "coordconv_painter", fails=True, pictures=True)
    read = files.load(tmp_path / "coordconv_painter-quadrant")
    assert read.metrics == written.metrics
    assert (read.name, read.task, read.experiment.split) == ("coordconv_painter-quadrant", TASKS["rendering"], QUADRANT)
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


def test_perfect_is_the_first_epoch_that_is(tmp_path: Path) -> None:
    cell = fabricate(tmp_path, "coordconv_regressor")
    assert (cell.metrics["epochs_to_perfect"], len(cell.history)) == (2, 4)
    assert cell.metrics["test_error_px"] == pytest.approx(0.25 * 2**0.5)
    assert cell.predictions["predictions"].dtype == np.float32


def test_the_point_that_an_image_names_is_the_one_that_was_measured(tmp_path: Path) -> None:
    cell = fabricate(tmp_path, "deconv_classifier", blurred=True)
    assert cell.points is not None
    distances = np.hypot(*(cell.points - cell.predictions["coordinates"]).T)
    np.testing.assert_allclose(distances, cell.predictions["error_px"])
    assert fabricate(tmp_path, "coordconv_painter").points is None


def test_a_cell_of_another_experiment_is_missing_and_named(tmp_path: Path) -> None:
    fabricate(tmp_path, "coordconv_regressor", replace(QUADRANT, boundary=33))
    fabricate(tmp_path, "pooled_regressor")
    cells, missing = load_matrix(tmp_path, CONFIG)
    assert [cell.name for cell in cells] == ["pooled_regressor-quadrant"]
    assert len(missing) == 13
    reasons = {cell.name: cell.reason for cell in missing}
    assert "was trained with split_boundary 33, and params.yaml has 32" in reasons["coordconv_regressor-quadrant"]
    _, missing = load_matrix(tmp_path, replace(CONFIG, seed=7))
    reasons = {cell.name: cell.reason for cell in missing}
    assert "was trained with seed 0, and params.yaml has 7" in reasons["pooled_regressor-quadrant"]
    longer = replace(CONFIG.models["pooled_regressor"], epochs=999)
    _, missing = load_matrix(tmp_path, replace(CONFIG, models={**CONFIG.models, "pooled_regressor": longer}))
    reasons = {cell.name: cell.reason for cell in missing}
    assert "and params.yaml has 999" in reasons["pooled_regressor-quadrant"]
    shutil.copytree(tmp_path / "pooled_regressor-quadrant", tmp_path / "strided_regressor-quadrant")
    _, missing = load_matrix(tmp_path, CONFIG)
    reasons = {cell.name: cell.reason for cell in missing}
    assert "holds the results of pooled_regressor-quadrant" in reasons["strided_regressor-quadrant"]


def test_metrics_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in "ab":
        fabricate(tmp_path / name, "pooled_regressor", blurred=True)
    a, b = ((tmp_path / name / "pooled_regressor-quadrant" / "metrics.json").read_bytes() for name in "ab")
    assert a == b


def save_a_network(path: Path, spare: int) -> None:
    """Write a network; with spare objects, nothing is where it was in memory."""
    import_tensorflow()
    kept = [object() for _ in range(spare)]
    keras.backend.clear_session()  # which gives layers their names
    keras.utils.set_random_seed(1)
    files.save_network(path, MODELS["two_stage_painter"].build(CONFIG.models["two_stage_painter"]))
    assert len(kept) == spare


def test_the_same_network_is_the_same_file(tmp_path: Path) -> None:
    """Also in another process, where hashes and memory are others."""
    save_a_network(tmp_path / "a.keras", 0)
    with ProcessPoolExecutor(1, preloaded.CONTEXT) as pool:
        pool.submit(save_a_network, tmp_path / "b.keras", 100_000).result()
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert loaded.count_params() == 15_010


def test_a_failed_write_leaves_the_old_results(tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    with staging(cell, tmp_path) as folder:
        (folder / "metrics.json").write_text("old")
    with pytest.raises(OSError, match=r"No space left on device: '.*cell'"), staging(cell, tmp_path) as folder:
        (folder / "metrics.json").write_text("ne")
        raise OSError(28, "No space left on device")
    assert (cell / "metrics.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [cell]


@pytest.fixture(scope="module")
def _regressor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("fabricated"), "coordconv_regressor").directory


@pytest.fixture
def regressor(_regressor: Path, tmp_path: Path) -> Path:
    """The folder of a cell of four epochs."""
    return shutil.copytree(_regressor, tmp_path / _regressor.name)


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "predictions.npz"])
@pytest.mark.parametrize("kind", ["missing", "cut", "flipped"])
def test_damaged_cells_are_refused_in_one_line(regressor: Path, name: str, kind: str) -> None:
    if kind == "missing":
        (regressor / name).unlink()
    elif kind == "cut":
        (regressor / name).write_bytes((regressor / name).read_bytes()[:20])
    else:  # an unknown version of zip, a number that is none, no number at all
        content = (regressor / name).read_bytes().replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03m")
        (regressor / name).write_bytes(content.replace(b'"epochs": ', b'"epochs": -').replace(b"\n1,", b"\none,", 1))
    with pytest.raises(StudyError) as refusal:
        files.load(regressor)
    assert str(regressor) in str(refusal.value)
    assert "dvc repro" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [None, "", "[1]", '{"epoch_seconds": ', '{"epoch_seconds": [], "results": "others"}']
)
def test_nothing_depends_on_the_seconds(regressor: Path, content: str | None) -> None:
    """They may be missing, or be of a training whose results DVC has replaced."""
    assert files.load_timings(regressor, cell_digest(regressor))["epoch_seconds"] == [2.0] * 4
    path = regressor / "timings.json"
    path.unlink() if content is None else path.write_text(content)
    assert files.load_timings(regressor, cell_digest(regressor)) == {}
    names = {point.name for point in collect(files.load(regressor)).metrics}
    assert "test_exact" in names
    assert "train_seconds" not in names


def test_a_foreign_cell_is_refused(regressor: Path) -> None:
    metrics = json.loads((regressor / "metrics.json").read_text())
    (regressor / "metrics.json").write_text(json.dumps(metrics | {"model": "somebody_else"}))
    with pytest.raises(StudyError, match="somebody_else"):
        files.load(regressor)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", {}),
        ("recipe", 3),
        ("recipe", {"epochs": "ten"}),
        ("split_arguments", {"corner": "middle"}),
        ("split_arguments", [1]),
        ("split", "diagonal"),
        ("model", ["coordconv_regressor"]),
        ("test_exact", "all"),
        ("task", None),
        *(("epochs_to_perfect", odd) for odd in ("2", [1], -1, 1.5, 999)),
        *(("epochs", odd) for odd in (4, 999, 10**12)),
        ("test_exact", 0.5),  # predictions.npz, which comes from DVC's remote, is of another training
    ],
)
def test_metrics_that_say_something_else_are_refused_in_one_line(regressor: Path, key: str, value: object) -> None:
    metrics = json.loads((regressor / "metrics.json").read_text())
    (regressor / "metrics.json").write_text(json.dumps(metrics | {key: value}))
    with pytest.raises(StudyError) as refusal:
        files.load(regressor)
    assert str(regressor) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_metrics_that_are_no_mapping_are_refused(regressor: Path, content: str) -> None:
    (regressor / "metrics.json").write_text(content)
    with pytest.raises(StudyError, match="cannot be read"):
        files.load(regressor)


@pytest.mark.parametrize("epoch", ["0", "99", "nan", "inf", "1", "1.5"])
def test_epochs_that_were_not_trained_are_refused(regressor: Path, epoch: str) -> None:
    header, *rows = (regressor / "history.csv").read_text().splitlines()
    rows[-1] = ",".join([epoch, *rows[-1].split(",")[1:]])
    (regressor / "history.csv").write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(StudyError, match="has epochs that are none"):
        files.load(regressor)


@pytest.mark.parametrize("name", ["history.csv", "metrics.json"])
def test_a_loss_that_is_not_finite_is_refused(regressor: Path, name: str) -> None:
    """JSON of the report has no word for it, and its page would show nothing at all."""
    cell = files.load(regressor)
    loss = {"history.csv": cell.history[-1]["test_loss"], "metrics.json": cell.metrics["test_loss"]}[name]
    infinite = {"history.csv": "inf", "metrics.json": "Infinity"}[name]
    text = (regressor / name).read_text()
    assert str(loss) in text
    (regressor / name).write_text(text.replace(str(loss), infinite))
    with pytest.raises(StudyError, match="finite"):
        files.load(regressor)
