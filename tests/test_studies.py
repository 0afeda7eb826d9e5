from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from notsoclevr import studies
from notsoclevr.errors import StudyError
from notsoclevr.studies import Study, Trial, load_rows, load_study, save_rows, summarise

from .conftest import ROOT

BLOCK: dict[str, Any] = {
    "variant": "rates",
    "model": "coordconv_regressor",
    "split": ["uniform", "quadrant"],
    "seed": [0, 1, 2],
    "settings": {"models.coordconv_regressor.learning_rate": [0.001, 0.01]},
}
PERFECT = {"train_exact": 1.0, "test_exact": 1.0, "epochs_to_perfect": 3, "seconds_to_perfect": 2.5}


def study_of(folder: Path, *blocks: dict[str, Any], **more: Any) -> Study:
    path = folder / "tried" / "study.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"about": "a test", "experiments": list(blocks), **more}), "utf-8")
    return load_study(path, ROOT)


def rows_of(study: Study, **measured: Any) -> dict[str, studies.Row]:
    return {trial.key: trial.row(measured or PERFECT) for trial in study.trials}


def test_a_block_is_every_combination(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    assert study.name == "tried"
    seen = [(t.experiment.split, t.experiment.seed, t.experiment.recipe.learning_rate) for t in study.trials]
    assert seen == [(s, seed, rate) for s in ("uniform", "quadrant") for seed in range(3) for rate in (0.001, 0.01)]
    assert len({trial.key for trial in study.trials}) == 12
    assert [trial.settings for trial in study.trials[:2]] == ["learning_rate=0.001", "learning_rate=0.01"]
    assert study.trials[0].split_arguments == {"train_share": 0.8, "seed": 0}


def test_settings_that_go_together(tmp_path: Path) -> None:
    path = "models.coordconv_regressor"
    pairs = [{f"{path}.epochs": 3, f"{path}.warmup_epochs": 0}, {f"{path}.epochs": 6, f"{path}.warmup_epochs": 2}]
    study = study_of(tmp_path, BLOCK | {"settings": pairs, "seed": 7, "split": "quadrant"})
    recipes = [trial.experiment.recipe for trial in study.trials]
    assert [(recipe.epochs, recipe.warmup_epochs) for recipe in recipes] == [(3, 0), (6, 2)]
    assert study.trials[1].settings == "epochs=6 warmup_epochs=2"


def test_what_a_block_does_not_vary_does_not_clutter_the_table(tmp_path: Path) -> None:
    settings = {"models.coordconv_regressor.epochs": 3, "models.coordconv_regressor.radius": [True, False]}
    study = study_of(tmp_path, BLOCK | {"settings": settings, "seed": 7, "split": "quadrant"})
    assert [trial.settings for trial in study.trials] == ["radius=true", "radius=false"]


def test_a_setting_of_the_split_makes_other_examples_and_another_key(tmp_path: Path) -> None:
    block = BLOCK | {"split": "uniform", "seed": 0, "settings": {"splits.uniform.train_share": [0.8, 0.5]}}
    usual, half = study_of(tmp_path, block).trials
    assert half.split_arguments["train_share"] == 0.5
    assert usual.key != half.key
    assert usual.key == study_of(tmp_path, block | {"settings": {}, "variant": "plain"}).trials[0].key


def test_the_key_is_what_decides_the_outcome(tmp_path: Path) -> None:
    block = BLOCK | {"split": "quadrant", "seed": 0, "settings": {}}
    first = study_of(tmp_path, block).trials[0]
    assert first.key == study_of(tmp_path, block | {"variant": "another name"}).trials[0].key
    others = [
        study_of(tmp_path, block | {"seed": 1}),
        study_of(tmp_path, block | {"model": "strided_regressor"}),
        study_of(tmp_path, block | {"settings": {"models.coordconv_regressor.radius": True}}),
        study_of(tmp_path, block, measure_every=2),
    ]
    assert len({first.key, *(study.trials[0].key for study in others)}) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"models.coordconv_regressor.rate": 1}}, "models.coordconv_regressor.rate is no setting"),
        (
            {"settings": {"models.coordconv_painter.epochs": 1}},
            "models.coordconv_painter.epochs of rates is no setting",
        ),
        ({"settings": {"seed": 3}}, "seed of rates is no setting here"),
        ({"settings": {"splits.uniform.seed": 3}}, "splits.uniform.seed of rates is no setting here"),
        ({"settings": {"models.coordconv_regressor.epochs": 0}}, "coordconv_regressor.epochs is 0; input should be"),
        ({"settings": {"models.coordconv_regressor.epochs": "3e1"}}, "coordconv_regressor.epochs is '3e1'"),
        ({"settings": {"models.coordconv_regressor.epochs": []}}, "is an empty list"),
        ({"settings": []}, "settings of rates is an empty list"),
        ({"seed": []}, "seed of rates is an empty list"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": [3, 3]}, "stands there twice, first in rates"),
        ({"model": "coordconv"}, "coordconv is no model; there are coordconv_classifier"),
        ({"split": ["uniform", "diagonal"]}, "diagonal is no split; there are uniform, quadrant"),
        ({"epochs": 3}, "epochs is no setting"),
        ({"model": 3}, "experiments.0.model is 3; "),
        ({"seed": [0, 1.5]}, "experiments.0.seed is [0, 1.5]; "),
        ({"settings": 3}, "experiments.0.settings is 3; "),
    ],
)
def test_bad_blocks_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        study_of(tmp_path, BLOCK | change)
    assert said in str(error.value)
    assert "tried/study.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    study.results.touch()
    with pytest.raises(StudyError, match=r"results.csv: is empty"):
        studies.load_rows(study.results)
    study.path.write_text("", "utf-8")
    with pytest.raises(StudyError, match="all is None; it should be a mapping"):
        studies.load_study(study.path, ROOT)


