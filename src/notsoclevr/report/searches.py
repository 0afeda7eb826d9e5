"""The searches for recipes in reports/studies.md: how many trials of each model were right, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from notsoclevr.files import atomic_write
from notsoclevr.models import MODELS
from notsoclevr.report.markdown import NONE, table
from notsoclevr.report.study_figures import save_strips
from notsoclevr.studies.search.rows import best, leader, load_lines, tabulate
from notsoclevr.studies.search.space import Space, load_space

Lines = Mapping[tuple[int, int], Mapping[str, str]]


def section(reports: Path, root: Path) -> list[str]:
    """Write figures/search.png, and return what studies.md says of the searches; nothing where none has begun.

    Args:
        reports: Where to.
        root: The repository.

    Raises:
        StudyError: A space, or the trials of a search, are not what they should be.
    """
    folders = [root / "studies" / "search" / model for model in MODELS]
    spaces = [load_space(folder, root) for folder in folders if (folder / "trials.csv").exists()]
    if not spaces:
        return []
    searches = [(space, load_lines(space)) for space in spaces]
    kinds = {MODELS[space.model].title: tabulate(space, lines).dropna() for space, lines in searches}
    drawn = []
    if any(len(runs) for runs in kinds.values()):
        with atomic_write(reports / "figures" / "search.png") as path:
            save_strips(path, kinds, "the validation positions", independent=False)
        drawn = ["![Trials of the searches for recipes](figures/search.png)", ""]
    header = ["model", "trials", "pruned", "failed", "exact", "the best again", "recipe", "its lowest score", "GFLOP"]
    return [
        "## search",
        "",
        "The search for recipes of docs/protocol.md. *exact*: trials that answer all validation positions of both",
        "splits; *the best again*: trainings of the best trials with other seeds that do; *recipe*: the trial that was",
        "chosen, and its lowest score with these seeds.",
        "",
        *drawn,
        *table(header, [_row(space, lines) for space, lines in searches], words=1),
        "",
    ]


def _row(space: Space, lines: Lines) -> list[str]:
    trials = [line for (_, seed), line in lines.items() if seed == space.seed]
    scores = {key: float(line["score"]) if line["score"] else None for key, line in lines.items()}
    candidates = best(space, scores)
    again = [line for (trial, seed), line in lines.items() if seed in space.seeds and trial in candidates]
    found = leader(space, scores) if space.recipe_file.exists() else None
    states = [line["state"] for line in trials]
    return [
        MODELS[space.model].title,
        f"{len(trials)} of {space.trials}",
        *(str(states.count(state)) for state in ("pruned", "failed")),
        _exact(space, trials),
        _exact(space, again) if again else NONE,
        *_chosen(again, found),
    ]


def _chosen(again: Sequence[Mapping[str, str]], found: tuple[int, float] | None) -> tuple[str, str, str]:
    """Return trial, lowest score with the other seeds and cost of the recipe."""
    if not found:
        return NONE, NONE, NONE
    trial, lowest = found
    cost = next(line["gflop"] for line in again if line["trial"] == str(trial))
    return str(trial), f"{lowest:.4f}", f"{float(cost):,.0f}"


def _exact(space: Space, lines: Sequence[Mapping[str, str]]) -> str:
    exact = [all(line[f"{split}_validation_exact"] == "1.0" for split in space.splits) for line in lines]
    return f"{sum(exact)} of {len(exact)}" if exact else NONE  # no interval: one trial depends on another
