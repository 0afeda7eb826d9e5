"""A page in Debian's Chromium, what it shows held against the files it was made of, and axe-core from npm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from notsoclevr.cells.files import Cell
from notsoclevr.report import page as report
from notsoclevr.tasks import METRICS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: `apt-get install chromium`")
FLAGS = [
    f"--{flag}"
    for flag in (
        *("no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
    )
]
STILL = {"reduced_motion": "reduce"}  # nothing scrolls away from under a click
Browser, Page = Any, Any
Written = tuple[Path, list[Cell]]

NPM = Path(__file__).parent  # of package.json


def axe_core() -> str:
    """Return the script of axe-core, as package-lock.json has it; in CI, `.ci/run` has installed it."""
    script = NPM / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("no axe-core, and no npm on the path to install it: `apt-get install npm`")
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=NPM,
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"npm cannot install axe-core: {done.stderr.splitlines()[0]}")
    return script.read_text("utf-8")


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page: the rule, and where."""
    page.evaluate(axe_core())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


class Watched:
    """A page, and what it says on its console or asks of the network."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | STILL | options)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.said.append(f"request {request.url}"))

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        assert self.said[0] == f"request {path.as_uri()}"
        self.said.pop(0)
        return self.page


def pixels(page: Page, selector: str) -> np.ndarray[Any, Any]:
    """Read the red channel of a canvas, (64, 64), 0 to 1."""
    data = page.eval_on_selector(
        f"{selector} canvas",
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 64, 64).data].filter((_, i) => i % 4 === 0)",
    )
    return np.array(data).reshape(64, 64) / 255


def shown(page: Page, split: str, row: int, column: int) -> None:
    page.wait_for_selector(f'html[data-shown="{split} {row} {column}"]', state="attached")


def point_at(page: Page, row: int, column: int, *, split: str = "quadrant", first: int = 0, count: int = 64) -> None:
    """Move the pointer to a position on the big canvas."""
    box = page.locator("#picker canvas").bounding_box()
    page.mouse.move(
        box["x"] + box["width"] * (column - first + 0.5) / count, box["y"] + box["height"] * (row - first + 0.5) / count
    )
    shown(page, split, row, column)


def agrees(page: Page, cell: Cell, row: int, column: int) -> None:
    """Hold what the page shows of a cell at a position against its predictions.npz."""
    task, metric = cell.task, METRICS[cell.task.metric]
    with np.load(cell.directory / "predictions.npz") as arrays:
        place = (row - 4) * 56 + column - 4
        assert arrays["coordinates"][place].tolist() == [row, column]
        answer, exact = arrays["predictions"][place].astype(np.float32), bool(arrays["exact"][place])
        measured = float(arrays[metric.name][place])
        point = None if cell.points is None else cell.points[place]
    tile = f'#explorer .tile[data-model="{cell.metrics["model"]}"]'
    target = pixels(page, f'#explorer .task[data-task="{cell.metrics["task"]}"] .target')
    reach = {"onehots": 0, "squares": 4}[task.target]
    wanted = np.zeros((64, 64))
    wanted[row - reach : row + reach + 1, column - reach : column + reach + 1] = 1
    np.testing.assert_array_equal(target, wanted)
    words = page.inner_text(f"{tile} figcaption")
    assert ("✓ exact" if exact else "✗ wrong") in words
    assert f"{metric.label} {measured:.{metric.digits}f} {metric.unit}".strip() in words
    if point is not None:
        said = [float(x) for x in page.get_attribute(tile, "data-point").split(",")]
        np.testing.assert_array_equal(np.float32(said), point)
        digits = 2 if task.answer == "point" else 0
        assert f"row {point[0]:.{digits}f}, column {point[1]:.{digits}f}; " in words
    if task.answer == "image":
        if task.relative:
            answer = answer / answer.max()
        assert np.abs(pixels(page, tile) - answer).max() <= 0.5 / report.LEVELS + 1 / 255
