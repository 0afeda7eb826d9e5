from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from notsoclevr import comparison, figures, models, report, results
from notsoclevr.results import Cell, Missing

from .conftest import Run
from .fabricated import CENTRES, fabricate

EVIL = "<script>alert('x')</script>"
CLAIMS = "source,claim,published,measured,seeds,verdict,missing\n"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of results with two of the fourteen cells."""
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(tmp_path / "results", model, "quadrant", epochs=2)
    return tmp_path / "results"


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
        for name in {"error_px", "iou"} & numbers.keys():
            np.testing.assert_array_equal(unpacked(numbers[name], "<f4"), arrays[name])
        if cell.task == "regression":
            np.testing.assert_array_equal(unpacked(numbers["points"], "<f4").reshape(-1, 2), arrays["predictions"])
            continue
        blocks = embedded(page, f"pixels-{place}")["blocks"]
        shown = np.stack([unpacked(block, "u1") for block in blocks]).reshape(-1, 64, 64) / report.LEVELS[0]
        wanted = arrays["predictions"].astype(np.float32)
        if cell.task == "classification":
            likeliest = unpacked(numbers["probability"], "<f4")
            np.testing.assert_array_equal(likeliest, wanted.max(axis=(1, 2)))
            wanted = wanted / likeliest[:, None, None]
            centres = np.stack(np.divmod(unpacked(numbers["top"], "<u2"), 64), axis=1)
            np.testing.assert_array_equal((centres == CENTRES).all(axis=1), arrays["exact"])
        assert np.abs(shown - wanted).max() <= 0.5 / report.LEVELS[0] + 1e-6


def test_a_tie_that_float16_makes_is_decided_by_the_measured_distance(tmp_path: Path) -> None:
    cell = fabricate(tmp_path, "coordconv_classifier", "uniform", epochs=1)
    cell.predictions["predictions"][0] = 0
    cell.predictions["predictions"][0, [4, 4], [2, 4]] = 0.5  # the centre is (4, 4); argmax would say (4, 2)
    assert report._likeliest(cell)[0] == 4 * 64 + 4


def test_names_stay_text(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = results.load(few / "coordconv_regressor-quadrant")
    cell.metrics["model"] = EVIL
    entry = {EVIL: models.MODELS["coordconv_regressor"]}
    for module in (report, comparison, figures):
        monkeypatch.setattr(module, "MODELS", MappingProxyType(dict(models.MODELS) | entry))
    monkeypatch.setitem(figures.COLOURS, EVIL, "#000000")
    (few / "coordconv_regressor-quadrant" / "run.json").write_text(
        json.dumps({"run_id": f"</script>{EVIL}", "experiment_id": f'"{EVIL}'})
    )
    (tmp_path / "rates.csv").write_text(f"model,perfect\n{EVIL},20\n")
    claims = tmp_path / "claims.csv"
    claims.write_text(CLAIMS + f"{EVIL},{EVIL},{EVIL},{EVIL},5,holds,\n{EVIL},{EVIL},-,-,0,not tested,{EVIL}\n")
    missing = Missing(model="pooled_regressor", split="quadrant", reason=f"damaged: {EVIL}")
    report.write(tmp_path / "index.html", [cell], [missing], {f"Rates {EVIL}": tmp_path / "rates.csv"}, claims)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert EVIL not in page
    assert page.count("<script") == page.count("</script>") == 3
    assert embedded(page, "study")["cells"][0]["run"]["run_id"] == f"</script>{EVIL}"
    assert page.count("&lt;script&gt;") >= 4


def test_more_tables_are_shown_when_their_files_exist(few: Path, tmp_path: Path) -> None:
    cells, _ = results.load_matrix(few)
    tables, claims = {"Over seeds": tmp_path / "rates.csv"}, tmp_path / "claims.csv"
    report.write(tmp_path / "index.html", cells, (), tables, claims)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "Over seeds" not in page
    assert "What was claimed" not in page
    tables["Over seeds"].write_text("model,settings,perfect\ndeconv_painter,,0\n")
    claims.write_text(
        CLAIMS
        + "paper,max pooling is needed,always,median 0.5; lowest 0.25,5,does not hold,\n"
        + "critics,nobody knows,-,-,0,not tested,seeds\n"
    )
    report.write(tmp_path / "index.html", cells, (), tables, claims)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<td>deconv_painter</td><td>0</td>" in page  # without the column that says nothing
    assert "<div>median 0.5</div><div>lowest 0.25</div>" in page
    assert '<b class="ruling does-not-hold">does not hold</b>' in page
    assert "1 not tested" in page


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
        case "another split":
            np.savez_compressed(predictions, **arrays | {"is_test": ~arrays["is_test"]})
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
        ("another split", "was not trained on the quadrant split"),
        ("not finite", "not finite"),
        ("of another cell", "strided_regressor"),
    ],
)
def test_the_report_says_which_cell_is_missing_and_shows_the_rest(
    few: Path, tmp_path: Path, how: str, reason: str
) -> None:
    fabricate(few, "strided_regressor", "quadrant", epochs=2)
    damage(few / "pooled_regressor-quadrant", how)
    cells, missing = results.load_matrix(few)
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
    for model in ("coordconv_regressor", "pooled_regressor"):
        fabricate(project / "results", model, "quadrant", epochs=2)
    (project / "results" / "pooled_regressor-quadrant" / "predictions.npz").write_bytes(b"no npz")
    finished = command("evaluate")
    assert finished.returncode == 0, finished.stderr
    assert "pooled_regressor-quadrant is missing" in finished.stderr
    assert len((project / "reports" / "comparison.csv").read_text().splitlines()) == 2
    assert 'data-missing="pooled_regressor-quadrant"' in (project / "reports" / "index.html").read_text("utf-8")
    assert (project / "reports" / "figures" / "finding.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_cells_give_the_same_bytes(few: Path, tmp_path: Path) -> None:
    cells, missing = results.load_matrix(few)
    for name in "ab":
        report.write(tmp_path / f"{name}.html", cells, missing)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_noise_is_shown_in_coarser_steps_rather_than_in_a_bigger_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = fabricate(tmp_path, "deconv_painter", "uniform", epochs=1)
    monkeypatch.setattr(report, "ROOM", 50_000)
    report.write(tmp_path / "index.html", [cell])
    page = (tmp_path / "index.html").read_text("utf-8")
    levels = embedded(page, "study")["levels"]
    assert levels < report.LEVELS[0]
    assert f"to steps of 1/{levels}" in page
