from __future__ import annotations

from pathlib import Path
from time import process_time
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import yaml

from notsoclevr import dataset
from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.errors import StudyError
from notsoclevr.splits import Uniform

from .conftest import ROOT


def test_every_square_is_whole_and_around_its_centre(full: Dataset) -> None:
    assert full.squares.shape == full.onehots.shape == (3136, 64, 64)
    for (row, column), onehot, square in zip(full.coordinates.astype(int), full.onehots, full.squares, strict=True):
        assert square[row - 4 : row + 5, column - 4 : column + 5].sum() == square.sum() == 81
        assert onehot[row, column] == onehot.sum() == 1


def test_positions_are_all_and_in_order(full: Dataset) -> None:
    expected = [[row, column] for row in range(4, 60) for column in range(4, 60)]
    assert full.coordinates.tolist() == expected
    assert {array.dtype for array in (full.coordinates, full.onehots, full.squares)} == {np.dtype(np.uint8)}
    # the example of the module's docstring
    assert full.coordinates[56].tolist() == [5, 4]
    assert full.squares[56, 1:10, 0:9].all()


def test_generation_is_quick_and_small(tmp_path: Path) -> None:
    seconds = []  # of the processor: others may keep it busy
    for _ in range(5):
        started = process_time()
        dataset.save_dataset(tmp_path / "d.npz", dataset.generate())
        seconds.append(process_time() - started)
    assert min(seconds) < 0.2
    assert (tmp_path / "d.npz").stat().st_size < 1_000_000


def test_files_hold_what_other_programs_read(full: Dataset, tmp_path: Path) -> None:
    dataset.save_dataset(tmp_path / "all.npz", full)
    dataset.save_split(tmp_path / "split.npz", Uniform(train_share=0.8, seed=0)(full))
    with np.load(tmp_path / "all.npz", allow_pickle=False) as file:
        assert set(file.files) == {"version", "coordinates", "onehots", "squares"}
    with np.load(tmp_path / "split.npz", allow_pickle=False) as file:
        names = {f"{part}_{name}" for part in ("train", "test") for name in ("coordinates", "onehots", "squares")}
        assert set(file.files) == names | {"version"}
        assert file["test_squares"].shape == (627, 64, 64)
    loaded = dataset.load_dataset(tmp_path / "all.npz")
    np.testing.assert_array_equal(loaded.squares, full.squares)


def test_files_do_not_depend_on_the_clock_or_the_version_of_python(full: Dataset, tmp_path: Path) -> None:
    dataset.save_dataset(tmp_path / "all.npz", full)
    with ZipFile(tmp_path / "all.npz") as file:
        headers = {(member.create_version, member.extract_version, member.date_time) for member in file.infolist()}
    assert headers == {(20, 20, (1980, 1, 1, 0, 0, 0))}  # NumPy's own files have 20 or 45


def damaged(path: Path, kind: str) -> None:
    arrays = {"coordinates": np.zeros((3, 2), np.uint8), "version": np.array(dataset.VERSION)}
    arrays |= {name: np.zeros((3, 64, 64), np.uint8) for name in ("onehots", "squares")}
    match kind:
        case "cut":
            np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
            path.write_bytes(path.read_bytes()[:-400])
        case "text":
            path.write_text("not an archive")
        case "empty":
            path.write_bytes(b"")
        case "of another version":
            np.savez(path, **arrays | {"version": np.array(99)})  # type: ignore[arg-type]
        case "without an array":
            np.savez(path, version=arrays["version"], coordinates=arrays["coordinates"])
        case "of wrong shape":
            np.savez(path, **arrays | {"squares": np.zeros((3, 60, 64), np.uint8)})  # type: ignore[arg-type]
        case "of wrong length":
            np.savez(path, **arrays | {"onehots": np.zeros((2, 64, 64), np.uint8)})  # type: ignore[arg-type]
        case "of wrong type":
            np.savez(path, **arrays | {"squares": np.zeros((3, 64, 64))})  # type: ignore[arg-type]
        case "pickled":
            np.savez(path, **arrays | {"squares": np.array([{}, {}], object)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "cut",
        "text",
        "empty",
        "of another version",
        "without an array",
        "of wrong shape",
        "of wrong length",
        "of wrong type",
        "pickled",
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "not_so_clevr.npz"
    damaged(path, kind)
    with pytest.raises(StudyError) as refusal:
        dataset.load_dataset(path)
    message = str(refusal.value)
    assert str(path) in message
    assert "notsoclevr generate" in message
    assert "\n" not in message


def test_a_dataset_is_no_split(full: Dataset, tmp_path: Path) -> None:
    dataset.save_dataset(tmp_path / "quadrant.npz", full)
    with pytest.raises(StudyError, match="notsoclevr split"):
        dataset.load_split(tmp_path / "quadrant.npz")


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        dataset.load_dataset(tmp_path)


def test_a_failed_write_leaves_the_old_file(full: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.npz"
    dataset.save_dataset(path, full)
    before = path.read_bytes()

    def full_disk(file: Path, arrays: object) -> None:
        Path(file).write_bytes(b"half a fi")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(dataset, "write_npz", full_disk)
    with pytest.raises(OSError, match="No space left"):
        dataset.save_dataset(path, full)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_card_names_every_array_of_every_file(tmp_path: Path, full: Dataset) -> None:
    card = (ROOT / "data" / "README.md").read_text("utf-8")
    rows = [tuple(line.strip("| ").split(" | ")) for line in card.splitlines() if line.startswith("|")][2:]
    dataset.save_dataset(tmp_path / "not_so_clevr.npz", full)
    for name, split in load(ROOT / "params.yaml").splits.items():
        dataset.save_split(tmp_path / f"{name}.npz", split(full))
    written = []
    for path in tmp_path.iterdir():
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        assert arrays.pop("version") == dataset.VERSION
        written += [(path.name, name, str(a.dtype), ", ".join(map(str, a.shape))) for name, a in arrays.items()]
    assert sorted(rows) == sorted(written)
    assert f"its `version`, {dataset.VERSION}," in card


def test_the_card_has_the_sizes_and_the_counts_of_the_lock(full: Dataset) -> None:
    card = (ROOT / "data" / "README.md").read_text("utf-8")
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text("utf-8"))["stages"]
    for stage in ("generate", "split@uniform", "split@quadrant"):
        (out,) = locked[stage]["outs"]
        assert f"- {Path(out['path']).name}: {out['size']:,} bytes" in card
    for name, split in load(ROOT / "params.yaml").splits.items():
        divided = split(full)
        assert f"*{name}*: {len(divided.train):,} for training, {len(divided.test):,} for the test" in card


class Harmful:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files come from a remote that others write to."""
    monkeypatch.chdir(tmp_path)
    arrays: dict[str, Any] = {"coordinates": np.zeros((3, 2), np.uint8), "onehots": np.zeros((3, 64, 64), np.uint8)}
    arrays |= {"version": np.array(dataset.VERSION), "squares": np.array([Harmful()], object)}
    np.savez(tmp_path / "dataset.npz", **arrays)
    with pytest.raises(StudyError):
        dataset.load_dataset(tmp_path / "dataset.npz")
    assert not Path("executed").exists()


def test_a_file_without_examples_is_refused(tmp_path: Path, full: Dataset) -> None:
    dataset.save_dataset(tmp_path / "dataset.npz", full[np.arange(0)])
    with pytest.raises(StudyError, match="is empty"):
        dataset.load_dataset(tmp_path / "dataset.npz")
