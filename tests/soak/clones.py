"""The clones that are soaked, and what must be true of them afterwards."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import yaml

from .processes import NOTSOCLEVR, Soak, strays, wait_until

ROOT = Path(__file__).parents[2]
MODEL = "coordconv_regressor"
SEEDS = 4  # rows of the small study
SKIPPED = {".git", ".dvc", "__pycache__", "mlartifacts", "src", "tests", "docs"}  # nothing to compare by name in there
SAME = ("*.npz", "metrics.json", "history.csv", "comparison.csv")  # the same bytes whenever the same is done


def fresh_clone(soak: Soak, name: str) -> Path:
    """Clone the repository, shrunk: one cell, one epoch, a corner of the canvas to learn from, and a small study."""
    clone = soak.home / name
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    for committed in ("results", "reports"):
        shutil.rmtree(clone / committed)
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["splits"]["uniform"]["train_share"], params["splits"]["quadrant"]["boundary"] = 0.06, 6
    for recipe in params["models"].values():
        recipe["epochs"] = 1
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())
    pipeline["stages"]["train"]["matrix"] = {"model": [MODEL], "split": ["quadrant"]}
    block = {"variant": "tiny", "model": MODEL, "split": "quadrant", "seed": list(range(SEEDS))}
    study = {"about": "A study to be killed", "experiments": [block]}
    (clone / "studies" / "tiny").mkdir()
    (clone / "studies" / "tiny" / "study.yaml").write_text(yaml.safe_dump(study))
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    (clone / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    return clone


def copy_of(clone: Path, name: str) -> Path:
    """Copy a clone, without what MLflow remembers of it."""
    forgotten = shutil.ignore_patterns("mlflow.db", "mlartifacts")
    return shutil.copytree(clone, clone.with_name(name), ignore=forgotten)


def tree(clone: Path) -> set[Path]:
    """List what is in a clone, by path from its root, but for folders that chance names the contents of."""
    found = set()
    for folder, folders, names in os.walk(clone):
        folders[:] = [name for name in folders if name not in SKIPPED]
        found |= {Path(folder, name).relative_to(clone) for name in (*folders, *names)}
    return found


def is_whole(path: Path) -> bool:
    """Say whether a file has the end that files of its kind have."""
    data = path.read_bytes()
    if path.suffix in (".npz", ".keras"):
        return zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip() is None
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            return json.loads(data) is not None
        return False
    if path.suffix == ".csv":
        return data.endswith(b"\n") and len({len(row) for row in csv.reader(data.decode().splitlines())}) == 1
    ends = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".md": b"\n", ".yaml": b"\n"}
    return data.rstrip(b"\n" if path.suffix == ".html" else b"").endswith(ends.get(path.suffix, b""))


def check_files(soak: Soak, clone: Path) -> None:
    """Check that every file that a command writes is whole or absent. Hidden ones are counted at the end."""
    for path in tree(clone):
        shown = path.parts[0] in ("data", "results", "reports", "studies") and not re.search(r"(^|/)\.", str(path))
        if shown and (clone / path).is_file():
            soak.check(is_whole(clone / path), f"{clone.name}: {path} is not whole")
            soak.counts["files seen whole after a kill"] += 1


def check_like(soak: Soak, clone: Path, undisturbed: Path) -> None:
    """Check that a clone holds what the undisturbed one does: the same names, and the same bytes where they can be."""
    left, missing = tree(clone) - tree(undisturbed), tree(undisturbed) - tree(clone)
    soak.check(not left, f"{clone.name}: left behind: {', '.join(map(str, sorted(left)[:5]))}")
    soak.check(not missing, f"{clone.name}: missing: {', '.join(map(str, sorted(missing)[:5]))}")
    for path in tree(undisturbed):
        if any(path.match(pattern) for pattern in SAME) and path.parts[0] != "studies":
            same = (clone / path).is_file() and (clone / path).read_bytes() == (undisturbed / path).read_bytes()
            soak.check(same, f"{clone.name}: {path} is not as in an undisturbed run")
            soak.counts["results equal to an undisturbed run's"] += 1
    if (undisturbed / "studies/tiny/results.csv").exists():
        soak.check(rows_of(clone) == rows_of(undisturbed), f"{clone.name}: rows are not those of an undisturbed study")
        soak.counts["rows of studies, each once"] += SEEDS
    soak.check(
        wait_until(lambda: not strays(clone), 30),
        f"{clone.name}: still running: {[p.cmdline() for p in strays(clone)]}",
    )


def rows_of(clone: Path) -> list[dict[str, str]]:
    """Read the rows of the small study, without what the clock has put into them."""
    table = (clone / "studies/tiny/results.csv").read_text().splitlines()
    clock = ("train_seconds", "seconds_to_perfect", "digest")
    return [{name: text for name, text in row.items() if name not in clock} for row in csv.DictReader(table)]


def check_store(soak: Soak, uri: str, *, rows: bool = False) -> tuple[int, int]:
    """Check that a store has no run under way, each model version once and, if asked, each row of the study once.

    Returns:
        How many runs and how many versions it has.
    """
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=10_000)
    running = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
    soak.check(not running, f"{uri}: left RUNNING: {', '.join(running)}")
    if rows:
        ended = [run for run in runs if run.info.status == "FINISHED" and "mlflow.parentRunId" in run.data.tags]
        seeds = sorted(int(run.data.params["seed"]) for run in ended)
        soak.check(seeds == list(range(SEEDS)), f"{uri}: rows logged: of the seeds {seeds}")
        soak.counts["rows in MLflow, each once"] += SEEDS
    versions = list(client.search_model_versions())
    again = [key for key, number in Counter((v.name, v.run_id) for v in versions).items() if number > 1]
    soak.check(not again, f"{uri}: registered more than once: {again}")
    soak.counts["model versions, each once"] += len(versions)
    return len(runs), len(versions)


def track_twice(soak: Soak, clone: Path, uri: str, **environment: str) -> None:
    """Track the results, and once more: the second time there must be nothing to do."""
    seen = []
    for _ in range(2):
        soak.run(clone, *NOTSOCLEVR, "track", **environment)
        seen.append(check_store(soak, uri))
    soak.check(seen[0] == seen[1], f"{clone.name}: runs and versions after one track {seen[0]}, after two {seen[1]}")
    soak.counts["results tracked twice"] += 1
