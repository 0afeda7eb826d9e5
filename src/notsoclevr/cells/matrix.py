"""The cells of the comparison: those that can be shown, and why others cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from notsoclevr.cells.files import Cell, load
from notsoclevr.config import PARAMS, Config
from notsoclevr.errors import TAKE_BACK, StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A cell of the matrix that cannot be shown.

    Args:
        name: <model>-<split>.
        model: Its model.
        reason: What is wrong with its files, in one line.
    """

    name: str
    model: str
    reason: str


def load_matrix(directory: Path, config: Config) -> tuple[list[Cell], list[Missing]]:
    """Load the cells of the comparison, and the reasons why others are missing.

    Args:
        directory: The folder of their folders.
        config: What they should be.

    Returns:
        The cells and the missing ones, each by model, then split.
    """
    cells: list[Cell] = []
    missing: list[Missing] = []
    for name, (model, split) in config.cells.items():
        try:
            cell = load(directory / name)
            if cell.name != name:
                raise StudyError(f"{cell.directory}: holds the results of {cell.name}; {TAKE_BACK}")
            trained, asked = cell.experiment.settings(), config.experiment(model, split).settings()
            for setting, value in asked.items():
                if trained[setting] != value:
                    there = f"was trained with {setting} {trained[setting]}"
                    raise StudyError(f"{cell.directory}: {there}, and {PARAMS} has {value}; {TAKE_BACK}")
            cells.append(cell)
        except StudyError as error:
            missing.append(Missing(name=name, model=model, reason=str(error)))
    return cells, missing
