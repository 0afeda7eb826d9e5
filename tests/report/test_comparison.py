from __future__ import annotations

import csv
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from notsoclevr.cells.files import Cell, load, save_timings
from notsoclevr.cells.record import cell_digest
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.report import comparison, markdown
from notsoclevr.tasks import METRICS

from ..conftest import ROOT
from ..fabricated import UNIFORM, fabricate

COLUMNS = (
    "task,model,split,seed,parameters,epochs,train_exact,test_exact,train_iou,test_iou,"
    "train_error_px,test_error_px,tutorial_train,tutorial_test,paper_test,"
    "epochs_to_perfect,gflop,gflop_to_perfect"
)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    folder = tmp_path_factory.mktemp("results")
    return [
        fabricate(folder, model, fails=model.startswith("deconv"))
        for model in ("deconv_classifier", "pooled_regressor", "coordconv_painter", "deconv_painter")
    ]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_the_columns_that_others_read(tmp_path: Path, cells: list[Cell]) -> None:
    comparison.write(tmp_path, cells, {})
    assert (tmp_path / "comparison.csv").read_text().splitlines()[0] == COLUMNS
    classifier, regressor, painter, deconv = read(tmp_path / "comparison.csv")
    assert (classifier["train_exact"], classifier["test_exact"], classifier["tutorial_train"]) == ("1.0", "0.0", "1.0")
    assert (classifier["train_iou"], classifier["test_error_px"], classifier["paper_test"]) == ("", "9.0", "0.0")
    assert (regressor["tutorial_test"], regressor["paper_test"]) == ("", "")
    assert (painter["test_iou"], painter["test_error_px"], painter["paper_test"]) == ("1.0", "", "1.0")
    assert (deconv["test_exact"], deconv["test_iou"], deconv["paper_test"]) == ("0.0", "0.0", "0.36")

    history = read(tmp_path / "history.csv")
    assert len(history) == sum(len(cell.history) for cell in cells)
    assert (history[0]["model"], history[0]["split"], history[0]["epoch"]) == (
        cells[0].metrics["model"],
        "quadrant",
        "1",
    )
    for cell in cells:
        last = [row for row in history if row["model"] == cell.metrics["model"]][-1]
        assert float(last["test_exact"]) == cell.history[-1]["test_exact"]
        assert float(last["train_loss"]) == cell.history[-1]["train_loss"]
        per_epoch = cell.metrics["training_operations"] / cell.metrics["epochs"] / 1e9
        assert float(last["gflop"]) == round(int(last["epoch"]) * per_epoch, 1)
        assert (last["test_iou"] == "") == ("test_iou" not in cell.metrics)
    for name in ("finding.png", "maps.png", "curves.png", "squares.png"):
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")


def test_markdown_has_a_row_a_cell(cells: list[Cell]) -> None:
    text = comparison.markdown(cells, {})
    assert text.count("| quadrant |") == len(cells)
    row = next(line for line in text.splitlines() if line.startswith("| deconv painter"))
    assert row.endswith("| 100 % | 0 % | 0.000 | 120 epochs, 3,441 GFLOP | never | – | IoU 0.36 |")  # noqa: RUF001
    assert "16 times" not in text
    row = next(line for line in text.splitlines() if line.startswith("| deconv classifier"))
    assert "| 100 %, 0 % | 0 % |" in row  # the tutorial's training set, then its test set


def test_a_row_says_what_a_training_cost_and_when_it_was_perfect(cells: list[Cell]) -> None:
    measured = {"epochs": 8, "training_operations": 8_123_456_789_000, "test_iou": 0.12345678}
    painter = replace(cells[2], metrics=cells[2].metrics | measured | {"epochs_to_perfect": 2})
    row = comparison.compare(painter)
    assert (row["gflop"], row["gflop_to_perfect"], row["test_iou"]) == (8123.5, 2030.9, 0.123457)
    said = comparison.wording(painter)
    assert (said["cost"], said["perfect"]) == ("8 epochs, 8,123 GFLOP", "2 epochs, 2,031 GFLOP")
    at_once = replace(painter, metrics=painter.metrics | {"epochs_to_perfect": 1})
    assert comparison.wording(at_once)["perfect"] == "1 epoch, 1,015 GFLOP"


def test_a_table_keeps_its_cells_apart() -> None:
    assert markdown.table(["a", "n"], [["x|y\nz", "1"]], words=1) == ["| a | n |", "| --- | ---: |", "| x\\|y z | 1 |"]


