"""An experiment: all that decides a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from notsoclevr.models import MODELS, Model
from notsoclevr.recipes import Recipe
from notsoclevr.splits import Split
from notsoclevr.tasks import TASKS, Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What decides a training, whole: on one thread, the same experiment gives the same numbers on the same machine.

    Args:
        model: A key of `notsoclevr.models.MODELS`; it implies the task.
        split: The split, with its arguments.
        seed: The seed of the initial weights and of the order of the examples.
        recipe: How the model is built and trained.
    """

    model: str
    split: Split
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """<model>-<split>, as the folders of results are named."""
        return f"{self.model}-{self.split.name}"

    @property
    def entry(self) -> Model:
        """The model's entry in the table."""
        return MODELS[self.model]

    @property
    def task(self) -> Task:
        """The task that the model is made for."""
        return TASKS[self.entry.task]

    def loss(self) -> keras.losses.Loss:
        """Return the loss of a batch: that of the recipe where it names one, else the task's own."""
        losses = self.task.losses
        return losses[getattr(self.recipe, "loss", next(iter(losses)))]()

    def settings(self) -> dict[str, Any]:
        """Return all that decides the training, flat, by the names that tables and MLflow have for it."""
        return {
            "model": self.model,
            "split": self.split.name,
            **{f"split_{name}": value for name, value in asdict(self.split).items()},
            "seed": self.seed,
            **asdict(self.recipe),
        }
