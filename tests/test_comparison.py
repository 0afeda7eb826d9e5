from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from notsoclevr import comparison, markdown, results
from notsoclevr.dataset import Dataset, split_quadrant
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS

from .cells import fabricate
from .conftest import ROOT

COLUMNS = (
    "task,model,split,seed,parameters,epochs,train_exact,test_exact,train_iou,test_iou,"
    "train_error_px,test_error_px,tutorial_train,tutorial_test,paper_test"
)


@pytest.fixture(scope="module")
def cells(full: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[results.Cell]:
    split = split_quadrant(full, corner="lower_right", boundary=32)
    folder = tmp_path_factory.mktemp("results")
    return [
        fabricate(folder / f"{model}-quadrant", model, split, fails_on_test=model.startswith("deconv"))
        for model in ("deconv_classifier", "pooled_regressor", "coordconv_painter", "deconv_painter")
    ]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_the_columns_that_others_read(tmp_path: Path, cells: list[results.Cell]) -> None:
    comparison.write(tmp_path, cells)
    assert (tmp_path / "comparison.csv").read_text().splitlines()[0] == COLUMNS
    classifier, regressor, painter, deconv = read(tmp_path / "comparison.csv")
    assert (classifier["train_exact"], classifier["test_exact"], classifier["tutorial_train"]) == ("1.0", "0.0", "1.0")
    assert (classifier["train_iou"], classifier["test_error_px"], classifier["paper_test"]) == ("", "9.0", "0.0")
    assert (regressor["tutorial_test"], regressor["paper_test"]) == ("", "")
    assert (painter["test_iou"], painter["test_error_px"], painter["paper_test"]) == ("1.0", "", "1.0")
    assert (deconv["test_exact"], deconv["test_iou"], deconv["paper_test"]) == ("0.0", "0.0", "0.36")

    timings = read(tmp_path / "timings.csv")
    columns = "model,split,import_seconds,train_seconds,total_seconds,epochs_to_perfect,seconds_to_perfect"
    assert ",".join(timings[0]).startswith(columns)
    assert (timings[0]["epochs_to_perfect"], timings[0]["seconds_to_perfect"]) == ("", "")
    assert (timings[2]["epochs_to_perfect"], timings[2]["seconds_to_perfect"]) == ("1", "1.5")
    assert (timings[2]["train_seconds"], timings[2]["measure_seconds"]) == ("6.0", "1.5")
    for name in ("maps.png", "curves.png"):
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")


def test_markdown_has_a_row_a_cell(cells: list[results.Cell]) -> None:
    text = comparison.markdown(cells)
    assert text.count("| quadrant |") == len(cells)
    row = next(line for line in text.splitlines() if line.startswith("| deconv painter"))
    assert "| 100 % | 0 % | 0.000 | never | – | IoU 0.36 |" in row  # noqa: RUF001


def test_a_slower_machine_writes_the_same_comparison(tmp_path: Path, cells: list[results.Cell]) -> None:
    """Else the README, which shows the committed tables, would be out of date after every `make repro`."""
    slower = [replace(cell, timings=cell.timings | {"epoch_seconds": [70.0] * 3}) for cell in cells]
    comparison.write(tmp_path / "fast", cells)
    comparison.write(tmp_path / "slow", slower)
    for name in ("comparison.csv", "comparison.md"):
        assert (tmp_path / "fast" / name).read_bytes() == (tmp_path / "slow" / name).read_bytes()
    assert read(tmp_path / "slow" / "timings.csv")[2]["seconds_to_perfect"] == "70.0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.0, "100 %"), (0.9999, "99.99 %"), (0.9995, "99.95 %"), (0.0, "0 %"), (0.0004, "0.04 %"), (0.858, "85.8 %")],
)
def test_shares_are_not_rounded_into_perfection(value: float, shown: str) -> None:
    assert markdown.share(value) == shown


def test_readme_is_updated_between_its_marks(tmp_path: Path) -> None:
    readme, table = tmp_path / "README.md", tmp_path / "comparison.md"
    table.write_text("| new |\n")
    readme.write_text(f"above\n{comparison.BEGIN}\nold\n{comparison.END}\nbelow\n")
    comparison.update_readme(readme, table)
    assert readme.read_text() == f"above\n{comparison.BEGIN}\n\n| new |\n\n{comparison.END}\nbelow\n"
    readme.write_text("no marks")
    with pytest.raises(StudyError, match="each once"):
        comparison.update_readme(readme, table)
    with pytest.raises(StudyError, match="notsoclevr evaluate"):
        comparison.update_readme(readme, tmp_path / "none.md")


# What the committed results say


def test_the_readme_shows_the_committed_comparison(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((ROOT / "README.md").read_text("utf-8"), "utf-8")
    comparison.update_readme(copy, ROOT / "reports" / "comparison.md")
    assert copy.read_text("utf-8") == (ROOT / "README.md").read_text("utf-8"), "run `make readme`"


def test_every_committed_coordconv_cell_is_perfect() -> None:
    rows = read(ROOT / "reports" / "comparison.csv")
    assert len(rows) == 14
    coordconv = [row for row in rows if "CoordConv" in MODELS[row["model"]].title]
    assert len(coordconv) == 6
    assert all(float(row["train_exact"]) == float(row["test_exact"]) == 1 for row in coordconv)
    assert all(float(row["test_iou"]) == 1 for row in coordconv if row["task"] == "rendering")
