"""What one sees of a training while it runs: a bar on a terminal, one line per measured epoch elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Self

from tqdm import tqdm

from notsoclevr.wording import percent

EPOCH = re.compile(r"epoch (\d+)/(\d+)  .*(exact .*)")  # in a line of `Progress.epoch`
COUNT, SHARE = "{n}/{total}", "{percentage:3.0f}%"  # what a bar shows of how far it is


def bar(name: str, total: float, initial: int = 0, shown: str = COUNT) -> tqdm[Any]:
    """Return a bar on stderr; it is disabled where there is no terminal.

    Args:
        name: What it is of.
        total: How much there is to do.
        initial: How much had been done before.
        shown: COUNT or SHARE.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=name,
        disable=not sys.stderr.isatty(),
        bar_format=f"{{desc}} |{{bar}}| {shown} {{elapsed}} (left {{remaining}}) {{postfix}}",
    )


def say(beside: tqdm[Any], head: str, line: str) -> None:
    """Write a line beside a bar; where the bar is disabled, write the head and the line."""
    if beside.disable:
        print(f"{head}  {line}", file=sys.stderr, flush=True)
    else:
        beside.set_postfix_str(line)


def exact(row: Mapping[str, Any]) -> str:
    """Return in words what share of each set is answered exactly, of a row of a history or of a study."""
    train, test = (percent(float(row[f"{part}_exact"])) for part in ("train", "test"))
    return f"exact {train} train, {test} test"


class Progress:
    """Progress of one training on stderr.

    Args:
        name: What is trained.
        epochs: How many epochs it has.
        steps: How many steps an epoch has.
    """

    def __init__(self, name: str, epochs: int, steps: int) -> None:
        self._name = name
        self._epochs = epochs
        self._bar = bar(name, epochs * steps, shown=SHARE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def steps(self, number: int) -> None:
        """Note that some steps were made."""
        self._bar.update(number)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Note what was measured after an epoch: its row of the history."""
        line = f"epoch {row['epoch']:.0f}/{self._epochs}  loss {row['train_loss']:.4g}  {exact(row)}"
        say(self._bar, self._name, line)
