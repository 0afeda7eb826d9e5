"""`make docs`: the site is whole, without a warning, and a link that leads nowhere fails it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from sphinx.cmd.build import build_main

from .conftest import ROOT

(COMMAND,) = re.findall(r"^\tsphinx-build (.+) --conf-dir docs \. site$", (ROOT / "Makefile").read_text(), re.MULTILINE)

# of Sphinx and its extensions among themselves
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "PendingDeprecationWarning")
]


def build(source: Path, site: Path, *settings: str) -> tuple[int, str]:
    """Build a site as `make docs` does, with more settings of Sphinx; return the exit status and the warnings.

    In this process, which has TensorFlow: that is half of the time that it takes.
    """
    warnings = site.with_suffix(".txt")
    options = [part for setting in settings for part in ("--define", setting)]
    places = ["--conf-dir", str(ROOT / "docs"), str(source), str(site)]
    status = build_main([*COMMAND.split(), "--warning-file", str(warnings), *options, *places])
    return status, warnings.read_text("utf-8")


def text_of(page: Path) -> str:
    """Return what a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", "", page.read_text("utf-8")).replace("&amp;", "&").split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of these sources, with an explorer that only says what it is: the real one takes `make repro`."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "explorer.html").write_text("the explorer")
    assert build(ROOT, folder / "site", f"explorer={folder / 'explorer.html'}") == (0, "")
    return folder / "site"


PAGES = {
    "README": "It needs Python 3.11 to 3.13, make and git",
    "docs/coordconv": "One layer is enough to begin with, and 1x1 is large enough.",
    "docs/findings": "% of the uniform test set with zeros",  # a line of it begins with the per cent sign
    "reports/claims": "43 claims: holds",
    "docs/api/coordconv": "coordconv.CoordConv2D(filters, kernel_size, *args, radius=False",
    "docs/api/notsoclevr": "class notsoclevr.splits.Quadrant",
    "docs/report": "Open the report",
}


@pytest.mark.parametrize("page", PAGES)
def test_pages_say_what_they_are_for(site: Path, page: str) -> None:
    assert PAGES[page] in text_of(site / f"{page}.html")


def test_every_page_can_be_reached_from_the_first(site: Path) -> None:
    assert 'url=README.html"' in (site / "index.html").read_text()
    first = (site / "README.html").read_text("utf-8")
    for page in (*PAGES, "examples/tutorial", "docs/team", "data/README", "CHANGELOG"):
        assert page == "README" or f'href="{page}.html"' in first
    assert 'href="../reports/index.html"' in (site / "docs/report.html").read_text("utf-8")
    assert (site / "reports/index.html").read_text() == "the explorer"


def test_the_notebook_is_shown_with_what_it_printed_and_drew(site: Path) -> None:
    cells = json.loads((ROOT / "examples" / "tutorial.ipynb").read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    page = (site / "examples" / "tutorial.html").read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == sum("image/png" in o.get("data", {}) for o in outputs)
    assert "exact in the unseen quadrant" in text_of(site / "examples" / "tutorial.html")


def test_links_and_pictures_lead_to_files_of_the_site(site: Path) -> None:
    """Those of the pages; among them links to sources and folders of the repository."""
    led = set()
    for page in site.rglob("*.html"):
        targets = re.findall(r'(?:href|src)="([^"#?:]+)[#?"]', page.read_text("utf-8"))
        led |= {(page.parent / target).resolve() for target in targets}
    assert [path for path in led if not path.is_file()] == []
    for path in ("params.yaml", "src/notsoclevr/recipes.py", "studies/seeds/index", "benchmarks/repro.csv"):
        assert (site / f"{path}.html").resolve() in led
    assert "learning_rate" in text_of(site / "src/notsoclevr/recipes.py.html")
    assert "study.yaml" in text_of(site / "studies/seeds/index.html")


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("[a page](docs/none.md)", "docs/none.md"),
        ("[a heading](#none)", "none"),
        ("[a file that git does not have](new.csv)", "new.csv"),
        ("![a picture](none.png)", "none.png"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str, complaint: str) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "init", "--quiet", str(source)], check=True)
    (source / "new.csv").touch()
    (source / "page.md").write_text(f"# A page\n\n{link}\n")
    status, warnings = build(source, tmp_path / "site", "root_doc=page", "include_patterns=page.md")
    assert status == 1
    assert warnings.startswith(f"{source / 'page.md'}:3: WARNING: ") and complaint in warnings
