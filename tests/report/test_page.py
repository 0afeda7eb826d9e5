from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from notsoclevr.cells import files
from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import Missing, load_matrix
from notsoclevr.config import load
from notsoclevr.models import MODELS
from notsoclevr.report import page as report

from ..conftest import Run
from ..fabricated import CONFIG, fabricate

EVIL = "<script>alert('x')</script>"
CLAIM = {"group": "paper", "id": "pooling", "source": "section 5", "statement": "max pooling is needed"}
CLAIM |= {"published": "always", "seeds": "5"}
SCALE = {"band": (99.95, 100.0), "rows": (25.0, 60.0), "at": 55.0}
TEST = {
    "label": "",
    "quantity": "exact answers",
    "value": "median 0.5",
    "needed": "at least 1",
    "passes": False,
    "note": "",
}
TEST |= {"scale": SCALE}
STRIP = {"split": "quadrant", "model": MODELS["deconv_painter"], "dots": [(97.5, 43.0), (98.0, 57.0)], "words": "all"}
STRIP |= {"name": "deconv painter", "perfect": "1 of 2", "share": 50.0, "interval": (1.26, 98.74)}


def embedded(page: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def unpacked(text: str, kind: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind)


def test_one_file_of_at_most_ten_megabytes_that_names_no_other(written: tuple[Path, list[Cell]]) -> None:
    page = written[0].read_text("utf-8")
    assert len(page.encode()) < 10_000_000
    markup = re.sub(r"<script type=\"application/json\".*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*", markup) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\s\"']*", markup) == []
    assert "default-src 'none'" in markup
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(", markup)


def test_every_answer_at_every_position_is_in_it(written: tuple[Path, list[Cell]]) -> None:
    page, cells = written[0].read_text("utf-8"), written[1]
    study = embedded(page, "study")
    assert [entry["name"] for entry in study["cells"]] == [cell.name for cell in cells]
    for place, (entry, cell) in enumerate(zip(study["cells"], cells, strict=True)):
        arrays, numbers = cell.predictions, entry["numbers"]
        np.testing.assert_array_equal(unpacked(numbers["exact"], "u1"), arrays["exact"])
        np.testing.assert_array_equal(unpacked(study["tests"][entry["split"]], "u1"), arrays["is_test"])
        metric = cell.task.metric
        np.testing.assert_array_equal(unpacked(numbers[metric], "<f4"), np.float32(arrays[metric]))
        if cell.points is not None:
            np.testing.assert_array_equal(unpacked(numbers["points"], "<f4").reshape(-1, 2), cell.points)
        if cell.task.answer == "point":
            continue
        blocks = embedded(page, f"pixels-{place}")["blocks"]
        shown = np.stack([unpacked(block, "u1") for block in blocks]).reshape(-1, 64, 64) / report.LEVELS
        wanted = arrays["predictions"].astype(np.float32)
        if cell.task.relative:
            highest = unpacked(numbers["probability"], "<f4")
            np.testing.assert_array_equal(highest, wanted.max(axis=(1, 2)))
            wanted = wanted / highest[:, None, None]
        assert np.abs(shown - wanted).max() <= 0.5 / report.LEVELS + 1e-6


def test_names_stay_text(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = files.load(few / "coordconv_regressor-quadrant")
    monkeypatch.setitem(MODELS, EVIL, replace(cell.model, name=EVIL, title=EVIL, short=EVIL))
    cell.metrics["model"] = EVIL
    test = TEST | dict.fromkeys(("label", "quantity", "value", "needed", "note"), EVIL)
    claim = dict.fromkeys(CLAIM, EVIL) | {"group": "paper", "measured": [EVIL], "missing": [EVIL], "tests": [test]}
    claims = [claim | {"verdict": "holds"}, claim | {"verdict": "not tested"}]
    missing = Missing(name="pooled_regressor-quadrant", model="pooled_regressor", reason=f"damaged: {EVIL}")
    strip = STRIP | {"split": EVIL, "model": cell.model, "name": EVIL, "words": EVIL, "perfect": EVIL}
    report.write(tmp_path / "index.html", [cell], [missing], claims, [strip])
    page = (tmp_path / "index.html").read_text("utf-8")
    assert EVIL not in page
    assert page.count("<script") == page.count("</script>") == 4
    assert embedded(page, "study")["cells"][0]["title"] == EVIL
    assert page.count("&lt;script&gt;") >= 12


def test_claims_seeds_and_squares_are_shown_when_there_are_any(few: Path, tmp_path: Path) -> None:
    cells, _ = load_matrix(few, CONFIG)
    report.write(tmp_path / "index.html", cells)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "Over seeds" not in page
    assert "What was claimed" not in page
    assert "With the tutorial" not in page
    holds = TEST | {"passes": True, "value": "7 px", "note": "added later", "scale": SCALE | {"rows": None, "at": None}}
    claims = [
        CLAIM | {"verdict": "holds in part", "measured": [], "missing": [], "tests": [holds, TEST]},
        CLAIM
        | {"verdict": "not tested", "measured": [], "missing": ["seeds"], "statement": "nobody knows", "tests": []},
    ]
    (tmp_path / "squares.png").write_bytes(b"a picture")
    report.write(tmp_path / "index.html", cells, claims=claims, strips=[STRIP], painted=tmp_path / "squares.png")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert '<img class="picture" src="data:image/png;base64,YSBwaWN0dXJl" alt="The squares' in page
    # first what fails
    assert "<span>published always</span> <b>ours median 0.5</b>" in page
    assert 'class="band" style="left: 99.95%; right: 0.0%"' in page
    assert (
        page.count('class="rows" style="left: 25.0%; right: 40.0%"')
        == page.count('class="at" style="left: 55.0%"')
        == 2
    )
    assert "exact answers, 7 px; needed at least 1: <b>yes</b> (added later)" in page
    assert "The paper: section 5. Seeds of an experiment: 5." in page
    assert '<b class="ruling holds-in-part">holds in part</b>' in page
    assert '<span class="holds-in-part" style="flex-grow: 1"><b>1</b> hold in part</span>' in page
    assert "1 not tested" in page
    assert "<li>nobody knows" in page
    assert '<i style="left: 97.5%; top: 43.0%"></i><i style="left: 98.0%; top: 57.0%"></i>' in page
    assert 'class="rows" style="left: 1.26%; right: 1.26%"></i><i class="at" style="left: 50.0%"' in page


def damage(folder: Path, how: str) -> None:
    predictions = folder / "predictions.npz"
    arrays = dict(np.load(predictions))
    match how:
        case "missing":
            predictions.unlink()
        case "cut":
            predictions.write_bytes(predictions.read_bytes()[:5000])
        case "another shape":
            np.savez_compressed(predictions, **arrays | {"predictions": arrays["predictions"][:7]})
        case "not finite":
            np.savez_compressed(predictions, **arrays | {"predictions": np.full((3136, 2), np.nan, np.float32)})
        case "of another cell":
            metrics = json.loads((folder / "metrics.json").read_text())
            (folder / "metrics.json").write_text(json.dumps(metrics | {"model": "strided_regressor"}))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "no such file"),
        ("cut", "cannot be read"),
        ("another shape", "(7, 2)"),
        ("not finite", "not finite"),
        ("of another cell", "strided_regressor"),
    ],
)
def test_the_report_says_which_cell_is_missing_and_shows_the_rest(
    few: Path, tmp_path: Path, how: str, reason: str
) -> None:
    fabricate(few, "strided_regressor", epochs=2)
    damage(few / "pooled_regressor-quadrant", how)
    cells, missing = load_matrix(few, CONFIG)
    assert [cell.name for cell in cells] == ["coordconv_regressor-quadrant", "strided_regressor-quadrant"]
    assert len(missing) == 12
    (pooled,) = [cell for cell in missing if cell.name == "pooled_regressor-quadrant"]
    assert reason in pooled.reason
    assert "\n" not in pooled.reason
    report.write(tmp_path / "index.html", cells, missing)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "12 of 14 cells" in page
    assert 'data-missing="pooled_regressor-quadrant"' in page
    assert [entry["name"] for entry in embedded(page, "study")["cells"]] == [cell.name for cell in cells]


