"""What `notsoclevr doctor` looks at."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from notsoclevr.errors import StudyError


def examine(checks: Iterable[tuple[str, Callable[[], str]]]) -> bool:
    """Run checks and print a line each.

    Args:
        checks: What is looked at, and a function that describes it or raises StudyError.

    Returns:
        Whether all were well.
    """
    well = True
    for name, check in checks:
        try:
            found = f"ok       {check()}"
        except StudyError as error:
            well, found = False, f"PROBLEM  {error}"
        print(f"{name:<16} {found}")
    return well


def packages() -> str:
    """Name the versions that results depend on."""
    try:
        found = [f"{name} {version(name)}" for name in ("keras", "tensorflow", "numpy", "mlflow", "dvc")]
    except PackageNotFoundError as error:
        raise StudyError(f"{error.name} is not installed; run `make setup`", exit_status=1) from None
    return ", ".join([f"Python {platform.python_version()}", *found])


def tracking(root: Path) -> str:
    """Ask the MLflow store how many runs of ours it has, and how they ended."""
    from notsoclevr import tracking

    with tracking.store(root) as client:
        counts = tracking.count_runs(client)
        shown = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items())) or "none yet"
        return f"{client.tracking_uri}: runs {shown}"
