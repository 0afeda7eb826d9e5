"""The site that `make docs` builds: the pages of this repository as they stand, and the API from docstrings.

The source folder of Sphinx is the repository, so each page has one text, which GitHub shows as well. Two things are
done for that here: the notebook is read as Markdown, with the outputs that are committed, and a link to a file or a
folder that is no page leads to a page that shows it.

Why Sphinx, MyST and Furo, as of November 2026: Sphinx and MyST have releases of October and November, several a year,
and make errors of warnings. MkDocs is at 1.6 of 2024, its 2.0 another program, in development; Material for MkDocs is
classified as inactive; Zensical, which comes after it, as alpha. Furo (December 2025) is one quiet side bar, with four
small packages. Notebooks: nbsphinx needs pandoc, and myst-nb most of Jupyter.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import find_lexer_class_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import inspect, logging
from sphinx.util.inspect import stringify_signature

from notsoclevr.training import import_tensorflow

import_tensorflow()  # before autodoc does, to whom it would say much

LOGGER = logging.getLogger(__name__)
ROOT = Path(__file__).parents[1]
EXPLORER = "reports/index.html"

project = "CoordConv, measured"
version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
html_title = project
html_theme = "furo"
html_static_path, html_css_files = ["_static"], ["tables.css"]
html_copy_source = html_show_sourcelink = html_use_index = html_domain_indices = html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md", "data/README.md"),
    *("reports/claims.md", "reports/studies.md", "examples/tutorial.ipynb"),
]
exclude_patterns = [".*", "site", "results", "outputs", "mlartifacts", "mlruns"]  # not to be searched for pages

# What GitHub does not know of is text here, too: a line may well begin with a per cent sign.
myst_disable_syntax = ["myst_line_comment", "myst_block_break", "myst_target", "myst_role"]
myst_heading_anchors = 3
highlight_language = "text"
default_role = "code"
napoleon_custom_sections = [("Call arguments", "params_style"), "Input shape", "Output shape", "Reference"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

CONTENTS = """
```{toctree}
:hidden:
:caption: The layer

Start <self>
The guide <docs/coordconv>
The tutorial <examples/tutorial>
```
```{toctree}
:hidden:
:caption: Results

docs/findings
reports/claims
Departures <docs/departures>
Tables of the studies <reports/studies>
```
```{toctree}
:hidden:
:caption: The study

docs/studies
docs/protocol
docs/extending
docs/architecture
docs/team
The dataset <data/README>
CONTRIBUTING
CHANGELOG
```
```{toctree}
:hidden:
:caption: Reference

docs/api/coordconv
docs/api/notsoclevr
docs/report
```
"""


def notebook_to_markdown(text: str) -> str:
    """Return a notebook as Markdown: its text, its code, and what that printed and drew when it was last run."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"````python\n{source}\n````")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                printed = f"````text\n{''.join(output['text'])}````"
                parts.append("\n".join(f"> {line}" for line in printed.split("\n")))
            else:
                png = "".join(output["data"]["image/png"]).replace("\n", "")
                parts.append(f"![What this cell draws](data:image/png;base64,{png})")
    return "\n\n".join(parts)


