"""Try to break the project for ten minutes: `make soak`, or `python -m tests.soak --help`.

No test that pytest collects: it takes too long, and what it does depends on chance. All of it happens in temporary
clones of the last commit with a shrunken params.yaml, in which a cell is trained in seconds. One clone is left in
peace. In the others `dvc repro`, a study and an `mlflow server` are killed at random moments and started again, and
every file that a command reads is damaged. Afterwards the clones must be as if nothing had happened, and every damage
must have been accepted or refused in one line. The first thing that is off ends the soak with exit status 1.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from .clones import ROOT, copy_of, fresh_clone
from .damages import damage
from .kills import kill_cluster, kill_pipeline, kill_server, kill_study
from .processes import DVC, STUDY, Soak, SoakError


def timed(act: Callable[[], Any]) -> float:
    """Do something and return the seconds it took."""
    begun = perf_counter()
    act()
    return perf_counter() - begun


def soak_all(soak: Soak, kills: int, damages: int) -> None:
    """Make the undisturbed clones; then kill what there is to kill, a thread each, and damage files in this one."""
    trained = fresh_clone(soak, "trained")
    pipeline = timed(lambda: soak.run(trained, *DVC, "repro"))
    soak.say(f"an undisturbed `dvc repro` takes {pipeline:.0f} s")
    studied, damaged = copy_of(trained, "studied"), copy_of(trained, "damaged")
    study = timed(lambda: soak.run(studied, *STUDY, "--workers", "2"))
    soak.say(f"an undisturbed study takes {study:.0f} s")
    servers, workers = kills // 4, kills // 6
    repros = (kills - servers - workers + 1) // 2

    lanes = [
        partial(kill_pipeline, soak, trained, repros, pipeline),
        partial(kill_study, soak, trained, studied, kills - servers - workers - repros, study),
        partial(kill_cluster, soak, trained, studied, workers, study),
        partial(kill_server, soak, studied, servers, study / 2),  # trained already: its rows are only logged
    ]
    sys.path.insert(0, str(damaged / "src"))  # before the code of this environment
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            under_way = [pool.submit(lane) for lane in lanes] if kills else []
            damage(soak, damaged, damages)
            for lane in as_completed(under_way):
                lane.result()
        finally:
            soak.clear()


def main() -> int:
    """Soak, print what was counted, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="after which the soak ends, done or not")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is left to chance")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--keep-going", action="store_true", help="name everything that is off, not only the first")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="soak.")).resolve()
    soak = Soak(home, asked.seed, asked.keep_going)

    def stop(number: int, _: Any) -> None:
        soak.wrong.append(f"{asked.seconds} s were not enough" if number == signal.SIGALRM else "stopped")
        raise SoakError

    for asks in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(asks, stop)
    signal.setitimer(signal.ITIMER_REAL, asked.seconds)
    try:
        soak_all(soak, asked.kills, asked.damages)
    except SoakError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        soak.clear()
        shutil.rmtree(home, ignore_errors=True)
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always"], capture_output=True, text=True).stdout
    print(f"\nsoak of {commit.strip()}, seed {asked.seed}, {perf_counter() - soak.begun:.0f} s")
    for what, number in soak.counts.items():
        print(f"  {what:<45} {number:>6}")
    for problem in soak.wrong:
        print(f"OFF: {problem}")
    if soak.wrong:
        print(f"again: python -m tests.soak --seed {asked.seed} --kills {asked.kills} --damages {asked.damages}")
    return bool(soak.wrong)


if __name__ == "__main__":
    sys.exit(main())