def test_settings_are_named_where_those_of_one_variant_differ(tmp_path: Path) -> None:
    rate, warmup = "models.coordconv_regressor.learning_rate", "models.coordconv_regressor.warmup_epochs"
    one = BLOCK | {"split": "uniform", "seed": [0, 1], "settings": [{rate: 0.01}, {rate: 0.01, warmup: 3}]}
    other = one | {"settings": {rate: 0.03}}
    study = study_of(tmp_path, one, other)
    assert [trial.settings for trial in study.trials[::2]] == [
        "learning_rate=0.01",
        "learning_rate=0.01 warmup_epochs=3",
        "learning_rate=0.03",
    ]
    rows = {trial.key: trial.row({"train_exact": 1.0, "test_exact": 1.0}) for trial in study.trials}
    assert [line["seeds"] for line in studies.summarise(studies.asked_for(study, rows))] == ["2", "2", "2"]

    alone = study_of(tmp_path, other)  # the same experiments, and nothing left to tell them from
    lines = studies.summarise(studies.asked_for(alone, rows))
    assert [(line["settings"], line["seeds"]) for line in lines] == [("", "2")]


def test_when_a_network_became_perfect_is_not_known_if_it_was_measured_once(tmp_path: Path) -> None:
    measured = {"train_exact": 1.0, "test_exact": 1.0, "epochs_to_perfect": 12, "seconds_to_perfect": 9.0}
    for every, known in ((1, "12"), (1000, "")):
        study = study_of(tmp_path, BLOCK | {"split": "uniform", "seed": 0}, measure_every=every)
        lines = studies.summarise([study.trials[0].row(measured)])
        assert [line["epochs_to_perfect"] for line in lines] == [known]
        assert [line["perfect"] for line in lines] == ["1"]


def test_an_empty_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="experiments is empty"):
        study_of(tmp_path)


def test_an_experiment_of_two_blocks_is_refused(tmp_path: Path) -> None:
    one = BLOCK | {"seed": 0, "settings": {}}
    with pytest.raises(StudyError, match=r"uniform seed 0 of again stands there twice, first in rates"):
        study_of(tmp_path, one, one | {"variant": "again", "split": "uniform"})


