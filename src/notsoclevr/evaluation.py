"""Evaluation: outputs of one network to its metrics, and the metrics of all cells to the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from notsoclevr.dataset import Dataset, Split
from notsoclevr.tasks import Floats, Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """All examples of a split in the order of their centres, row by row.

    Args:
        dataset: The examples.
        is_test: Whether each is in the test half, bool (n,).
    """

    dataset: Dataset
    is_test: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, split: Split) -> Canvas:
        """Join the two halves of a split."""
        halves = (split.train, split.test)
        joined = {name: np.concatenate([getattr(half, name) for half in halves]) for name in Dataset.__slots__}
        order = np.lexsort(joined["coordinates"].T[::-1])
        return cls(
            dataset=Dataset(**joined)[order],
            is_test=np.repeat([False, True], [len(half) for half in halves])[order],
        )

    def place(self, centre: npt.NDArray[Any]) -> int:
        """Give the place of the example with this centre (row, column)."""
        return int(np.flatnonzero((self.dataset.coordinates == centre).all(axis=1))[0])


def score(task: Task, canvas: Canvas, outputs: Floats) -> dict[str, float]:
    """Measure the outputs of a network on both halves.

    Args:
        task: What was asked.
        canvas: The examples that the outputs belong to.
        outputs: Of the network, (n, ...).

    Returns:
        The loss and the mean of each measure of the task, a half: "train_loss", "test_exact" and so on.
    """
    loss = task.loss()
    measures = task.measures(canvas.dataset, outputs)
    targets = task.targets(canvas.dataset)
    values: dict[str, float] = {}
    for half, members in (("train", ~canvas.is_test), ("test", canvas.is_test)):
        values[f"{half}_loss"] = float(loss(targets[members], outputs[members]))
        values |= {f"{half}_{name}": float(value[members].mean()) for name, value in measures.items()}
    return values
