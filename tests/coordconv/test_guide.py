"""Every snippet of the guide runs, one after the other; its tables are what was measured."""

import csv
import importlib.util
import inspect
import re
from pathlib import Path

import keras
import pytest

from coordconv import CoordConv2D

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "coordconv.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names():
    """What the snippets so far have defined."""
    return {}


def needs(snippet):
    """Name the backend that a snippet is for, or None."""
    if "import torch" in snippet:
        return "torch"
    return "tensorflow" if "litert" in snippet else None


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet(number, names, tmp_path, monkeypatch):
    snippet = SNIPPETS[number]
    if needs(snippet) not in (None, keras.backend.backend()):
        pytest.skip(f"for {needs(snippet)}")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, f"docs/coordconv.md, snippet {number}", "exec"), names)


def test_begins_with_a_line_to_install_and_a_line_to_import():
    fences = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
    assert [language for language, _ in fences[:2]] == ["sh", "python"]
    assert fences[0][1].startswith("pip install .") and fences[0][1].count("\n") == 1
    assert fences[1][1] == "from coordconv import CoordConv2D\n"


def test_says_what_each_argument_means_that_conv2d_does_not_have():
    own = {
        name
        for name, parameter in inspect.signature(CoordConv2D.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    } | (set(inspect.signature(CoordConv2D.call).parameters) - {"self", "inputs"})
    table = re.findall(r"^\| `(\w+)`[^|]* \| `[\w\"]", GUIDE, flags=re.MULTILINE)
    assert set(table) == own


@pytest.mark.skipif(not importlib.util.find_spec("sklearn"), reason="digits are scikit-learn's")
def test_has_the_table_of_where(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import where

    with (ROOT / "examples" / "where.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    placements = 2 * len(where.PLACEMENTS) - 1  # without a CoordConv2D there is no radius
    assert len(rows) == len(where.TASKS) * placements * len(where.RATES) * len(where.SEEDS)
    assert "\n".join(where.summary(rows)) in GUIDE
