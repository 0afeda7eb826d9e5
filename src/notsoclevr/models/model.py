"""An entry of the table of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from notsoclevr.recipes import Recipe

if TYPE_CHECKING:
    import keras

# Colours that remain apart for every kind of colour vision (Okabe and Ito, 2008).
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An entry of the table.

    Args:
        name: Its section in params.yaml.
        title: Its name for people.
        short: The same where the task is said already.
        task: The task it is made for, a key of `notsoclevr.tasks.TASKS`.
        recipe: The class that its section of params.yaml is read into.
        build: Returns an untrained network for a recipe.
        coordinates: Whether its convolutions are told where on the canvas they are: CoordConv, or a baseline of it.
        colour: The colour of its lines in figures.
    """

    name: str
    title: str
    short: str
    task: str
    recipe: type[Recipe]
    build: Callable[[Any], keras.Model]
    coordinates: bool
    colour: str
