"""The models: one module each, and the table that names them.

A module of this package has the name of its model, and holds its recipe class, its builder and its entry in the table.
What several of them share is in `parts`. To add a model, add such a module and a section of params.yaml.

Shapes are written with these letters: n examples, h = w = 64 rows and columns of the canvas, f channels.
Painters and classifiers take coordinates (n, 2) and give a logit per pixel, (n, h, w, 1) from the first and (n, h * w)
from the second; regressors take images (n, h, w, 1) and give coordinates (n, 2).
Coordinates are (row, column) in pixels at both ends of every network: scaling is a layer of the network, so that a
saved model needs nothing beside it.

Keras is imported inside the builders: the table serves the command line, which must start at once.

Source: the structures are those of the code that the paper's authors released, and of the tutorial where it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from notsoclevr.models.model import Model
from notsoclevr.tasks import TASKS

__all__ = ["MODELS", "Model"]


def _entries() -> Iterator[Model]:
    for module in iter_modules(__path__):
        if entry := getattr(import_module(f"{__name__}.{module.name}"), "ENTRY", None):
            if entry.name != module.name:
                raise ValueError(f"models/{module.name}.py: ENTRY is named {entry.name!r}, not as the module")
            if entry.task not in TASKS:
                raise ValueError(f"models/{module.name}.py: task {entry.task!r} is none of {', '.join(TASKS)}")
            yield entry


# By task; in it first those that are told where they are, then the baselines.
MODELS: dict[str, Model] = {
    model.name: model
    for model in sorted(_entries(), key=lambda model: ([*TASKS].index(model.task), not model.coordinates))
}
