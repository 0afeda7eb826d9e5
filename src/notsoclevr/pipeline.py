"""The whole pipeline: what DVC has to run, as many trainings at a time as there are jobs.

`dvc repro` does the same, one stage after the other: it has no jobs, and DVC's queue runs whole pipelines at a time,
not stages. Here each training is a `dvc repro` of its own stage: it is DVC that decides what has to run and keeps what
came of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import psutil
from tqdm import tqdm

from notsoclevr import progress
from notsoclevr.config import OUTPUTS, RESULTS, Config
from notsoclevr.errors import PREFIX, StudyError, why

LOGS = OUTPUTS / "logs"  # what each training says
DVC = (sys.executable, "-m", "dvc")


def run_experiment(root: Path, config: Config, cells: Sequence[str], overrides: Mapping[str, Any]) -> None:
    """Run the pipeline with other settings, as an experiment of DVC that leaves results/ and reports/ as they are.

    Args:
        root: The repository.
        config: What params.yaml says.
        cells: Names of the cells to train, all or some.
        overrides: Settings by their path in params.yaml.

    Raises:
        StudyError: A stage failed.
    """
    clear_torn_locks(root)
    settings = [f"--set-param={key}={value}" for key, value in overrides.items()]
    _call_dvc(root, "exp", "run", "--temp", "--force", *settings, *_targets(config, cells))


def reproduce(root: Path, config: Config, cells: Sequence[str], jobs: int) -> None:
    """Bring the stages up to date.

    Args:
        root: The repository.
        config: What params.yaml says.
        cells: Names of the cells to train, all or some.
        jobs: Trainings at a time, each on one thread.

    Raises:
        StudyError: A stage failed. The trainings that ended well are kept.
    """
    clear_torn_locks(root)
    _call_dvc(root, "repro", "--single-item", "generate", "split")
    stale = _read_dvc(root, "status", "--json", "dvc.yaml")
    if asked := [name for name in cells if f"train@{name}" in stale]:
        _Trainings(root, config, asked).run(jobs)
    _call_dvc(root, "repro", *_targets(config, cells))


def clear_torn_locks(root: Path) -> None:
    """Remove DVC's lists of the files in use that a killed DVC has left cut: with one no later command of DVC runs.

    Args:
        root: The repository.

    Raises:
        StudyError: Another process of DVC holds such a list.
    """
    tmp = root / ".dvc" / "tmp"
    for path in (tmp / "rwlock", tmp / "exps" / "rwlock"):  # of `dvc repro`, and of `dvc exp run`
        if _is_json(path):
            continue
        from dvc.lock import LockError, make_lock

        try:
            # the lock under which DVC writes the list: no other command is just at it
            with make_lock(str(path.with_name("rwlock.lock")), tmp_dir=str(path.parent)):
                if not _is_json(path):
                    path.unlink()
        except LockError as error:
            raise StudyError(f"{path}: cannot be read, and another DVC is at it: {error}", exit_status=1) from None


def _is_json(path: Path) -> bool:
    """Return whether a file is absent or JSON."""
    try:
        json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def differences(root: Path) -> str:
    """Return in one line how the metrics of all cells compare with those that are committed."""
    changed = _read_dvc(root, "metrics", "diff", "--json", "HEAD")
    if not changed:
        return "all cells are as committed"
    cells = [f"{Path(path).parent.name} ({_difference(values)})" for path, values in sorted(changed.items())]
    number = "1 cell differs" if len(changed) == 1 else f"{len(changed)} cells differ"
    return (
        f"{number} from the commit, as may be on another kind of processor, see `dvc metrics diff`: {', '.join(cells)}"
    )


def _difference(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the metric of a cell that differs most from the committed one, and by how much, or a setting that does."""
    for side, says in (("new", "missing"), ("old", "not committed")):
        if all(value.get(side) is None for value in values.values()):
            return says
    measured = ("train_", "test_", "epochs_to_perfect")
    if settings := [name for name in values if not name.startswith(measured)]:
        # a recipe before what follows from it
        return f"another {min(settings, key=lambda name: not name.startswith('recipe.'))}"
    differences = {name: value.get("diff") or 0.0 for name, value in values.items()}
    # what the comparison is about comes first: epochs and pixels are larger numbers than shares
    name = max(differences, key=lambda name: (name == "test_exact" and differences[name] != 0, abs(differences[name])))
    return f"{name} {differences[name]:+.2g}"


def _targets(config: Config, cells: Sequence[str]) -> list[str]:
    if len(cells) == len(config.cells):
        return []
    return ["--single-item", "generate", "split", *(f"train@{name}" for name in cells), "evaluate"]


