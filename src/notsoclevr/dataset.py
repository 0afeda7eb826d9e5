"""The Not-so-Clevr dataset: squares on a canvas, and how its examples are split.

A square of 9x9 pixels may stand anywhere on a canvas of 64x64 where it is whole, so its centre (row, column) lies in
4..59 squared: 56 * 56 = 3,136 examples. The example with the centre (5, 4) is the 57th:

    coordinates[56]        -> [5, 4]
    onehots[56]            -> 1 at row 5, column 4; 0 elsewhere
    squares[56]            -> 1 at rows 1..9, columns 0..8; 0 elsewhere

Source: the paper, section 3; the tutorial, section Dataset.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from notsoclevr.atomic import replacing
from notsoclevr.errors import StudyError

CANVAS = 64  # side of the canvas, pixels
SQUARE = 9  # side of a square, pixels
MARGIN = SQUARE // 2  # pixels from a square's centre to its edge
POSITIONS = CANVAS - 2 * MARGIN  # centres a row or column at which the square is whole
VERSION = 1  # of the file formats; raised when their content changes

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
        """Give the examples that a mask or a list of indices picks."""
        return Dataset(
            coordinates=self.coordinates[members],
            onehots=self.onehots[members],
            squares=self.squares[members],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """A dataset in two halves without a common example."""

    train: Dataset
    test: Dataset


def generate() -> Dataset:
    """Make all 3,136 examples, row by row.

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


def split_uniform(dataset: Dataset, *, train_share: float, seed: int) -> Split:
    """Draw the training half at random.

    Args:
        dataset: What to split.
        train_share: Share of the examples that train, between 0 and 1; the paper and the tutorial say 0.8, their
            code draws 0.755 and 0.75.
        seed: Of the draw.

    Returns:
        The two halves, each in the order of `dataset`.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    trains = np.zeros(len(dataset), bool)
    trains[order[: round(train_share * len(dataset))]] = True
    return Split(train=dataset[trains], test=dataset[~trains])


def split_quadrant(dataset: Dataset, *, corner: str, boundary: int) -> Split:
    """Keep one corner of the canvas for the test.

    Args:
        dataset: What to split.
        corner: The corner kept: "upper_left", "upper_right", "lower_left" or "lower_right".
        boundary: First row and first column, in pixels, of the lower and the right half: 32 as in the tutorial, 33
            as in the paper's code.

    Returns:
        The two halves, each in the order of `dataset`.
    """
    vertical, horizontal = corner.split("_")
    lower, right = (dataset.coordinates >= boundary).T
    tests = (lower if vertical == "lower" else ~lower) & (right if horizontal == "right" else ~right)
    return Split(train=dataset[~tests], test=dataset[tests])


SPLITS: dict[str, Callable[..., Split]] = {"uniform": split_uniform, "quadrant": split_quadrant}


def _fields(prefix: str = "") -> tuple[str, ...]:
    return tuple(prefix + name for name in Dataset.__slots__)


def _save(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    with replacing(path) as temporary:
        np.savez_compressed(temporary, version=np.array(VERSION), **arrays)  # type: ignore[arg-type]


def _load(path: Path, names: tuple[str, ...], made_by: str) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a file, and refuse a file that cannot be what `made_by` writes."""
    remedy = f"make it with `{made_by}`"
    try:
        with np.load(path, allow_pickle=False) as file:
            if set(file.files) != {*names, "version"}:
                raise StudyError(f"{path}: holds {', '.join(sorted(file.files))}, not Not-so-Clevr; {remedy}")
            if (version := file["version"].tolist()) != VERSION:
                raise StudyError(f"{path}: is of version {version}, this program reads {VERSION}; {remedy}")
            arrays = {name: file[name] for name in names}
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; {remedy}") from None
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error):
        raise StudyError(f"{path}: truncated, or no npz file; {remedy}") from None
    for name, array in arrays.items():
        n = len(arrays[name.replace(name.rpartition("_")[2], "coordinates")]) if array.ndim else 0
        shape = (n, 2) if name.endswith("coordinates") else (n, CANVAS, CANVAS)
        if n == 0 or array.shape != shape or array.dtype != np.uint8:
            raise StudyError(f"{path}: {name} is {array.dtype} {array.shape}, not uint8 {shape}; {remedy}")
    return arrays


def save_dataset(path: Path, dataset: Dataset) -> None:
    """Write a dataset to a compressed npz file, the same bytes for the same examples."""
    _save(path, {name: getattr(dataset, name) for name in _fields()})


def load_dataset(path: Path) -> Dataset:
    """Read a dataset.

    Raises:
        StudyError: The file is missing, damaged, of another version, or no dataset.
    """
    return Dataset(**_load(path, _fields(), "notsoclevr generate"))


def save_split(path: Path, split: Split) -> None:
    """Write both halves of a split to a compressed npz file, the same bytes for the same examples."""
    _save(
        path,
        {f"{half}_{name}": getattr(getattr(split, half), name) for half in Split.__slots__ for name in _fields()},
    )


def load_split(path: Path) -> Split:
    """Read a split.

    Raises:
        StudyError: The file is missing, damaged, of another version, or no split.
    """
    names = tuple(name for half in Split.__slots__ for name in _fields(f"{half}_"))
    arrays = _load(path, names, "notsoclevr split")
    return Split(
        **{half: Dataset(**{name: arrays[f"{half}_{name}"] for name in _fields()}) for half in Split.__slots__}
    )
