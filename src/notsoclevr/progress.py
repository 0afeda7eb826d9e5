"""What one sees of a training while it runs: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from typing import Any, Self

from tqdm import tqdm

Row = dict[str, float]


def counting_bar(name: str, total: int, initial: int = 0) -> tqdm[Any]:
    """Return a bar on stderr that counts what has ended; it is disabled where there is no terminal.

    Args:
        name: What is counted.
        total: How many there are.
        initial: How many had ended before.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=name,
        disable=not sys.stderr.isatty(),
        bar_format="{desc} |{bar}| {n}/{total} {elapsed} (left {remaining}) {postfix}",
    )


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
        self._bar = tqdm(
            total=epochs * steps,
            desc=name,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} |{bar}| {percentage:3.0f}% {elapsed} (left {remaining}) {postfix}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def step(self) -> None:
        """Note that a step was made."""
        self._bar.update()

    def epoch(self, row: Row) -> None:
        """Note that an epoch ended, with its row of the history."""
        exact = f"exact {row['train_exact']:.1%} train, {row['test_exact']:.1%} test"
        line = f"epoch {row['epoch']:.0f}/{self._epochs}  loss {row['train_loss']:.4g}  {exact}"
        if self._bar.disable:
            print(f"{self._name}  {line}", file=sys.stderr, flush=True)
        else:
            self._bar.set_postfix_str(line, refresh=True)