def test_evaluate_compares_what_is_there(project: Path, command: Run) -> None:
    config = load(project / "params.yaml")
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(project / "results", model, config.splits["quadrant"], config.models[model], epochs=1)
    (project / "results" / "pooled_regressor-quadrant" / "predictions.npz").write_bytes(b"no npz")
    finished = command("evaluate")
    assert finished.returncode == 0, finished.stderr
    assert "pooled_regressor-quadrant is missing" in finished.stderr
    assert len((project / "reports" / "comparison.csv").read_text().splitlines()) == 2
    page = (project / "reports" / "index.html").read_text("utf-8")
    assert 'data-missing="pooled_regressor-quadrant"' in page
    assert "results/pooled_regressor-quadrant" in page
    assert str(project) not in page
    assert (project / "reports" / "figures" / "finding.png").read_bytes().startswith(b"\x89PNG")
    # the project has no claims, and DVC wants the files
    assert "0 claims" in (project / "reports" / "claims.md").read_text("utf-8")
    assert (project / "reports" / "claims.csv").exists()


def test_the_same_cells_give_the_same_bytes(few: Path, tmp_path: Path) -> None:
    cells, missing = load_matrix(few, CONFIG)
    for name in "ab":
        report.write(tmp_path / f"{name}.html", cells, missing)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_page_does_not_depend_on_the_store_of_the_machine(few: Path, tmp_path: Path) -> None:
    report.write(tmp_path / "a.html", *load_matrix(few, CONFIG))
    (few / "pooled_regressor-quadrant" / "run.json").write_text('{"run_id": "1", "experiment_id": "2"}')
    report.write(tmp_path / "b.html", *load_matrix(few, CONFIG))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
