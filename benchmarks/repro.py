"""How long the main job takes, and how long a CoordConv cell takes to become perfect.

    python benchmarks/repro.py [--before COMMIT...]

In fresh clones, with nothing else running: `make repro` and plain `dvc repro` of the last commit, and `make repro` of
the commits given with --before, each from nothing; making the environment does not count. `dvc repro` trains one cell
at a time on one thread: how long each trained follows. Then each CoordConv cell on two threads, from the command to the
line that says that it answers all of both sets exactly. The arithmetic is that of all trainings and, for a whole
command, of all that is measured on the way; its share is of what NumPy's sgemm reaches on the same cores, taken just
before. Writes benchmarks/repro.csv. Fifty minutes.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
PERFECT = "exact 100 % train, 100 % test"
SGEMM = """
import numpy as np
from time import perf_counter
a = np.ones((4096, 4096), np.float32)
best = 1e9
for _ in range(8):
    begun = perf_counter()
    a @ a
    best = min(best, perf_counter() - begun)
print(2 * 4096**3 / best)
"""


def sgemm(threads):
    """Return the floating-point operations a second of a product of large matrices."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
    return float(subprocess.run([sys.executable, "-c", SGEMM], env=environment, check=True, capture_output=True).stdout)


def operations(clone):
    """Return the floating-point operations of all trainings in a clone and of what is measured on the way."""
    total = 0
    for path in (clone / "results").glob("*/metrics.json"):
        metrics = json.loads(path.read_text())
        epochs = path.with_name("history.csv").read_text().splitlines()[1:]
        train = {"uniform": 2509, "quadrant": 2352}[metrics["split"]]
        forward = metrics["training_operations"] / 3 / metrics["epochs"] / train
        total += metrics["training_operations"] + forward * 3136 * (1 + len(epochs))
    return total


def on_one_thread(clone):
    """Yield each cell's name, the seconds that its epochs took, and their floating-point operations a second."""
    for path in sorted((clone / "results").glob("*/metrics.json")):
        seconds = sum(json.loads(path.with_name("timings.json").read_text())["epoch_seconds"])
        yield path.parent.name, seconds, json.loads(path.read_text())["training_operations"] / seconds


def timed(command, clone):
    """Run a command in a clone and return its seconds and those of the processors."""
    # without the variables that would name a server, which would be timed too
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    own["PATH"] = f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}"
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(command, cwd=clone, check=True, capture_output=True, env=own)
    seconds, after = perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def clone_of(commit, folder):
    """Return a fresh clone of a commit with its environment."""
    clone = folder / f"{commit}-{len(list(folder.iterdir()))}"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
    subprocess.run(["make", "setup"], cwd=clone, check=True, capture_output=True)
    return clone


def seconds_to_perfect(clone, name):
    """Return the seconds from the start of a training on two threads to the line that says it is perfect."""
    model, split = name.split("-")
    out = clone / "outputs" / name
    options = f"train --model {model} --split {split} --threads 2 --out".split()
    command = [clone / ".venv/bin/notsoclevr", *options, out]
    begun = perf_counter()
    with subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        for line in process.stderr:
            if PERFECT in line:
                seconds = perf_counter() - begun
                process.kill()
                return seconds
    raise SystemExit(f"{name} never was perfect")


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", metavar="COMMIT", nargs="*", default=[], help="to be measured too")
    before = parser.parse_args().before
    cores = len(os.sched_getaffinity(0))
    reached = {busy: sgemm(busy) for busy in (cores, 1)}
    rows = [["sgemm, GFLOP/s", "", f"{speed / 1e9:.0f}", busy, 1] for busy, speed in reached.items()]
    print(*rows, sep="\n")

    def note(what, commit, seconds, processors=None, share=None):
        rows.append([what, commit, f"{seconds:.1f}", processors and f"{processors:.2f}", share and f"{share:.2f}"])
        print(*(text for text in rows[-1] if text), sep="\t", flush=True)

    with tempfile.TemporaryDirectory(prefix="repro.") as temporary:
        folder = Path(temporary)
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        head = head.stdout.strip()
        for commit, command in [*((each, "make repro") for each in before), (head, "make repro"), (head, "dvc repro")]:
            clone = clone_of(commit, folder)
            seconds, processors = timed(command.split(), clone)
            share = operations(clone) / seconds / reached[cores] if commit == head else None
            note(command, commit, seconds, processors / seconds, share)
        cells = list(on_one_thread(clone))
        for name, seconds, speed in cells:
            note(f"{name} trained on one thread", head, seconds, 1, speed / reached[1])
        for name, _, _ in cells:
            if name.startswith("coordconv"):
                note(f"{name} from command to perfect on two threads", head, seconds_to_perfect(clone, name))
    with (ROOT / "benchmarks" / "repro.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "commit", "seconds", "cores_busy", "share_of_sgemm"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
