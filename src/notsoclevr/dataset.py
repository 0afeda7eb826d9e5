"""The Not-so-Clevr dataset: squares on a canvas, and the files that hold them.

A square of 9x9 pixels may stand anywhere on a canvas of 64x64 where it is whole, so its centre (row, column) lies in
4..59 squared: 56 * 56 = 3,136 examples. The example with the centre (5, 4) is the 57th:

    coordinates[56]        -> [5, 4]
    onehots[56]            -> 1 at row 5, column 4; 0 elsewhere
    squares[56]            -> 1 at rows 1..9, columns 0..8; 0 elsewhere

Source: the paper, section 3; the tutorial, section Dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from notsoclevr.archives import write_npz
from notsoclevr.errors import StudyError
from notsoclevr.files import atomic_write

CANVAS = 64  # side of the canvas, pixels
SQUARE = 9  # side of a square, pixels
MARGIN = SQUARE // 2  # pixels from a square's centre to its edge
POSITIONS = CANVAS - 2 * MARGIN  # centres a row or column at which the square is whole
VERSION = 1  # of the file formats; raised when their content changes
# Centres (row, column) of the squares that the tutorial shows: of its uniform split, then of its quadrant split.
SHOWCASE = (
    *((13, 7), (45, 32), (59, 46), (5, 10), (29, 41), (33, 9)),
    *((7, 56), (10, 59), (31, 7), (32, 50), (39, 50), (59, 44)),
)
SHOWCASE_PLACES = [(row - MARGIN) * POSITIONS + column - MARGIN for row, column in SHOWCASE]  # in the dataset

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Examples of Not-so-Clevr.

    Args:
        coordinates: Centres (row, column) in pixels, uint8 (n, 2).
        onehots: The centre alone, uint8 (n, 64, 64), 0 or 1.
        squares: The square, uint8 (n, 64, 64), 0 or 1.
    """

    coordinates: Bytes
    onehots: Bytes
    squares: Bytes

    def __len__(self) -> int:
        return len(self.coordinates)

    def __getitem__(self, members: npt.NDArray[Any]) -> Dataset:
        """Return the examples that a mask or a list of indices picks."""
        return Dataset(
            coordinates=self.coordinates[members],
            onehots=self.onehots[members],
            squares=self.squares[members],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitDataset:
    """A dataset divided into a training set and a test set without a common example."""

    train: Dataset
    test: Dataset


def equal(one: SplitDataset, other: SplitDataset) -> bool:
    """Return whether two split datasets hold the same examples in the same order."""
    mine, theirs = _split_arrays(one), _split_arrays(other)
    return all(np.array_equal(array, theirs[name]) for name, array in mine.items())


def dataset_path(root: Path) -> Path:
    """Return the file of the dataset in a repository."""
    return root / "data" / "not_so_clevr.npz"


def split_path(root: Path, name: str) -> Path:
    """Return the file of a split in a repository."""
    return root / "data" / f"{name}.npz"


def generate() -> Dataset:
    """Return all 3,136 examples, row by row.

    Returns:
        The dataset, ordered by row, then column.
    """
    centres = np.arange(MARGIN, CANVAS - MARGIN)
    coordinates = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)  # (n, 2)
    pixels = np.arange(CANVAS)
    on_row = np.abs(coordinates[:, :1] - pixels)  # (n, 64): distance of each canvas row from the centre
    on_column = np.abs(coordinates[:, 1:] - pixels)
    near_row, near_column = on_row <= MARGIN, on_column <= MARGIN
    return Dataset(
        coordinates=coordinates.astype(np.uint8),
        onehots=((on_row == 0)[:, :, None] & (on_column == 0)[:, None, :]).view(np.uint8),  # (n, 64, 64)
        squares=(near_row[:, :, None] & near_column[:, None, :]).view(np.uint8),
    )


def _arrays(examples: Dataset, prefix: str = "") -> dict[str, Bytes]:
    return {prefix + name: getattr(examples, name) for name in Dataset.__slots__}


def _split_arrays(split: SplitDataset) -> dict[str, Bytes]:
    return _arrays(split.train, "train_") | _arrays(split.test, "test_")


def _save(path: Path, arrays: dict[str, Bytes]) -> None:
    with atomic_write(path) as temporary:
        write_npz(temporary, {"version": np.array(VERSION), **arrays})


def _load(path: Path, prefixes: Sequence[str], made_by: str) -> list[Dataset]:
    """Load the examples in a file, of each prefix, and refuse a file that cannot be what `made_by` writes."""
    remedy = f"make it with `{made_by}`"
    names = {prefix + name for prefix in prefixes for name in Dataset.__slots__}
    try:
        # np.load leaves a file open that it opened itself and cannot read
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if {*file.files} != names | {"version"}:
                raise StudyError(f"{path}: holds {', '.join(sorted(file.files))}, not Not-so-Clevr; {remedy}")
            if (version := file["version"].tolist()) != VERSION:
                raise StudyError(f"{path}: is of version {version}, this program reads {VERSION}; {remedy}")
            sets = [{name: file[prefix + name] for name in Dataset.__slots__} for prefix in prefixes]
    except StudyError:
        raise
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; {remedy}") from None
    except OSError:
        raise
    except Exception:  # whatever zipfile and NumPy say of a damaged file
        raise StudyError(f"{path}: truncated, or no npz file; {remedy}") from None
    for prefix, arrays in zip(prefixes, sets, strict=True):
        n = arrays["coordinates"].size // 2
        if n == 0:
            raise StudyError(f"{path}: {prefix}coordinates is empty; {remedy}")
        for name, array in arrays.items():
            shape = (n, 2) if name == "coordinates" else (n, CANVAS, CANVAS)
            if array.shape != shape or array.dtype != np.uint8:
                raise StudyError(f"{path}: {prefix}{name} is {array.dtype} {array.shape}, not uint8 {shape}; {remedy}")
    return [Dataset(**arrays) for arrays in sets]


def save_dataset(path: Path, dataset: Dataset) -> None:
    """Write a dataset to a compressed npz file, the same bytes for the same examples."""
    _save(path, _arrays(dataset))


def load_dataset(path: Path) -> Dataset:
    """Load a dataset.

    Raises:
        StudyError: The file is missing, damaged, of another version, or no dataset.
    """
    (dataset,) = _load(path, [""], "notsoclevr generate")
    return dataset


def save_split(path: Path, split: SplitDataset) -> None:
    """Write a split dataset to a compressed npz file, the same bytes for the same examples."""
    _save(path, _split_arrays(split))


def load_split(path: Path) -> SplitDataset:
    """Load a split dataset.

    Raises:
        StudyError: The file is missing, damaged, of another version, or no split.
    """
    train, test = _load(path, ["train_", "test_"], "notsoclevr split")
    return SplitDataset(train=train, test=test)