def _environment() -> dict[str, str]:
    """Return the variables of this process, with its own Python first on the path: stages call `python`."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _call_dvc(root: Path, *arguments: str) -> None:
    # in a session of its own: Ctrl-C is for this process alone
    command = [*DVC, *arguments]
    with subprocess.Popen(command, cwd=root, env=_environment(), start_new_session=True) as process:
        try:
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    if status:
        raise StudyError("DVC stopped before the end; what it said stands above", exit_status=1)


def _end(*processes: subprocess.Popen[Any]) -> None:
    """Stop what some DVC processes run, and wait for them: each then ends as after a stage that failed.

    DVC itself gets no signal. One that came while it writes dvc.lock would leave the file cut.
    """
    told = set()
    while running := [process for process in processes if process.poll() is None]:
        for process in running:
            with suppress(psutil.Error):  # it has just ended
                for child in psutil.Process(process.pid).children(recursive=True):
                    if child not in told:
                        told.add(child)
                        child.terminate()
        sleep(0.1)


def _read_dvc(root: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([*DVC, *arguments], cwd=root, check=False, capture_output=True, text=True)
    if done.returncode:
        raise StudyError(f"dvc {' '.join(arguments)}: {done.stderr}", exit_status=1)
    return dict(json.loads(done.stdout))


class _Trainings:
    """Trainings to be run, and those under way.

    Args:
        root: The repository.
        config: What params.yaml says.
        cells: Names of the cells.
    """

    def __init__(self, root: Path, config: Config, cells: Sequence[str]) -> None:
        self._root = root
        self._epochs = {name: config.models[model].epochs for name, (model, _) in config.cells.items()}
        # the most expensive cells come first
        costs = {name: self._epoch_cost(name) for name in cells}
        self._costs = dict(sorted(costs.items(), key=lambda item: -item[1] * self._epochs[item[0]]))
        self._total = sum(cost * self._epochs[name] for name, cost in costs.items())
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._said: dict[str, re.Match[str]] = {}  # after the last epoch that was measured
        self._stopped = Event()

    def _epoch_cost(self, name: str) -> float:
        """Return the operations of an epoch, as the last training of the cell has counted them."""
        with suppress(OSError, ValueError, TypeError, LookupError, ArithmeticError):
            metrics = json.loads((self._root / RESULTS / name / "metrics.json").read_text("utf-8"))
            return float(metrics["training_operations"]) / float(metrics["epochs"])
        return 1e11  # about what an epoch of the known cells costs

    def run(self, jobs: int) -> None:
        """Run all, and wait for them.

        Args:
            jobs: How many at a time.

        Raises:
            StudyError: Some failed; the others ended well.
        """
        (self._root / LOGS).mkdir(parents=True, exist_ok=True)
        failed = []
        with (
            ThreadPoolExecutor(jobs) as pool,
            progress.bar("training", self._total, shown=progress.SHARE) as bar,
        ):
            try:
                futures = {pool.submit(self._train, name, bar): name for name in self._costs}
                for count, future in enumerate(as_completed(futures), start=1):
                    name = futures[future]
                    if problem := future.result():
                        failed.append(name)
                    elif name not in self._said:  # nothing of it was counted
                        bar.update(self._costs[name] * self._epochs[name])
                    said = problem or (self._said[name][3] if name in self._said else "as DVC had it")
                    bar.write(f"{count} of {len(futures)}  {name}  {said}", file=sys.stderr)
            except BaseException:
                self._stop(pool)
                raise
        if failed:
            raise StudyError(
                f"{', '.join(failed)}: training failed, see {LOGS}/<cell>.log; the other cells are kept, "
                "the same command trains those that are missing",
                exit_status=1,
            )

    def _train(self, name: str, bar: tqdm[Any]) -> str | None:
        """Train a cell; return what went wrong, or None."""
        if self._stopped.is_set():
            return "stopped"
        if bar.disable:
            bar.write(f"training {name}, see {LOGS / name}.log", file=sys.stderr)
        command = [*DVC, "--wait-for-lock", "repro", "--single-item", f"train@{name}"]
        try:
            with (
                (self._root / LOGS / f"{name}.log").open("w", encoding="utf-8") as log,
                subprocess.Popen(
                    command,
                    cwd=self._root,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                ) as process,
            ):
                self._processes[name], said, reason = process, "", ""
                if self._stopped.is_set():  # `_stop` may have come before there was a process
                    _end(process)
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    if found := progress.EPOCH.search(line):
                        self._note(name, found, bar)
                        said = ""  # what was said before did not end the training: the store, for one
                    elif line.startswith(PREFIX):
                        said = line.strip()
                    elif line.startswith("ERROR: "):
                        reason = reason or line.strip()
        except OSError as error:
            return f"failed: {why(error)}"
        finally:
            self._processes.pop(name, None)
        return f"failed: {said or reason or LOGS / f'{name}.log'}" if process.returncode else None

    def _note(self, name: str, found: re.Match[str], bar: tqdm[Any]) -> None:
        """Note that a cell was measured after an epoch."""
        before = int(self._said[name][1]) if name in self._said else 0
        self._said[name] = found
        under_way = [
            f"{cell} {said[1]}/{said[2]}" for cell, said in list(self._said.items()) if cell in self._processes
        ]
        bar.set_postfix_str(", ".join(under_way), refresh=False)
        bar.update(self._costs[name] * (int(found[1]) - before))

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        """Stop the trainings that are under way, so that each closes its run, and start no more."""
        self._stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        _end(*self._processes.values())
