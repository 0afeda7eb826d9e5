"""Commands in processes that are forked from one which has imported TensorFlow and MLflow."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# nothing of them is used before it forks, so it may
_CONTEXT.set_forkserver_preload(
    [
        "keras",
        "mlflow.tensorflow",
        "mlflow.store.tracking.sqlalchemy_store",
        "notsoclevr.cells.training",
        "notsoclevr.report.comparison",
        "notsoclevr.stages",
    ]
)


def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `notsoclevr` with these arguments, as `subprocess.run` would."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_run, args=(arguments, cwd, dict(environment), outputs))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text("utf-8") for path in outputs))


def _run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], outputs: Sequence[Path]) -> None:
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["notsoclevr", *arguments]
    from notsoclevr.cli import main

    main()