def test_rows_come_back_in_the_order_of_the_study(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    rows = rows_of(study)
    save_rows(study, dict(reversed(rows.items())))
    assert list(load_rows(study.results)) == [trial.key for trial in study.trials]
    assert load_rows(study.results) == rows
    assert load_rows(tmp_path / "nothing.csv") == {}


def test_a_row_says_what_was_trained(tmp_path: Path) -> None:
    trial = study_of(tmp_path, BLOCK).trials[-1]
    row = trial.row(PERFECT)
    assert tuple(row) == studies.COLUMNS
    expected = {
        **{"model": "coordconv_regressor", "split": "quadrant", "seed": "2", "learning_rate": "0.01"},
        **{"split_corner": "lower_right", "split_train_share": "", "scale_coordinates": "false", "width": ""},
        **{"settings": "learning_rate=0.01", "test_exact": "1.0", "epochs_to_perfect": "3", "error": ""},
    }
    assert {name: row[name] for name in expected} == expected


def test_rows_that_the_study_no_longer_asks_for_are_kept_but_not_used(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    rows = rows_of(study)
    fewer = study_of(tmp_path, BLOCK | {"seed": [1]})
    save_rows(fewer, rows)
    assert len(load_rows(fewer.results)) == 12
    assert [row["seed"] for row in studies.asked_for(fewer, load_rows(fewer.results))] == ["1"] * 4


def test_rows_are_kept_under_the_names_that_the_study_has_for_them_now(tmp_path: Path) -> None:
    save_rows(study_of(tmp_path, BLOCK), rows_of(study_of(tmp_path, BLOCK)))
    renamed = study_of(tmp_path, BLOCK | {"variant": "renamed"})
    save_rows(renamed, load_rows(renamed.results))
    assert {row["variant"] for row in load_rows(renamed.results).values()} == {"renamed"}


def test_a_column_that_came_later_makes_no_row_invalid(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    save_rows(study, rows_of(study))
    with study.results.open(newline="") as file:
        table = list(csv.DictReader(file))
    with study.results.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in studies.COLUMNS if name != "loss"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    assert load_rows(study.results) == rows_of(study)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",1.0,1.0,", ",1.0,0.9,", "line 2: was cut or edited"),
        ("rates,", "rites,", "line 2: was cut or edited"),
        ("test_exact_by_epoch", "by_epoch", "by_epoch is no column of a study"),
    ],
)
def test_a_table_that_was_edited_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    study = study_of(tmp_path, BLOCK)
    save_rows(study, rows_of(study))
    content = study.results.read_text()
    assert old in content
    study.results.write_text(content.replace(old, new, 1))
    with pytest.raises(StudyError, match=said):
        load_rows(study.results)


def test_a_table_that_was_cut_is_refused(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK)
    save_rows(study, rows_of(study))
    whole = study.results.read_bytes()
    study.results.write_bytes(whole[:-40])
    with pytest.raises(StudyError, match="line 13: was cut or edited; take it back from git"):
        load_rows(study.results)
    last = whole.splitlines(keepends=True)[-1]
    study.results.write_bytes(whole + last)
    with pytest.raises(StudyError, match="line 14: its experiment has a row already"):
        load_rows(study.results)


def trial_rows(study: Study, *measured: dict[str, Any]) -> list[studies.Row]:
    trials: list[Trial] = list(study.trials)
    return [t.row({}, error="Boom") if not m else t.row(m) for t, m in zip(trials, measured, strict=True)]


def test_the_summary_counts_and_spreads(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK | {"split": "quadrant", "seed": [0, 1, 2, 3], "settings": {}})
    almost = {"train_exact": 1.0, "test_exact": 0.5}
    rows = trial_rows(study, PERFECT, PERFECT | {"epochs_to_perfect": 5, "seconds_to_perfect": 2.5}, almost, {})
    (line,) = summarise(rows)
    assert line["seeds"] == "4"
    assert line["failed"] == "1"
    assert line["perfect"] == "2"
    assert line["train_exact"] == "1"
    assert line["test_exact"] == "1 (0.5 to 1)"
    assert line["epochs_to_perfect"] == "4 (3 to 5)"
    assert line["seconds_to_perfect"] == "2.5"
    assert line["test_iou"] == ""


def test_what_was_lost_again_is_not_perfect(tmp_path: Path) -> None:
    study = study_of(tmp_path, BLOCK | {"split": "quadrant", "seed": 0, "settings": {}})
    (line,) = summarise(trial_rows(study, PERFECT | {"test_exact": 0.99}))
    assert line["perfect"] == "0"


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/*/study.yaml")), ids=lambda path: path.parent.name)
def test_the_studies_of_the_repository_are_valid(path: Path) -> None:
    study = load_study(path, ROOT)
    rows = load_rows(study.results)
    assert set(rows) <= {trial.key for trial in study.trials}, "rows that nothing asks for"


@pytest.mark.parametrize(
    "edit", [{"schedule": "steps", "warmup_epochs": 0}, {"epochs": 1}, {"epochs": 8, "warmup_epochs": 8}]
)
@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/*/study.yaml")), ids=lambda path: path.parent.name)
def test_a_recipe_may_be_edited_without_breaking_a_study(tmp_path: Path, path: Path, edit: dict[str, Any]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for recipe in params["models"].values():
        recipe |= edit
        recipe["warmup_epochs"] = min(recipe["warmup_epochs"], recipe["epochs"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    load_study(path, tmp_path)
