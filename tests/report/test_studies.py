from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.image import imsave

from notsoclevr.errors import StudyError
from notsoclevr.report import searches, studies
from notsoclevr.studies.rows import make_row, save_rows, to_frame
from notsoclevr.studies.spec import load_study

from ..conftest import ROOT

DECONV = {"variant": "table", "model": "deconv_classifier", "split": ["uniform", "quadrant"], "seed": 0}
SEEDS = {"variant": "coordconv", "model": "coordconv_regressor", "split": "quadrant", "seed": [0, 1, 2]}
RATE = "models.deconv_painter.learning_rate"
GRID = {"variant": "grid", "model": "deconv_painter", "split": "uniform", "seed": 0, "settings": {RATE: [0.001, 0.01]}}
SHARE = "splits.uniform.train_share"
SHARES = SEEDS | {"variant": "share", "split": "uniform", "settings": {SHARE: [0.1, 0.5]}}


def add_study(root: Path, name: str, block: dict[str, Any], *outcomes: dict[str, Any] | str) -> None:
    """Write a study of one block, with a row an outcome: what was measured, or the text of an error."""
    path = root / "studies" / name / "study.yaml"
    path.parent.mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", root)
    path.write_text(yaml.safe_dump({"about": f"All of {name}", "experiments": [block]}), "utf-8")
    study = load_study(path, root)
    rows = [
        make_row(training, {}, error=outcome) if isinstance(outcome, str) else make_row(training, outcome)
        for training, outcome in zip(study.trainings, outcomes, strict=False)
    ]
    if rows:
        save_rows(study, to_frame(rows))


def exact(train: float, test: float, **more: float) -> dict[str, float]:
    return {"train_exact": train, "test_exact": test} | more


def page_of(root: Path) -> str:
    studies.write(root / "reports", studies.load(root), searches.load(root))
    return (root / "reports" / "studies.md").read_text("utf-8")


def test_a_study_without_rows_says_so(tmp_path: Path) -> None:
    add_study(tmp_path, "seeds", SEEDS)
    assert "## seeds\n\nAll of seeds. 0 of 3 experiments have run.\n" in page_of(tmp_path)
    assert not (tmp_path / "reports" / "figures").exists()


def test_success_over_seeds_is_counted_and_drawn(tmp_path: Path) -> None:
    add_study(tmp_path, "seeds", SEEDS, exact(1.0, 1.0), exact(1.0, 0.5), exact(1.0, 1.0))
    page = page_of(tmp_path)
    assert "| coordconv | CoordConv regressor | quadrant | 2 of 3 (9 to 99 %) | 100 % | 100 % (50 to 100 %) |" in page
    assert "![All of seeds](figures/seeds.png)" in page
    assert (tmp_path / "reports" / "figures" / "seeds.png").stat().st_size > 5000


def test_a_run_that_failed_is_named_and_not_counted(tmp_path: Path) -> None:
    add_study(tmp_path, "ablations", SEEDS, exact(1.0, 1.0), "ValueError: no")
    page = page_of(tmp_path)
    assert "2 of 3 experiments have run, 1 of them failed. 1 of them are of an earlier training loop" in page
    assert "| 1 of 1 (3 to 100 %) | 100 % | 100 % |" in page


def test_without_a_run_that_ended_nothing_is_perfect(tmp_path: Path) -> None:
    block = SEEDS | {"split": ["uniform", "quadrant"], "seed": 0}
    add_study(tmp_path, "ablations", block, exact(1.0, 1.0), "ValueError: no")
    assert "| CoordConv regressor | quadrant | – |" in page_of(tmp_path)  # noqa: RUF001


def test_changed_recipes_are_drawn_below_the_one_that_is_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(studies.figures, "save_strips", lambda path, kinds: drawn.append(kinds) or path.touch())
    add_study(tmp_path, "seeds", SEEDS, exact(1.0, 1.0), exact(1.0, 0.9), exact(1.0, 0.8))
    rate = {"models.coordconv_regressor.learning_rate": 0.1}
    changed = SEEDS | {"variant": "too_fast", "seed": [0, 1], "settings": rate, "about": "a rate of 0.1"}
    add_study(tmp_path, "ablations", changed, exact(0.0, 0.0), exact(0.0, 0.1))
    assert "- *too_fast*: a rate of 0.1" in page_of(tmp_path)
    shown = {name: runs["test_exact"].tolist() for name, runs in drawn[1].items()}
    assert shown == {"CoordConv regressor: as it is": [1.0, 0.9], "CoordConv regressor: too fast": [0.0, 0.1]}


def test_the_tutorials_tables_stand_beside_ours(tmp_path: Path) -> None:
    runs = exact(1.0, 0.912), exact(1.0, 0.85), exact(0.9999, 0.0), exact(0.9999, 0.0)
    add_study(tmp_path, "replication", DECONV | {"seed": [0, 1]}, *runs)
    page = page_of(tmp_path)
    assert (
        "| deconv classifier | uniform | 0.00209 | 43 | 2 | 100 % | 85.8 % | 100 % | 85 to 91.2 % | 85 to 91.2 % |\n"
        in page
    )
    assert "| deconv classifier | quadrant | 0.00209 | 43 | 2 | 100 % | 0 % | 99.99 % | 0 % | 0 % |\n" in page


def test_the_best_of_a_grid_is_named(tmp_path: Path) -> None:
    worse = exact(0.9, 0.9, train_iou=0.9, test_iou=0.7)
    runs = [exact(0.3, 0.2, train_iou=train_iou, test_iou=0.8) for train_iou in (0.8, 0.9)]
    grid = GRID | {"settings": {RATE: [0.001, 0.003, 0.01]}}
    add_study(tmp_path, "paper_grid_subset", grid, worse, *runs)
    assert "| deconv painter | uniform | learning rate 0.01 | 3 | 30 % | 20 % | 0.800 |" in page_of(tmp_path)