def read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add to the text of a page what only the site has."""
    if docname == root_doc:
        source[0] += CONTENTS
    elif docname == "docs/report" and Path(app.config.explorer).exists():
        link = posixpath.relpath(EXPLORER, posixpath.dirname(docname))
        source[0] += f'\n```{{raw}} html\n<p><a href="{link}"><strong>Open the report</strong></a></p>\n```\n'
    elif app.env.doc2path(docname).suffix == ".ipynb":
        source[0] = notebook_to_markdown(source[0])


class Repository:
    """What git knows of the source folder, and a page for each of its files and folders that are linked.

    Args:
        app: The build.
    """

    def __init__(self, app: Sphinx) -> None:
        self.app = app
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=app.srcdir, capture_output=True, text=True, check=True
        ).stdout
        self.files = {name for name in listed.split("\0") if name and (app.srcdir / name).is_file()}
        self.folders = {str(folder) for name in self.files for folder in Path(name).parents} - {"."}
        self.linked: set[str] = set()

    def page(self, path: str) -> str | None:
        """Name the page that shows a file or a folder; None if there is none, or it is not text."""
        if path in self.folders:
            readme = f"{path}/README"
            return readme if readme in self.app.env.found_docs else f"{path}/index"
        if path not in self.files:
            return None
        docname = self.app.env.path2doc(self.app.srcdir / path)
        if docname in self.app.env.found_docs:
            return docname
        return None if b"\0" in (self.app.srcdir / path).read_bytes() else path

    def resolve_links(self, app: Sphinx, doctree: nodes.document) -> None:
        """Lead the links of a page to files and folders to the pages that show these."""
        docname = app.env.docname
        for node in list(doctree.findall(addnodes.pending_xref)) + list(doctree.findall(addnodes.download_reference)):
            if node.get("reftype") != "myst" or node.get("refdomain") == "doc":
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(docname), node["reftarget"]))
            page = self.page(path)
            if page is not None:
                self.linked.add(path)
                uri = app.builder.get_relative_uri(docname, page)
                node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=uri))
            elif isinstance(node, addnodes.download_reference) and path not in self.files:
                LOGGER.warning("link to a file that is not in git: %s", path, location=node)

    def children(self, folder: str) -> list[str]:
        """Return what lies directly in a folder, folders first."""
        inside = [path for path in self.folders | self.files if posixpath.dirname(path) == folder]
        return sorted(inside, key=lambda path: (path in self.files, path))

    def make_pages(self, app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield a page for each file and folder that is linked, and for all that lies in such a folder."""
        waiting, seen = sorted(self.linked), set()
        while waiting:
            path = waiting.pop()
            page = self.page(path)
            if path in self.folders:
                waiting += self.children(path)
            if page is not None and page not in seen | app.env.found_docs:
                seen.add(page)
                body = self.listing(path, page) if path in self.folders else self.highlighted(path)
                yield page, {"title": path, "body": f"<h1>{html.escape(path)}</h1>\n{body}"}, "page.html"

    def listing(self, folder: str, page: str) -> str:
        """Return what lies in a folder as a list of links."""
        items = []
        for path in self.children(folder):
            name = html.escape(posixpath.basename(path)) + "/" * (path in self.folders)
            target = self.page(path)
            uri = target and self.app.builder.get_relative_uri(page, target)
            items.append(f'<li><a href="{html.escape(uri)}">{name}</a></li>' if uri else f"<li>{name}</li>")
        return f"<ul>\n{''.join(items)}</ul>"

    def highlighted(self, path: str) -> str:
        """Return the text of a file, as its kind is highlighted."""
        lexer = find_lexer_class_for_filename(path)
        text = (self.app.srcdir / path).read_text("utf-8")
        return self.app.builder.highlighter.highlight_block(text, lexer.aliases[0] if lexer else "text")


def translate_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring, whose markup is that of Markdown: code, also indented, and links."""
    # an example that is not indented, as those of Keras, is no section to napoleon
    lines[:] = "\n".join(lines).replace("Example:\n>>>", ".. rubric:: Example\n\n>>>").split("\n")
    code_below, in_example = None, False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line:
            in_example = False
        if not line or (code_below is not None and indent > code_below):
            continue
        code_below = None
        in_example = in_example or line.lstrip().startswith(">>>")
        if in_example:
            continue
        blank, below = (*lines[number + 1 : number + 3], "", "")[:2]
        if line.endswith(":") and not blank and len(below) - len(below.lstrip()) > indent:
            code_below = indent
        parts = re.split(r"(`[^`]*`|\[[^]]+\]\([^)]+\))", line)  # plain and marked by turns
        parts[::2] = [re.sub(r"([*|]|_\b)", r"\\\1", part) for part in parts[::2]]
        parts[1::2] = [re.sub(r"^\[(.+)\]\((.+)\)$", r"`\1 <\2>`__", part) for part in parts[1::2]]
        lines[number] = "".join(parts) + ":" * (code_below is not None)


def sign_layer(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, None] | None:
    """Show what a layer takes, which Keras hides behind a `__new__` that takes all."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    return stringify_signature(inspect.signature(obj.__init__, bound_method=True), show_annotation=False), None


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write the way into the site, and put the explorer beside the pages, if there is one."""
    if exception is not None:
        return
    (app.outdir / "index.html").write_text(
        f'<!doctype html>\n<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        f'<title>{project}</title>\n<a href="{root_doc}.html">{project}</a>\n',
        "utf-8",
    )
    if Path(app.config.explorer).exists():
        (app.outdir / EXPLORER).parent.mkdir(exist_ok=True)
        shutil.copy(app.config.explorer, app.outdir / EXPLORER)
    else:
        print(f"{app.config.explorer}: not there, so the site is without it; `make repro` makes it")


def setup(app: Sphinx) -> None:
    """Connect the above to the build."""
    app.add_config_value("explorer", str(ROOT / EXPLORER), "env", str)
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", translate_docstring, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", sign_layer)
    app.connect("build-finished", finish)
    app.connect("builder-inited", connect_repository)


def connect_repository(app: Sphinx) -> None:
    """Connect the pages of files and folders."""
    repository = Repository(app)
    app.connect("doctree-read", repository.resolve_links, priority=100)  # before downloads are collected
    app.connect("html-collect-pages", repository.make_pages)
