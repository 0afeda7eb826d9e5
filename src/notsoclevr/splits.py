"""How the examples are divided into a training set and a test set.

A split is a frozen dataclass that holds its arguments and can be called:

    Uniform(train_share=0.8, seed=0)(generate())               -> 2,509 training and 627 test examples, at random
    Quadrant(corner="lower_right", boundary=32)(generate())    -> 2,352 and 784: one corner is never trained on

Its `name` is its section in params.yaml. To add a split, add a class, its entry in `SPLITS`
and its section.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from notsoclevr.dataset import CANVAS, MARGIN, Dataset, SplitDataset
from notsoclevr.recipes import FORBID, Seed, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(ABC):
    """A way to divide a dataset, with its arguments; it has a name, and may say in words what it asks of a network."""

    __pydantic_config__ = FORBID

    name: ClassVar[str]
    question: ClassVar[str] = "Trained on some positions, asked about the others."

    @abstractmethod
    def __call__(self, dataset: Dataset) -> SplitDataset:
        """Return the training set and the test set, each in the order of `dataset`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(Split):
    """A training set that is drawn at random.

    Args:
        train_share: Share of the examples in the training set, between 0 and 1; the paper and the tutorial say 0.8,
            their code draws 0.755 and 0.75.
        seed: The seed of the draw.
    """

    name: ClassVar[str] = "uniform"

    train_share: Share
    seed: Seed

    def __call__(self, dataset: Dataset) -> SplitDataset:
        """Return the training set and the test set, each in the order of `dataset`."""
        order = np.random.default_rng(self.seed).permutation(len(dataset))
        trains = np.zeros(len(dataset), bool)
        trains[order[: round(self.train_share * len(dataset))]] = True
        return SplitDataset(train=dataset[trains], test=dataset[~trains])


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadrant(Split):
    """A test set that is one corner of the canvas.

    Args:
        corner: The corner: "upper_left", "upper_right", "lower_left" or "lower_right".
        boundary: First row of the lower quadrants and first column of the right ones, in pixels: 32 as in
            the tutorial, 33 as in the paper's code.
    """

    name: ClassVar[str] = "quadrant"
    question: ClassVar[str] = "Trained on three quadrants, asked about the fourth."

    corner: Literal["upper_left", "upper_right", "lower_left", "lower_right"]
    boundary: Annotated[int, Field(gt=MARGIN, lt=CANVAS - MARGIN, strict=True)]

    def __call__(self, dataset: Dataset) -> SplitDataset:
        """Return the training set and the test set, each in the order of `dataset`."""
        vertical, horizontal = self.corner.split("_")
        lower, right = (dataset.coordinates >= self.boundary).T
        tests = (lower if vertical == "lower" else ~lower) & (right if horizontal == "right" else ~right)
        return SplitDataset(train=dataset[~tests], test=dataset[tests])


SPLITS: dict[str, type[Split]] = {split.name: split for split in (Uniform, Quadrant)}


def argument_names() -> tuple[str, ...]:
    """Return the names of the arguments of all splits, each once."""
    return tuple(dict.fromkeys(field.name for split in SPLITS.values() for field in fields(split)))