def test_how_little_is_enough_is_drawn(tmp_path: Path) -> None:
    add_study(tmp_path, "sample_efficiency", SHARES, *[exact(1.0, share) for share in (0.2, 0.9, 0.3, 1.0, 0.4, 1.0)])
    page = page_of(tmp_path)
    assert (
        "| share | CoordConv regressor | uniform | train share 0.1 | 0 of 3 (0 to 71 %) | 100 % | 30 % (20 to 40 %) |"
        in page
    )
    assert (tmp_path / "reports" / "figures" / "sample_efficiency.png").stat().st_size > 5000


def test_what_it_costs_to_be_exact_is_told_and_drawn(tmp_path: Path) -> None:
    block = SEEDS | {"variant": "cost", "seed": [0, 1], "budget": [0.25, 4]}
    ends = [(0.5, 1e12), (1.0, 16e12), (0.7, 1e12), (1.0, 16e12)]
    add_study(tmp_path, "cost", block, *[exact(1.0, end, training_operations=cost) for end, cost in ends])
    with_recipe = [exact(1.0, end, training_operations=4e12) for end in (1.0, 0.9, 0.1)]
    add_study(tmp_path, "seeds", SEEDS, *with_recipe)  # seeds 0 to 2
    page = page_of(tmp_path)
    assert "| model | split | x 0.25 | x 1 | x 4 | least that is perfect with every seed |" in page
    assert (
        "| CoordConv regressor | quadrant | 60 % (2 seeds) | 95 % (2 seeds) | 100 % (2 seeds) | 16,000 GFLOP |" in page
    )
    assert (tmp_path / "reports" / "figures" / "cost.png").stat().st_size > 5000
    assert studies.reached(studies.load(tmp_path)) == {}


def test_runs_that_counted_no_operations_have_no_cost(tmp_path: Path) -> None:
    block = SEEDS | {"variant": "cost", "model": ["coordconv_regressor", "pooled_regressor"], "seed": 0, "budget": 4}
    add_study(tmp_path, "cost", block, exact(1.0, 1.0), exact(1.0, 1.0, training_operations=1e12))
    page = page_of(tmp_path)
    assert "| CoordConv regressor | quadrant | 100 % (one seed) | never |" in page
    assert "| conv regressor, pooled | quadrant | 100 % (one seed) | 1,000 GFLOP |" in page


def test_what_longer_training_reaches_is_the_median_of_the_seeds_that_ended(tmp_path: Path) -> None:
    block = SEEDS | {"variant": "cost", "budget": [1, 16]}
    ends = [exact(1.0, share) for share in (0.1, 0.5, 0.1, 0.7)]
    add_study(tmp_path, "cost", block, *ends, "OSError: full", "OSError: full")
    assert studies.reached(studies.load(tmp_path)) == {("coordconv_regressor", "quadrant"): "60 % (2 seeds)"}


@pytest.mark.parametrize(
    ("settings", "budget"), [("", 1), ("budget=0.25", 0.25), ("budget=16 learning_rate=0.01", 16), ("width=2", 1)]
)
def test_the_budget_is_read_by_its_name(settings: str, budget: float) -> None:
    assert studies._budget(settings) == budget


def test_what_networks_of_a_study_paint_is_shown(tmp_path: Path) -> None:
    block = GRID | {"variant": "table", "settings": {}, "seed": [0, 1]}
    add_study(tmp_path, "replication", block, exact(0.3, 0.2, train_iou=0.9, test_iou=0.8))
    assert "squares" not in page_of(tmp_path)
    study = load_study(tmp_path / "studies" / "replication" / "study.yaml", tmp_path)
    picture = study.squares(study.trainings[0].key)
    picture.parent.mkdir()
    imsave(picture, np.random.default_rng(0).uniform(size=(64, 12 * 64)), cmap="gray")
    assert "(figures/replication_squares.png)" in page_of(tmp_path)
    assert (tmp_path / "reports" / "figures" / "replication_squares.png").stat().st_size > 20000


def test_studies_come_in_the_order_of_what_rests_on_them(tmp_path: Path) -> None:
    for name in ("ablations", "another", "seeds"):
        add_study(tmp_path, name, SEEDS)
    page = page_of(tmp_path)
    assert page.index("## seeds") < page.index("## ablations") < page.index("## another")


def test_rows_that_were_edited_leave_the_page_as_it_was(tmp_path: Path) -> None:
    add_study(tmp_path, "seeds", SEEDS, exact(1.0, 1.0))
    page = page_of(tmp_path)
    results = tmp_path / "studies" / "seeds" / "results.csv"
    results.write_text(results.read_text("utf-8").replace("quadrant", "uniform"), "utf-8")
    with pytest.raises(StudyError, match="was edited"):
        page_of(tmp_path)
    assert (tmp_path / "reports" / "studies.md").read_text("utf-8") == page


def test_the_guide_has_the_throughput_that_was_measured() -> None:
    with (ROOT / "benchmarks" / "throughput.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    one, two = (int(row["experiments_an_hour"]) for row in rows)
    alone, together = (float(row["median_seconds"]) for row in rows)
    guide = " ".join((ROOT / "docs" / "studies.md").read_text("utf-8").split())
    assert f"{one} an hour on one worker, {two} on two, {alone / together:.2f} times as many" in guide
