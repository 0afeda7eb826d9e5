"""Figures of the studies: what many runs have to say, in one picture.

The colours are those of the models: networks that are told where they are in blue, the baselines not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, PercentFormatter

from notsoclevr.cells import figures
from notsoclevr.models import MODELS
from notsoclevr.report.comparison_figures import in_percent, scale_to_operations
from notsoclevr.report.markdown import success
from notsoclevr.report.published import PAPER_METRICS, paper_metric, published
from notsoclevr.report.strips import apart
from notsoclevr.splits import SPLITS
from notsoclevr.studies.rows import is_perfect
from notsoclevr.tasks import METRICS

BESIDE = 1.03  # where the words beside a panel begin, in its widths
SMALL: Mapping[str, Any] = {"fontsize": 8, "va": "center"}
SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.8)  # of the study `sample_efficiency`
ENOUGH = 3  # seeds of which a median is drawn as a dot


def save_strips(
    path: Path,
    kinds: Mapping[str, pd.DataFrame],
    asked: str = "the test set",
    perfect: str = "perfect",
    *,
    independent: bool = True,
) -> None:
    """Write every run of a study as a dot: how much of its test set it ended exact on, one line per kind of run.

    Where all runs of a split are above 90 %, its panel begins at the lowest of them, or at 99 %.

    Args:
        path: The picture.
        kinds: What to call a line, and its runs, none of which failed; each split has a panel.
        asked: What was asked in place of the test set.
        perfect: What to call runs that were exact on all that they were trained on and asked.
        independent: One run says nothing of another, so that their share has an interval.
    """
    everything = pd.concat(kinds.values())
    splits = [split for split in SPLITS if (everything["split"] == split).any()]
    figure = Figure(figsize=(3.4 + 3.4 * len(splits), 0.24 * len(kinds) + 0.9), layout="constrained")
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        for place, runs in enumerate(kinds.values()):
            _strip(axes, place, runs[runs["split"] == split], independent)
            if place:
                axes.axhline(place - 0.5, color="#e8e8e8", linewidth=0.6, zorder=0)
        head = perfect + " (95 % interval)" * independent
        axes.text(BESIDE, -0.95, head, transform=axes.get_yaxis_transform(), **SMALL, color=figures.INK)
        axes.set_yticks(range(len(kinds)), list(kinds), fontsize=8)
        lowest = everything.loc[everything["split"] == split, "test_exact"].min()
        zoomed = lowest > 0.9
        low = min(lowest, 0.99) if zoomed else 0.0
        margin = 0.02 * (1 - low)
        axes.set(xlim=(low - margin, 1 + margin), ylim=(len(kinds) - 0.5, -0.5), xlabel=f"exact on {asked}")
        axes.set_title(f"{split}, zoomed in" if zoomed else split, fontsize=10)
        axes.xaxis.set_major_formatter(in_percent)
        axes.xaxis.label.set_size(8)
        axes.tick_params(axis="x", labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figures.save(figure, path)


def _strip(axes: Axes, place: int, runs: pd.DataFrame, independent: bool) -> None:
    """Draw runs of one kind on the line of a place, and beside it how many of them ended perfect."""
    if runs.empty:
        return
    exact = runs["test_exact"].sort_values()
    heights = place + apart(exact, room=0.7, step=0.1)
    colour = MODELS[runs["model"].iloc[0]].colour
    axes.plot(exact, heights, ".", color=colour, markersize=5, alpha=0.7, clip_on=False)
    perfect = is_perfect(runs)
    count, of = int(perfect.sum()), len(runs)
    colour = figures.RIGHT if count == of else figures.INK
    said = success(count, of) if independent else f"{count} of {of}"
    axes.text(BESIDE, place, said, transform=axes.get_yaxis_transform(), **SMALL, color=colour)


def save_shares(path: Path, runs: pd.DataFrame) -> None:
    """Write how little is enough: exact on the rest of the canvas against the share trained on, one panel per task.

    Args:
        path: The picture.
        runs: On splits with a train_share; none of them failed.
    """
    runs = runs.assign(
        task=runs["model"].map(lambda model: MODELS[model].task),
        share=runs["split_train_share"].replace("", "nan").astype(float),
    )
    panels = runs.groupby("task", sort=False)
    figure = Figure(figsize=(3.4 * len(panels), 2.9), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)
    for axes, (task, own) in zip(grid.flat, panels, strict=True):
        for model, alike in own.groupby("model", sort=False):
            exact = alike.groupby("share")["test_exact"].agg(["median", "min", "max"])
            exact = exact.reindex(exact.index.union(SHARES))  # no line across shares that have not run
            entry = MODELS[model]
            axes.plot(exact.index, exact["median"], ".-", color=entry.colour, label=entry.title, linewidth=1.5)
            axes.fill_between(exact.index, exact["min"], exact["max"], color=entry.colour, alpha=0.15, linewidth=0)
        axes.set(xscale="log", xlim=(0.008, 1), ylim=(-0.03, 1.03), xlabel="share of the canvas trained on")
        axes.set_title(task, fontsize=10)
        axes.set_xticks(SHARES)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=7)
        axes.yaxis.set_major_formatter(in_percent)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    grid.flat[0].set_ylabel("exact on the rest")
    figure.suptitle("Median of the runs, with the lowest and the highest where there are several", fontsize=10)
    figures.save(figure, path)


def save_costs(path: Path, runs: pd.DataFrame) -> None:
    """Write what it costs to be right: each metric that was published of a task against the operations of training.

    Where all networks end close to 100 %, as on the uniform split, the scale is stretched there. A dotted line is what
    the paper published of a baseline. Where fewer than three seeds have run, there is a cross, and no line.

    Args:
        path: The picture.
        runs: With their training_operations; none of them failed.
    """
    runs = runs.assign(task=runs["model"].map(lambda model: MODELS[model].task))
    splits = [split for split in SPLITS if (runs["split"] == split).any()]
    shown = [(task, name) for task in runs["task"].unique() for name in ("exact", PAPER_METRICS.get(task)) if name]
    figure = Figure(figsize=(3.1 * len(shown), 2.5 * len(splits) + 0.4), layout="constrained")
    grid = figure.subplots(len(splits), len(shown), squeeze=False, sharex=True, sharey="row")
    stretched = [split for split in splits if runs.loc[runs["split"] == split, "test_exact"].min() > 0.5]
    for i, split in enumerate(splits):
        for j, (task, name) in enumerate(shown):
            axes = grid[i, j]
            _costs(axes, runs[(runs["split"] == split) & (runs["task"] == task)], name)
            axes.set_title(f"{task}, {split}: {METRICS[name].label}", fontsize=9)
            if split in stretched:
                _stretch(axes)
        grid[i, 0].set_ylabel("on the test set" + ", scale stretched" * (split in stretched))
    for axes in grid[-1]:
        axes.set_xlabel("cost of training, operations")
    for axes in grid[0]:
        axes.legend(frameon=False, fontsize=7)
    signs: Mapping[str, Mapping[str, Any]] = {
        "median of the seeds": {"linestyle": "-", "marker": "."},
        "lowest to highest": {"linestyle": "-", "linewidth": 8, "alpha": 0.25},
        "all 3,136 examples exact with every seed": {
            "linestyle": "",
            "marker": "o",
            "markersize": 8,
            "fillstyle": "none",
        },
        f"fewer than {ENOUGH} seeds": {"linestyle": "", "marker": "x"},
        "the baseline in the paper": {"linestyle": ":"},
    }
    handles = [Line2D([], [], color=figures.INK, label=label, **style) for label, style in signs.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(signs), frameon=False, fontsize=8)
    figures.save(figure, path)


def _costs(axes: Axes, runs: pd.DataFrame, metric: str) -> None:
    for model, alike in runs.assign(perfect=is_perfect(runs)).groupby("model", sort=False):
        entry = MODELS[model]
        budgets = alike.groupby("training_operations")
        ends, perfect = budgets[f"test_{metric}"].agg(["median", "min", "max", "size"]), budgets["perfect"].all()
        few, ends = ends[ends["size"] < ENOUGH], ends[ends["size"] >= ENOUGH]
        axes.plot(few.index, few["median"], "x", color=entry.colour, markersize=5)
        axes.plot(ends.index, ends["median"], ".-", color=entry.colour, label=entry.title, linewidth=1.5)
        axes.fill_between(ends.index, ends["min"], ends["max"], color=entry.colour, alpha=0.15, linewidth=0)
        there = ends.loc[perfect[ends.index], "median"]
        axes.plot(there.index, there, "o", color=entry.colour, markersize=8, fillstyle="none")
        paper = published(model, alike["split"].iloc[0]).paper_test
        if paper is not None and not entry.coordinates and paper_metric(model) is METRICS[metric]:
            axes.axhline(paper, color=entry.colour, linestyle=":", linewidth=1)
    axes.set_ylim(-0.06, 1.06)
    scale_to_operations(axes)


def _stretch(axes: Axes) -> None:
    """Stretch the scale of shares towards 100 %, so that 99 and 99.9 % are as far apart as 90 and 99 %."""
    least = 0.0005  # less than the share of one example: 100 % is a finite way off
    axes.set_yscale(
        "function",
        functions=(lambda share: -np.log10(1 + least - share), lambda height: 1 + least - 10.0**-height),
    )
    axes.set(ylim=(-0.1, 1 + least / 3), yticks=(0, 0.5, 0.9, 0.99, 0.999, 1))
    axes.yaxis.set_major_formatter(in_percent)
