"""What MLflow is told of the comparison, and which networks it should call the best."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from notsoclevr.cells import record
from notsoclevr.cells.files import Cell
from notsoclevr.tasks import TASKS
from notsoclevr.tracking import Outcome, Point, Run, Store
from notsoclevr.wording import percent

EXPERIMENT = "comparison"
ABOUT = "All cells beside each other and beside what was published. One run per comparison."


def log_comparison(store: Store, reports: Path, cells: Sequence[Cell]) -> None:
    """Log the comparison as a run of its own, once, and register the best network of each task.

    One that was logged before its cells is completed. An experiment of DVC registers nothing.

    Args:
        store: The store.
        reports: Folder of the comparison.
        cells: The cells in results/: those to register from, and those whose runs are linked.
    """
    digest = record.digest(reports / "comparison.csv", reports / "index.html")
    exact = {cell.name: cell.metrics["test_exact"] for cell in cells}
    points = [Point(f"{name}.test_exact", value) for name, value in exact.items()]
    runs = {cell.name: (cell.model.task, record.find_run(store, cell)) for cell in cells}
    links = {name: store.link(task, run_id) for name, (task, run_id) in runs.items() if run_id}
    if run_id := store.find(EXPERIMENT, digest):
        store.complete(run_id, points, _describe(exact, links))
    else:
        run = Run(experiment=EXPERIMENT, about=ABOUT, name=EXPERIMENT, description=_describe(exact, links))
        run_id = store.open_run(run)
        store.finish(run_id, Outcome(digest=digest, metrics=points, files=[(reports, "")]))
    if "DVC_EXP_NAME" in os.environ:  # an experiment is a trial: its cells may never become those of results/
        return
    for task in TASKS:
        if own := [cell.metrics for cell in cells if cell.model.task == task]:
            chosen = best(own)
            _, run_id = runs[f"{chosen['model']}-{chosen['split']}"]
            if run_id:
                store.register(task, run_id, f"The best model of the {task} task, whatever its kind.")


def best(cells: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the metrics of the cell whose network is the best at a task.

    The best model has the highest mean share of exact answers on its test sets, and among equals the fewest weights.
    Of its networks, it is the one trained on the split where all models together have the lowest share.

    Args:
        cells: Metrics of the cells of one task: "model", "split", "test_exact" and "parameters" of each.
    """

    def mean(key: str, cell: Mapping[str, Any]) -> float:
        return float(np.mean([other["test_exact"] for other in cells if other[key] == cell[key]]))

    return max(cells, key=lambda cell: (mean("model", cell), -cell["parameters"], -mean("split", cell)))


def _describe(exact: Mapping[str, float], links: Mapping[str, str]) -> str:
    """Return the comparison in Markdown, with links to the runs: none works in the report as MLflow shows it."""
    lines = ["The report is the artifact `index.html`.", "", "| cell | exact on the test set |", "| --- | ---: |"]
    for name, share in exact.items():
        lines.append(f"| {f'[{name}]({links[name]})' if name in links else name} | {percent(share)} |")
    return "\n".join(lines)
