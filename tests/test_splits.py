from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from notsoclevr import dataset
from notsoclevr.dataset import Dataset
from notsoclevr.splits import SPLITS, Quadrant, Split, Uniform


def members(examples: Dataset) -> set[tuple[int, ...]]:
    return {tuple(centre) for centre in examples.coordinates.tolist()}


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        (Uniform(train_share=0.8, seed=0), 2509, 627),
        (Uniform(train_share=0.75, seed=0), 2352, 784),  # the tutorial's code
        (Quadrant(corner="lower_right", boundary=32), 2352, 784),  # the tutorial
        (Quadrant(corner="lower_right", boundary=33), 2407, 729),  # the paper's code
        (Quadrant(corner="upper_left", boundary=32), 2352, 784),
    ],
)
def test_splits_are_disjoint_and_complete(full: Dataset, split: Split, train: int, test: int) -> None:
    divided = split(full)
    assert (len(divided.train), len(divided.test)) == (train, test)
    assert members(divided.train) | members(divided.test) == members(full)
    assert not members(divided.train) & members(divided.test)


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [
        ("upper_left", (4, 31), (4, 31)),
        ("upper_right", (4, 31), (32, 59)),
        ("lower_left", (32, 59), (4, 31)),
        ("lower_right", (32, 59), (32, 59)),
    ],
)
def test_quadrant_keeps_its_corner(full: Dataset, corner: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    test = Quadrant(corner=corner, boundary=32)(full).test.coordinates
    assert (test[:, 0].min(), test[:, 0].max()) == rows
    assert (test[:, 1].min(), test[:, 1].max()) == columns


def test_seed_decides_the_uniform_split(full: Dataset, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        dataset.save_split(tmp_path / f"{name}.npz", Uniform(train_share=0.8, seed=seed)(full))
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c
    assert members(dataset.load_split(tmp_path / "a.npz").test) != members(dataset.load_split(tmp_path / "c.npz").test)


def test_a_split_knows_its_name_and_its_arguments() -> None:
    split = Quadrant(corner="upper_left", boundary=30)
    assert SPLITS[split.name](**asdict(split)) == split
    assert asdict(split) == {"corner": "upper_left", "boundary": 30}
    assert split != Quadrant(corner="upper_left", boundary=31)
    assert {split, Quadrant(corner="upper_left", boundary=30)} == {split}
