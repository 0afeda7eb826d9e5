"""Strips: every run of a study as a dot, for the page to draw."""

from __future__ import annotations

from typing import Any

import pandas as pd

from notsoclevr.models import MODELS
from notsoclevr.report.markdown import interval, share, span, success
from notsoclevr.studies.rows import is_perfect


def strips(runs: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the runs of the study over seeds, one strip per model and split, and one for its fresh seeds.

    Args:
        runs: Runs of the study `seeds`, none of which failed; they differ in model, split and seed.

    Returns:
        Records with split, model, its entry, and name, what the strip is called; dots, places (across, down) in
        hundredths, across by how much of the test set was answered exactly; words, the same in words; perfect, how many
        runs ended perfect, in words; share, of those, and interval, its ends, both in hundredths. No record without the
        study, or before it has run.
    """
    if runs is None:
        return []
    runs = runs.assign(place=runs["model"].map([*MODELS].index), name=titles(runs))
    return [_strip(own) | {"name": name} for (_, _, name), own in runs.groupby(["split", "place", "name"])]


def titles(runs: pd.DataFrame) -> pd.Series[str]:
    """Return the titles of runs over seeds: that of the model, with ", fresh seeds" where a seed led to no recipe.

    Args:
        runs: With the variant `fresh` for seeds that never led to a change of the search.
    """
    title = runs["model"].map(lambda model: MODELS[model].title)
    return title.where(runs["variant"] != "fresh", title + ", fresh seeds")


def _strip(runs: pd.DataFrame) -> dict[str, Any]:
    exact, perfect = runs["test_exact"].sort_values(), is_perfect(runs)
    down = 50 + apart(exact.round(2), room=90, step=14)
    return {
        "split": runs["split"].iloc[0],
        "model": MODELS[runs["model"].iloc[0]],
        "dots": [(round(100 * x, 2), round(y, 2)) for x, y in zip(exact, down, strict=True)],
        "words": f"{span(exact, share)} of the test set exact, median {share(float(exact.median()))}",
        "perfect": success(int(perfect.sum()), len(runs)),
        "share": round(100 * float(perfect.mean()), 2),
        "interval": [round(100 * end, 2) for end in interval(int(perfect.sum()), len(runs))],
    }


def apart(values: pd.Series[float], room: float, step: float) -> pd.Series[float]:
    """Return where dots stand across their line, from its middle, so that those of equal values hide no other.

    Args:
        values: The values of the dots, along the line.
        room: What those of one value may take.
        step: Between two of them, if there is room.
    """
    alike = values.groupby(values)
    n, size = alike.cumcount(), alike.transform("size")
    return (n - (size - 1) / 2) * (room / size).clip(upper=step)
