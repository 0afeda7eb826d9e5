"""What all parts of the soak share: the processes under way, the counts, and whether all is well so far."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil

PYTHON_M = (sys.executable, "-m")
NOTSOCLEVR = (*PYTHON_M, "notsoclevr")
DVC = (*PYTHON_M, "dvc")
STUDY = (*NOTSOCLEVR, "study", "studies/tiny/study.yaml")
SHOWN = sys.stdout  # commands that are called in this process have one of their own


class SoakError(BaseException):
    """Something is off. No `except Exception` of the code that is tried may swallow it."""


class Process(subprocess.Popen[bytes]):
    """A process in a group of its own, whose output goes to two files.

    Args:
        home: Folder of those files.
        place: Working directory.
        command: The command.
        environment: All of it.
    """

    def __init__(self, home: Path, place: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="said.", dir=home))
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            super().__init__(command, cwd=place, env=environment, stdout=out, stderr=err, start_new_session=True)

    def printed(self) -> str:
        """Return what it has written to stdout so far."""
        return self._out.read_text("utf-8", "replace")

    def said(self) -> str:
        """Return what it has written to stderr so far."""
        return self._err.read_text("utf-8", "replace")


class Soak:
    """What all parts share: the clones, the processes under way, the counts, and whether all is well so far.

    Args:
        home: An empty folder for everything.
        seed: Of everything that is left to chance.
        keep_going: Go on after something that is off, to see what else is.
    """

    def __init__(self, home: Path, seed: int, keep_going: bool) -> None:
        self.home, self.seed, self.keep_going = home, seed, keep_going
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.over = threading.Event()
        self._started: list[Process] = []
        self.begun = perf_counter()
        (home / "tmp").mkdir()

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(f"{perf_counter() - self.begun:5.0f} s  {text}", file=SHOWN, flush=True)

    def check(self, good: Any, problem: str) -> None:
        """Stop everything unless `good`."""
        if self.over.is_set():
            raise SoakError("stopped")
        if not good:
            problem = " ".join(problem.split())[:800]
            self.wrong.append(problem)
            self.say(f"OFF: {problem}")
            if not self.keep_going:
                self.over.set()
                raise SoakError(problem)

    def start(self, clone: Path, *command: str, **environment: str) -> Process:
        """Start a command in a clone, with the clone's code."""
        self.check(True, "")
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
        settings = {
            "PYTHONPATH": str(clone / "src"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.home / "tmp"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second server, which nothing here needs
        }
        process = Process(self.home, clone, command, outside | settings | environment)
        self._started.append(process)
        return process

    def end(self, process: Process, what: str, *allowed: int) -> str:
        """Wait for a process, check how it ended, and return what it said on stderr."""
        status, said = process.wait(), process.said()
        self.check("Traceback" not in said + process.printed(), f"{what}: {said[-400:]}")
        self.check(status in (allowed or (0,)), f"{what}: exit status {status}: {said[-400:]}")
        return said

    def run(self, clone: Path, *command: str, **environment: str) -> str:
        """Run a command that must end well, and return what it printed."""
        what = f"{clone.name}: {' '.join(command[2:] if command[0] == sys.executable else command)}"
        process = self.start(clone, *command, **environment)
        self.end(process, what)
        return process.printed()

    def clear(self) -> None:
        """Kill whatever was started and still runs, and what that has started."""
        self.over.set()
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for process in strays(self.home):
            with contextlib.suppress(psutil.Error):
                process.kill()


def strays(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder or below."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and f"{process.cwd()}/".startswith(f"{folder}/"):
                found.append(process)
    return found


def wait_until(condition: Callable[[], Any], seconds: float, pause: float = 0.02) -> bool:
    """Wait for a condition, asked again after a pause in seconds, and say whether it came true in time."""
    end = perf_counter() + seconds
    while not (met := condition()) and perf_counter() < end:
        sleep(pause)
    return bool(met)
