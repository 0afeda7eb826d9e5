"""Figures of the studies: what many runs have to say, in one picture.

The colours are those of `notsoclevr.figures`: networks that are told where they are in blue, their rivals not.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from notsoclevr import figures
from notsoclevr.dataset import SPLITS
from notsoclevr.models import MODELS
from notsoclevr.studies import Row, is_perfect


def save_strips(path: Path, kinds: Mapping[str, Mapping[str, Sequence[Row]]]) -> None:
    """Write every run of a study as a dot: how much of its test half it ended exact on, a line a kind of run.

    Args:
        path: The picture.
        kinds: What to call a line, and its runs by the name of their split, a panel each; none of the runs failed.
    """
    splits = [split for split in SPLITS if any(split in runs for runs in kinds.values())]
    figure = Figure(figsize=(3.4 + 2.9 * len(splits), 0.24 * len(kinds) + 0.9), layout="constrained")
    panels = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
    for axes, split in zip(panels, splits, strict=True):
        for place, runs in enumerate(kinds.values()):
            if split in runs:
                _strip(axes, place, runs[split])
            if place:
                axes.axhline(place - 0.5, color="#e8e8e8", linewidth=0.6, zorder=0)
        axes.text(1.05, -0.95, "perfect", fontsize=8, va="center", color=figures.INK)
        axes.set_yticks(range(len(kinds)), list(kinds), fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(kinds) - 0.5, -0.5), xlabel="exact on the test half")
        axes.set_title(split, fontsize=10)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.label.set_size(8)
        axes.tick_params(axis="x", labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figures.save(figure, path)


def _strip(axes: Axes, place: int, runs: Sequence[Row]) -> None:
    """Draw runs of one kind on the line of a place, and beside it how many of them ended perfect."""
    exact = sorted(float(run["test_exact"]) for run in runs)
    # runs that ended alike stand beside each other, not on top of each other
    alike = [(exact.count(value), n - exact.index(value)) for n, value in enumerate(exact)]
    heights = [place + (n - (of - 1) / 2) * min(0.1, 0.7 / of) for of, n in alike]
    axes.plot(exact, heights, ".", color=figures.COLOURS[runs[0]["model"]], markersize=5, alpha=0.7, clip_on=False)
    perfect = sum(map(is_perfect, runs))
    colour = figures.RIGHT if perfect == len(runs) else figures.INK
    axes.text(1.05, place, f"{perfect} of {len(runs)}", color=colour, fontsize=8, va="center")


def save_shares(path: Path, rows: Sequence[Row]) -> None:
    """Write how little is enough: exact answers on the rest of the canvas against the share trained on, a panel a task.

    Args:
        path: The picture.
        rows: Runs on the uniform split, none of which failed.
    """
    tasks = list(dict.fromkeys(MODELS[row["model"]].task for row in rows))
    figure = Figure(figsize=(3.4 * len(tasks), 2.9), layout="constrained")
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False, sharey=True).flat, tasks, strict=True):
        for model in dict.fromkeys(row["model"] for row in rows if MODELS[row["model"]].task == task):
            found: dict[float, list[float]] = {}
            for row in rows:
                if row["model"] == model:
                    found.setdefault(float(row["split_train_share"]), []).append(float(row["test_exact"]))
            shares = sorted(found)
            colour = figures.COLOURS[model]
            axes.plot(
                shares,
                [statistics.median(found[share]) for share in shares],
                ".-",
                color=colour,
                label=MODELS[model].title,
                linewidth=1.5,
            )
            lowest, highest = ([pick(found[share]) for share in shares] for pick in (min, max))
            axes.fill_between(shares, lowest, highest, color=colour, alpha=0.15, linewidth=0)
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="share of the canvas trained on")
        axes.set_title(task, fontsize=10)
        axes.set_xticks((0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.8))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=7)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
        if task == tasks[0]:
            axes.set_ylabel("exact on the rest")
    figures.save(figure, path)
