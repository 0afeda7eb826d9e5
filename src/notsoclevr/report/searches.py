"""The searches for recipes in reports/studies.md: how many trials of each model were right, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from notsoclevr.files import atomic_write
from notsoclevr.models import MODELS
from notsoclevr.report.markdown import NONE, share, table
from notsoclevr.report.study_figures import save_strips
from notsoclevr.studies.search.rows import best, leader, load_lines, tabulate
from notsoclevr.studies.search.space import Space, load_space

Lines = Mapping[tuple[int, int], Mapping[str, str]]
Loaded = Sequence[tuple[Space, Lines]]  # searches, each with its trials


def load(root: Path) -> Loaded:
    """Load the searches that have begun, in the order of their models.

    Args:
        root: The repository.

    Raises:
        StudyError: A space, or the trials of a search, are not what they should be.
    """
    folders = [root / "studies" / "search" / model for model in MODELS]
    spaces = [load_space(folder, root) for folder in folders if (folder / "trials.csv").exists()]
    return [(space, load_lines(space)) for space in spaces]


def section(reports: Path, searches: Loaded) -> list[str]:
    """Write figures/search.png, and return what studies.md says of the searches; nothing where none has begun.

    Args:
        reports: Where to.
        searches: The searches.
    """
    if not searches:
        return []
    kinds = {MODELS[space.model].title: tabulate(space, lines).dropna() for space, lines in searches}
    drawn = []
    if any(len(runs) for runs in kinds.values()):
        with atomic_write(reports / "figures" / "search.png") as path:
            save_strips(path, kinds, "the validation positions", "all exact", independent=False)
        drawn = ["![Trials of the searches for recipes](figures/search.png)", ""]
    header = ["model", "trials", "pruned", "failed"]
    header += ["exact, first seed", "all seeds", "best again", "chosen", "at least", "GFLOP"]
    return [
        "## search",
        "",
        "The search for recipes of docs/protocol.md. *exact, first seed*: trials that answer all validation positions",
        "of both splits; *all seeds*: of those that got more seeds, how many do so with all of them; *best again*:",
        "trainings of the best trials with other seeds that do so; *chosen*: the trial whose recipe was chosen; *at",
        "least*: the mean of its shares on the two splits, with the seed where it is lowest; *GFLOP*: what a training",
        "costs. A pruned trial was trained on the first split alone. In the picture, *all exact* are those of the",
        "trials trained on a split that answer its training positions exactly too.",
        "",
        *drawn,
        *table(header, [_row(space, lines) for space, lines in searches], words=1),
        "",
    ]


def _row(space: Space, lines: Lines) -> list[str]:
    asked = {space.seed, *space.more_seeds, *space.seeds}
    lines = {key: line for key, line in lines.items() if key[1] in asked}  # others are of seeds that are asked no more
    trials = [line for (_, seed), line in lines.items() if seed == space.seed]
    scores = {key: float(line["score"]) if line["score"] else None for key, line in lines.items()}
    candidates = best(space, scores)
    again = [line for (trial, seed), line in lines.items() if seed in space.seeds and trial in candidates]
    over = space.recipe_file.exists() and len(trials) >= space.trials
    found = leader(space, scores) if over else None
    states = [line["state"] for line in trials]
    # only trials that were exact with every earlier seed get the last one
    further = [[line for (_, seed), line in lines.items() if seed == each] for each in space.more_seeds] or [trials]
    exact = sum(_is_exact(space, line) for line in further[-1])
    return [
        MODELS[space.model].title,
        f"{len(trials)} of {space.trials}",
        *(str(states.count(state)) for state in ("pruned", "failed")),
        _exact(space, trials),
        f"{exact} of {len(further[0])}" if further[0] else NONE,
        _exact(space, again),
        *(_chosen(space, [line for (trial, _), line in lines.items() if trial == found[0]]) if found else [NONE] * 3),
    ]


def _chosen(space: Space, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return trial, lowest mean share of the validation positions and cost of the recipe, from all its rows."""
    lowest = min(sum(float(row[f"{split}_validation_exact"] or 0) for split in space.splits) for row in rows)
    return [rows[0]["trial"], share(lowest / len(space.splits)), f"{float(rows[0]['gflop']):,.0f}"]


def _exact(space: Space, lines: Sequence[Mapping[str, str]]) -> str:
    """Return how many of how many trials are exact; without an interval, since they are not independent."""
    return f"{sum(_is_exact(space, line) for line in lines)} of {len(lines)}" if lines else NONE


def _is_exact(space: Space, line: Mapping[str, str]) -> bool:
    return all(float(line[f"{split}_validation_exact"] or 0) == 1 for split in space.splits)
