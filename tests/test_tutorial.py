"""The notebook: its cells run, in a process of their own and with fewer steps, and its committed outputs are whole."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from . import preloaded
from .conftest import ROOT

NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"
CELLS = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
FEWER = {"CLASSIFIER_STEPS": 5, "REGRESSOR_STEPS": 5}
TRIALS = "answers = [train_regressor("  # after the list of what is tried; each has to be compiled
LOOKS = "data.coordinates % 2 == 0"  # positions to look at on the way


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def printed(cell: dict[str, Any]) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")


def run_cells(sources: list[str], folder: Path) -> str:
    """Run code cells in a folder, and return what they print."""
    os.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    with redirect_stdout(StringIO()) as shown:
        for number, each in enumerate(sources, start=1):
            exec(compile(each, f"code cell {number}", "exec"), names)
    return shown.getvalue()


def test_cells_run(tmp_path: Path) -> None:
    first, *others = map(source, CODE)
    for name, steps in FEWER.items():
        first, replaced = re.subn(rf"^{name} = \d+", f"{name} = {steps}", first, flags=re.MULTILINE)
        assert replaced == 1
    assert sum(TRIALS in text for text in others) == 1
    others = [text.replace(TRIALS, f"trials = trials[:2]\n{TRIALS}") for text in others]
    assert sum(LOOKS in text for text in others) == 1
    others = [text.replace(LOOKS, LOOKS.replace("2", "8")) for text in others]
    with ProcessPoolExecutor(1, preloaded.CONTEXT) as pool:
        shown = pool.submit(run_cells, [first, *others], tmp_path).result()
    assert f"7,553 weights, {FEWER['CLASSIFIER_STEPS']} steps" in shown
    assert "exact in the unseen quadrant" in shown
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_those_of_one_run_without_errors() -> None:
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    for cell in CODE:
        pictures = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
        assert len(pictures) == source(cell).count("plt.show()")
        assert bool(printed(cell)) == ("print(" in source(cell))


def test_the_classifier_is_exact_in_the_unseen_quadrant() -> None:
    (said,) = [text for cell in CODE if "exact in the unseen quadrant" in (text := printed(cell))]
    assert re.findall(r"([\d.]+)% of ([\d,]+)", said) == [("100.0", "2,352"), ("100.0", "784")]


def test_it_is_small_and_belongs_to_no_machine() -> None:
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 700_000
    assert not re.search(r"/(home|work|root|tmp|Users)/", text)
    metadata = json.loads(text)["metadata"]
    assert metadata["kernelspec"] == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert not any("execution" in cell["metadata"] for cell in CELLS)


def test_its_links_lead_somewhere_and_the_readme_leads_to_it() -> None:
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown"))
    local = [link for link in links if not link.startswith("https://")]
    assert local
    assert all((NOTEBOOK.parent / link).exists() for link in local)
    assert "(examples/tutorial.ipynb)" in (ROOT / "README.md").read_text("utf-8")
