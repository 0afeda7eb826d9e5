"""Compute metrics from the outputs of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from notsoclevr.cost import training_operations
from notsoclevr.dataset import Dataset, SplitDataset
from notsoclevr.experiment import Experiment
from notsoclevr.tasks import Floats

if TYPE_CHECKING:
    import keras

Row = dict[str, float]  # what was measured after an epoch, by name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """All examples of a split in the order of their centres, row by row.

    Args:
        dataset: The examples.
        is_test: Whether each is in the test set, bool (n,).
    """

    dataset: Dataset
    is_test: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, split: SplitDataset) -> Canvas:
        """Return the training set and the test set joined."""
        sets = (split.train, split.test)
        joined = {name: np.concatenate([getattr(each, name) for each in sets]) for name in Dataset.__slots__}
        order = np.lexsort(joined["coordinates"].T[::-1])
        return cls(
            dataset=Dataset(**joined)[order],
            is_test=np.repeat([False, True], [len(each) for each in sets])[order],
        )


def score(experiment: Experiment, canvas: Canvas, outputs: Floats) -> Row:
    """Compute how good the outputs of a network are on the training set and on the test set.

    Args:
        experiment: What the network was trained for; the loss is that which it was trained with.
        canvas: The examples that the outputs belong to.
        outputs: The outputs of the network, (n, ...).

    Returns:
        The loss and the mean of each metric of the task on both sets: "train_loss", "test_exact" and so on.
    """
    task, loss = experiment.task, experiment.loss()
    measured = task.measure(canvas.dataset, outputs)
    targets = task.targets(canvas.dataset)
    values: Row = {}
    for part, members in (("train", ~canvas.is_test), ("test", canvas.is_test)):
        values[f"{part}_loss"] = float(loss(targets[members], outputs[members]))
        values |= {f"{part}_{name}": float(value[members].mean()) for name, value in measured.items()}
    return values


def summarise(
    experiment: Experiment,
    canvas: Canvas,
    outputs: Floats,
    history: Sequence[Mapping[str, float]],
    network: keras.Model,
) -> dict[str, Any]:
    """Return what was trained and how well it answers after the last epoch, as metrics.json has it.

    Args:
        experiment: What was trained.
        canvas: The examples.
        outputs: The outputs of the fitted network, (n, ...).
        history: One row per measured epoch: "epoch", "train_exact", "test_exact" and more.
        network: The fitted network.
    """
    examples = experiment.recipe.epochs * int((~canvas.is_test).sum())
    perfect = [row["epoch"] for row in history if row["train_exact"] == row["test_exact"] == 1]
    return {
        "task": experiment.entry.task,
        "model": experiment.model,
        "split": experiment.split.name,
        "split_arguments": asdict(experiment.split),
        "seed": experiment.seed,
        "recipe": asdict(experiment.recipe),
        "parameters": network.count_params(),
        "training_operations": training_operations(network, examples),
        "epochs": experiment.recipe.epochs,
        "epochs_to_perfect": min(perfect, default=None),
        **score(experiment, canvas, outputs),
    }
