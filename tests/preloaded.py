"""Commands in processes that are forked from one which has imported TensorFlow and MLflow."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imsave

CONTEXT = multiprocessing.get_context("forkserver")
# nothing of them is used before it forks, so it may
CONTEXT.set_forkserver_preload(
    [
        "keras",
        "mlflow.tensorflow",
        "mlflow.store.tracking.sqlalchemy_store",
        "notsoclevr.cells.training",
        "notsoclevr.report.comparison",
        "notsoclevr.stages",
        "notsoclevr.studies.engine",
        "notsoclevr.studies.search.engine",
    ]
)


def nothing() -> None:
    """Change nothing."""


def start(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    outputs: tuple[Path, Path],
    change: Callable[[], None] = nothing,
) -> ForkServerProcess:
    """Start `notsoclevr` with these arguments; its figures become pictures of one pixel.

    Args:
        arguments: Of the command.
        cwd: Where it runs.
        environment: All of its variables.
        outputs: Files, or a terminal, for its stdout and stderr.
        change: Called in the process first, a function of a module.
    """
    process = CONTEXT.Process(target=_run, args=(arguments, cwd, dict(environment), outputs, change))
    process.start()
    return process


def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `notsoclevr` with these arguments, as `subprocess.run` would."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "stdout"), Path(folder, "stderr")
        process = start(arguments, cwd, environment, outputs)
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text("utf-8") for path in outputs))


def _run(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    outputs: tuple[Path, Path],
    change: Callable[[], None],
) -> None:
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["notsoclevr", *arguments]
    change()
    from notsoclevr.cells import figures
    from notsoclevr.cli import main

    figures.save = save_blank
    main()


def save_blank(figure: Figure, path: Path) -> None:
    """Write a picture of one pixel: the figure was drawn, and what takes the time is to turn it into pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, [[0.0]])
