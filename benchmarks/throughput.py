"""How many experiments an hour `notsoclevr study` does with one worker and with two.

    python benchmarks/throughput.py

Runs one small study (eight CoordConv regressors of two epochs) as a command, on workers that it starts itself, and on a
Dask cluster that is there: a scheduler and workers on loopback, as if the second were another machine. A worker has one
core in either case. The four take turns. A time is that of the whole command: of its own workers it includes that each
starts and imports TensorFlow, those of the cluster have done so before. Prints a table and writes
benchmarks/throughput.csv.
"""

import csv
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

import yaml

ROOT = Path(__file__).parents[1]
ROUNDS = 3
EXPERIMENTS = 8
PATH = "models.coordconv_regressor"
STUDY = {
    "about": "throughput",
    "measure_every": 2,
    "experiments": [
        {
            "variant": "throughput",
            "model": "coordconv_regressor",
            "split": "quadrant",
            "seed": list(range(EXPERIMENTS)),
            "settings": {f"{PATH}.epochs": 2},
        }
    ],
}


def run(*options: str) -> float:
    """Run the study from nothing and return the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "params.yaml", folder)
        study = Path(folder) / "throughput" / "study.yaml"
        study.parent.mkdir()
        study.write_text(yaml.safe_dump(STUDY), "utf-8")
        command = [sys.executable, "-m", "notsoclevr", "study", str(study), *options]
        begun = perf_counter()
        subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        return perf_counter() - begun


@contextmanager
def cluster(workers: int):
    """Start a scheduler and workers, and yield the address when all are ready."""
    from distributed import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    }
    dask = [sys.executable, "-m", "dask"]
    address = f"tcp://127.0.0.1:{port}"
    processes = [subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", port], **quiet)]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny"]
    processes += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
    try:
        with Client(address, timeout=60) as client:
            client.wait_for_workers(workers, timeout=60)
            client.run(_warm)
        yield address
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _warm() -> None:
    from notsoclevr.training import import_tensorflow

    import_tensorflow()


def main() -> None:
    """Measure, print and write."""
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for workers in (1, 2):
            seconds.setdefault(("local", workers), []).append(run("--workers", str(workers)))
            with cluster(workers) as address:
                sleep(1)
                seconds.setdefault(("dask", workers), []).append(run("--scheduler", address))
    with (ROOT / "benchmarks" / "throughput.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["executor", "workers", "experiments", "rounds", "median_seconds", "experiments_an_hour"])
        for (executor, workers), measured in sorted(seconds.items()):
            median = statistics.median(measured)
            row = [executor, workers, EXPERIMENTS, ROUNDS, round(median, 1), round(3600 * EXPERIMENTS / median)]
            writer.writerow(row)
            print(*row, sep="\t")


if __name__ == "__main__":
    main()
