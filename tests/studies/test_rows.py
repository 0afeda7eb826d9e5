"""results.csv and summary.csv: what is kept, what is refused, what it comes to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.studies import rows as tables
from notsoclevr.studies.rows import load_rows, load_table, make_row, save_rows, save_summary, summarise, to_frame
from notsoclevr.studies.spec import Study, load_study
from notsoclevr.tasks import TASKS

from ..conftest import ROOT
from .toy import BLOCK, PERFECT, make_study

# every row that has ever been asked for, and is paid for
COMMITTED = {
    **{"ablations": 147, "cost": 57, "paper_grid": 0, "paper_grid_subset": 48},
    **{"replication": 104, "sample_efficiency": 32, "seeds": 310},
}


def rows_of(study: Study, **measured: Any) -> pd.DataFrame:
    return to_frame(make_row(training, measured or PERFECT) for training in study.trainings)


def table_of(study: Study, *measured: dict[str, Any]) -> pd.DataFrame:
    """A row an experiment; an empty one failed."""
    each = zip(study.trainings, measured, strict=True)
    return tables.to_table(study, to_frame(make_row(training, m, error="" if m else "Boom") for training, m in each))


@pytest.mark.parametrize("name", COMMITTED)
def test_every_committed_row_is_found_and_written_again_as_it_is(tmp_path: Path, name: str) -> None:
    folder = ROOT / "studies" / name
    study = load_study(folder / "study.yaml", ROOT)
    rows = load_rows(study.results)
    assert len(rows) == COMMITTED[name]
    assert [*load_table(study)["key"]] == [training.key for training in study.trainings if training.key in rows.index]
    assert len(load_table(study)) == len(rows)
    if not COMMITTED[name]:
        return
    copy = Study(
        path=tmp_path / name / "study.yaml", about=study.about, variants=study.variants, trainings=study.trainings
    )
    save_rows(copy, rows)
    save_summary(copy, rows)
    assert copy.summary.read_bytes() == study.summary.read_bytes()
    # names follow the study file: but for them, the rows are as they stand there
    again = load_rows(copy.results).drop(columns=[*tables.NAMES])
    assert again.sort_index().equals(rows.drop(columns=[*tables.NAMES]).sort_index())
    assert copy.results.read_text().splitlines()[0] == study.results.read_text().splitlines()[0]


@pytest.mark.parametrize("task", TASKS)
def test_params_has_the_recipes_that_the_searches_of_a_task_chose(task: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    models = [model for model in params["matrix"]["model"] if MODELS[model].task == task]
    paths = [ROOT / "studies" / "search" / model / "recipe.yaml" for model in models]
    chosen: dict[str, Any] = {}
    for path in paths:
        chosen |= yaml.safe_load(path.read_text())["models"]
    assert chosen == {model: params["models"][model] for model in models}


def test_rows_come_back_in_the_order_of_the_study(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    rows = rows_of(study)
    save_rows(study, rows[::-1])
    assert load_rows(study.results).equals(rows)
    assert load_rows(tmp_path / "nothing.csv").empty
    assert load_table(make_study(tmp_path / "tried", BLOCK)).empty


def test_a_row_says_what_was_trained(tmp_path: Path) -> None:
    row = make_row(make_study(tmp_path, BLOCK).trainings[-1], PERFECT)
    assert tuple(row) == tables.COLUMNS
    expected = {
        **{"model": "coordconv_regressor", "split": "quadrant", "seed": "2", "learning_rate": "0.01"},
        **{"split_corner": "lower_right", "split_train_share": "", "scale_coordinates": "false", "width": ""},
        **{"settings": "learning_rate=0.01", "test_exact": "1.0", "epochs_to_perfect": "3", "error": ""},
    }
    assert {name: row[name] for name in expected} == expected


def test_a_table_has_numbers_for_what_was_measured_and_text_for_the_rest(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK | {"seed": 0, "split": "quadrant"})
    save_rows(study, rows_of(study, train_exact=0.1 + 0.2, test_exact=0, test_exact_by_epoch="0 0.5"))
    table = load_table(study)
    assert tuple(table.columns) == tables.COLUMNS
    assert {str(table[name].dtype) for name in tables.NUMBERS} == {"float64"}
    first = table.iloc[0]
    assert first["train_exact"] == 0.1 + 0.2
    assert math.isnan(first["test_iou"])
    assert first[["seed", "learning_rate", "width", "error", "test_exact_by_epoch"]].to_list() == [
        *("0", "0.001", "", "", "0 0.5")
    ]


def test_rows_that_the_study_no_longer_asks_for_are_kept_but_not_used(tmp_path: Path) -> None:
    rows = rows_of(make_study(tmp_path, BLOCK))
    fewer = make_study(tmp_path, BLOCK | {"seed": [1]})
    save_rows(fewer, rows)
    assert len(load_rows(fewer.results)) == 12
    assert [*load_rows(fewer.results)["seed"][:4]] == ["1"] * 4  # those that are asked for come first
    assert [*load_table(fewer)["seed"]] == ["1"] * 4


def test_rows_are_kept_under_the_names_that_the_study_has_for_them_now(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    save_rows(study, rows_of(study))
    renamed = make_study(tmp_path, BLOCK | {"variant": "renamed"})
    assert {*load_table(renamed)["variant"]} == {"renamed"}
    save_rows(renamed, load_rows(renamed.results))
    assert {*load_rows(renamed.results)["variant"]} == {"renamed"}


def test_a_column_that_came_later_makes_no_row_invalid(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    rows_of(study).drop(columns="loss").to_csv(study.results, index=False)
    assert load_rows(study.results).equals(rows_of(study))


def test_a_new_model_changes_no_table_that_it_is_not_in(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    save_rows(study, rows_of(study))
    header = study.results.read_text("utf-8").splitlines()[0].split(",")
    assert "pixel_value" in header and "width" not in header
    rows_of(study).assign(rays="").to_csv(study.results, index=False)  # a setting of a model that is not here
    assert load_rows(study.results).equals(rows_of(study))
    rows_of(study).assign(rays="3").to_csv(study.results, index=False)
    with pytest.raises(StudyError, match="rays is no column of a study"):
        load_rows(study.results)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1.0,1.0,", ",1.0,much,", "line 2: test_exact is 'much', which is no number"),
        (",1.0,1.0,", ",1.0,1.5,", "line 2: test_exact is '1.5', which is no share"),
        (",1.0,1.0,", ",1.0,-0.5,", "line 2: test_exact is '-0.5', which is no share"),
        (",1.0,1.0,", ",1.0,nan,", "line 2: test_exact is 'nan', which is no share"),
        (",1.0,1.0,", ",,1.0,", "line 2: train_exact is '', which is no share"),
        (",0 1\n", ",0 one\n", "line 2: test_exact_by_epoch is '0 one', which is no number"),
        (",0.001,", ",0.002,", "line 2: was edited: its key is not that of its settings"),
        (",1.0,1.0,", ",1.0,", "line 2: was cut or edited"),
        (",1.0,1.0,", ",1.0,1.0,1.0,", "line 2: was cut or edited"),
        ("test_exact_by_epoch", "by_epoch", "by_epoch is no column of a study"),
        ("test_iou", "train_iou", "train_iou is no column of a study, or there twice"),
        ("rates,", '"rates,', "cannot be read: .*; take it back from git"),
    ],
)
def test_a_table_that_was_edited_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    study = make_study(tmp_path, BLOCK)
    save_rows(study, rows_of(study, **PERFECT, test_exact_by_epoch="0 1"))
    content = study.results.read_text()
    assert old in content
    study.results.write_text(content.replace(old, new, 1))
    with pytest.raises(StudyError, match=message) as error:
        load_table(study)
    assert "\n" not in str(error.value)


def test_a_table_that_was_cut_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    save_rows(study, rows_of(study, **PERFECT, test_exact_by_epoch="0 0.5 1"))
    whole = study.results.read_bytes()
    for length in (40, 3, 1):  # in the middle of a row, of its last number, and before the end of its line
        study.results.write_bytes(whole[:-length])
        with pytest.raises(StudyError, match=r"line 13: was cut( or edited)?; take it back from git"):
            load_rows(study.results)
    study.results.write_bytes(whole + whole.splitlines(keepends=True)[-1])
    with pytest.raises(StudyError, match="line 14: its experiment has a row already"):
        load_rows(study.results)
    study.results.write_bytes(b"")
    with pytest.raises(StudyError, match=r"results.csv: is empty"):
        load_rows(study.results)
    study.results.write_bytes(whole + b"\xff")
    with pytest.raises(StudyError, match=r"results.csv: cannot be read"):
        load_rows(study.results)


def test_a_summary_is_a_line_for_what_differs_by_its_seed_alone(tmp_path: Path) -> None:
    rate, warmup = "models.coordconv_regressor.learning_rate", "models.coordconv_regressor.warmup_epochs"
    one = BLOCK | {"split": "uniform", "seed": [0, 1], "settings": [{rate: 0.01}, {rate: 0.01, warmup: 3}]}
    other = one | {"settings": {rate: 0.03}}
    study = make_study(tmp_path, one, other)
    rows = rows_of(study)
    assert [*summarise(tables.to_table(study, rows))["seeds"]] == ["2", "2", "2"]

    alone = make_study(tmp_path, other)  # the same experiments, and nothing left to tell them from
    lines = summarise(tables.to_table(alone, rows))
    assert lines[["settings", "seeds"]].to_numpy().tolist() == [["", "2"]]


def test_when_a_network_became_perfect_is_not_known_if_it_was_measured_once(tmp_path: Path) -> None:
    measured = {"train_exact": 1.0, "test_exact": 1.0, "epochs_to_perfect": 12, "seconds_to_perfect": 9.0}
    for every, known in ((1, "12"), (1000, "")):
        study = make_study(tmp_path, BLOCK | {"split": "uniform", "seed": 0, "settings": {}}, measure_every=every)
        lines = summarise(table_of(study, measured))
        assert lines[["epochs_to_perfect", "perfect"]].to_numpy().tolist() == [[known, "1"]]


def test_the_summary_counts_and_spreads(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK | {"split": "quadrant", "seed": [0, 1, 2, 3], "settings": {}})
    almost = {"train_exact": 1.0, "test_exact": 0.5}
    later = PERFECT | {"epochs_to_perfect": 5, "seconds_to_perfect": 2.5}
    (line,) = summarise(table_of(study, PERFECT, later, almost, {})).to_dict("records")
    assert line["seeds"] == "4"
    assert line["failed"] == "1"
    assert line["perfect"] == "2"
    assert line["train_exact"] == "1"
    assert line["test_exact"] == "1 (0.5 to 1)"
    assert line["epochs_to_perfect"] == "5 (3 to never)"
    assert line["seconds_to_perfect"] == "2.5 (2.5 to never)"
    assert line["test_iou"] == ""


def test_what_was_lost_again_is_not_perfect(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK | {"split": "quadrant", "seed": 0, "settings": {}})
    table = table_of(study, PERFECT | {"test_exact": 0.99})
    assert [*summarise(table)["perfect"]] == ["0"]
    assert [*tables.is_perfect(table)] == [False]