def test_what_longer_training_reaches_has_a_column(cells: list[Cell]) -> None:
    lines = comparison.markdown(cells, {("deconv_painter", "quadrant"): "12.3 % (one seed)"}).splitlines()
    assert sum(line.endswith("| paper | test, trained 16 times as long |") for line in lines) == 3
    painter = next(line for line in lines if line.startswith("| deconv painter"))
    assert painter.endswith("| IoU 0.36 | 12.3 % (one seed) |")
    assert next(line for line in lines if line.startswith("| CoordConv painter")).endswith("| – |")  # noqa: RUF001


def test_a_slower_machine_writes_the_same(tmp_path: Path, cells: list[Cell]) -> None:
    """Else what git has would be out of date after every `make repro`."""
    comparison.write(tmp_path / "fast", cells, {})
    for cell in cells:
        save_timings(cell.directory, [70.0] * 4, 300.0, cell_digest(cell.directory))
    comparison.write(tmp_path / "slow", [load(cell.directory) for cell in cells], {})
    for path in (tmp_path / "fast").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "slow" / path.relative_to(tmp_path / "fast")).read_bytes()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "100 %"),
        (0.9999, "99.99 %"),
        (0.9995, "99.95 %"),
        (0.0, "0 %"),
        (0.0004, "0.04 %"),
        (0.858, "85.8 %"),
        (1 - 1e-6, "99.9999 %"),
    ],
)
def test_shares_are_not_rounded_into_perfection(value: float, shown: str) -> None:
    assert markdown.share(value) == shown


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("exact", 0.25, "25 %"),
        ("iou", 0.99496, "0.995"),
        ("iou", 0.99994, "0.9999"),
        ("iou", 1.0, "1.000"),
        ("iou", 0.0, "0.000"),
        ("error_px", 17.277, "17.28 px"),
        ("error_px", 0.0039, "0.00 px"),
    ],
)
def test_values_are_written_as_their_metric_declares(metric: str, value: float, shown: str) -> None:
    assert markdown.quantity(METRICS[metric], value) == shown


def test_the_split_that_is_answered_worst_comes_first(tmp_path: Path, cells: list[Cell]) -> None:
    uniform = fabricate(tmp_path, "deconv_painter", UNIFORM)
    assert comparison.hardest_first([uniform, *cells]) == ["quadrant", "uniform"]
    failed = fabricate(tmp_path / "failed", "deconv_painter", UNIFORM, fails=True)
    assert comparison.hardest_first([*cells, failed]) == ["uniform", "quadrant"]


def test_readme_is_updated_between_its_marks(tmp_path: Path) -> None:
    readme, table = tmp_path / "README.md", tmp_path / "comparison.md"
    table.write_text("| new |\n")
    readme.write_text(f"above\n{comparison.BEGIN}\nold\n{comparison.END}\nbelow\n")
    comparison.update_readme(readme, table)
    assert readme.read_text() == f"above\n{comparison.BEGIN}\n\n| new |\n\n{comparison.END}\nbelow\n"
    twice = f"{comparison.BEGIN}\n{comparison.END}\n" * 2
    for wrong in ("no marks", f"{comparison.END} above {comparison.BEGIN}", twice):
        readme.write_text(wrong)
        with pytest.raises(StudyError, match="each once"):
            comparison.update_readme(readme, table)
    with pytest.raises(StudyError, match="notsoclevr evaluate"):
        comparison.update_readme(readme, tmp_path / "none.md")


# What the committed results say; those in the working tree are another machine's after `make repro` there


def committed(path: str) -> str:
    """Return a file as the last commit has it."""
    shown = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, check=True, capture_output=True, text=True)
    return shown.stdout


def test_the_readme_shows_the_comparison(tmp_path: Path) -> None:
    readme, copy = (ROOT / "README.md").read_text("utf-8"), tmp_path / "README.md"
    copy.write_text(readme, "utf-8")
    for table in (committed("reports/comparison.md"), (ROOT / "reports" / "comparison.md").read_text("utf-8")):
        (tmp_path / "comparison.md").write_text(table, "utf-8")
        comparison.update_readme(copy, tmp_path / "comparison.md")
        if copy.read_text("utf-8") == readme:
            return
    pytest.fail("README.md has another comparison than reports/comparison.md; run `make readme`")


def test_every_committed_coordconv_cell_is_perfect() -> None:
    rows = list(csv.DictReader(committed("reports/comparison.csv").splitlines()))
    assert len(rows) == 14
    coordconv = [row for row in rows if "CoordConv" in MODELS[row["model"]].title]
    assert len(coordconv) == 6
    assert all(float(row["train_exact"]) == float(row["test_exact"]) == 1 for row in coordconv)
