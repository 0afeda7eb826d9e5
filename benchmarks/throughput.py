"""How many experiments an hour `notsoclevr study` does with one worker and with two.

    python benchmarks/throughput.py

Runs one small study (eight CoordConv regressors of twelve epochs, as in params.yaml) as a command, on workers of one
thread that it starts itself. One and two workers take turns. A time is that of the whole command, the start of the
workers included, in which each imports TensorFlow. Prints a table and writes benchmarks/throughput.csv. A quarter of an
hour.
"""

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import yaml

ROOT = Path(__file__).parents[1]
ROUNDS = 3
EXPERIMENTS = 8
EPOCHS = 12
STUDY = {
    "about": "throughput",
    "measure_every": EPOCHS,
    "experiments": [
        {
            "variant": "throughput",
            "model": "coordconv_regressor",
            "split": "quadrant",
            "seed": list(range(EXPERIMENTS)),
            "settings": {"models.coordconv_regressor.epochs": EPOCHS},
        }
    ],
}


def run(workers: int) -> float:
    """Run the study from nothing and return the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "params.yaml", folder)
        study = Path(folder) / "throughput" / "study.yaml"
        study.parent.mkdir()
        study.write_text(yaml.safe_dump(STUDY), "utf-8")
        command = [sys.executable, "-m", "notsoclevr", "study", str(study), "--workers", str(workers)]
        begun = perf_counter()
        # without the variables that would name a server, which would be timed too
        own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL, env=own)
        return perf_counter() - begun


def main() -> None:
    """Measure, print and write."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, measured in seconds.items():
            measured.append(run(workers))
    with (ROOT / "benchmarks" / "throughput.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["workers", "experiments", "rounds", "median_seconds", "experiments_an_hour"])
        for workers, measured in seconds.items():
            median = statistics.median(measured)
            row = [workers, EXPERIMENTS, ROUNDS, round(median, 1), round(3600 * EXPERIMENTS / median)]
            writer.writerow(row)
            print(*row, sep="\t")


if __name__ == "__main__":
    main()
