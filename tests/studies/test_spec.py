"""Study files: what they stand for, and what is refused in them."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from notsoclevr.errors import StudyError
from notsoclevr.studies.spec import fingerprint, load_study

from ..conftest import ROOT
from .toy import BLOCK, make_study, write_study

STUDIES = sorted(ROOT.glob("studies/*/study.yaml"))


def test_a_block_is_every_combination(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    assert study.name == "tried"
    experiments = [training.experiment for training in study.trainings]
    seen = [(each.split.name, each.seed, each.recipe.learning_rate) for each in experiments]
    assert seen == [(s, seed, rate) for s in ("uniform", "quadrant") for seed in range(3) for rate in (0.001, 0.01)]
    assert len({training.key for training in study.trainings}) == 12
    assert [training.settings for training in study.trainings[:2]] == ["learning_rate=0.001", "learning_rate=0.01"]
    assert asdict(experiments[0].split) == {"train_share": 0.8, "seed": 0}


def test_settings_that_go_together(tmp_path: Path) -> None:
    path = "models.coordconv_regressor"
    pairs = [{f"{path}.epochs": 3, f"{path}.warmup_epochs": 0}, {f"{path}.epochs": 6, f"{path}.warmup_epochs": 2}]
    study = make_study(tmp_path, BLOCK | {"settings": pairs, "seed": 7, "split": "quadrant"})
    recipes = [training.experiment.recipe for training in study.trainings]
    assert [(recipe.epochs, recipe.warmup_epochs) for recipe in recipes] == [(3, 0), (6, 2)]
    assert study.trainings[1].settings == "epochs=6 warmup_epochs=2"


def test_what_a_block_does_not_vary_does_not_clutter_the_table(tmp_path: Path) -> None:
    settings = {"models.coordconv_regressor.epochs": 3, "models.coordconv_regressor.radius": [True, False]}
    study = make_study(tmp_path, BLOCK | {"settings": settings, "seed": 7, "split": "quadrant"})
    assert [training.settings for training in study.trainings] == ["radius=true", "radius=false"]


def test_settings_are_named_where_those_of_one_variant_differ(tmp_path: Path) -> None:
    rate, warmup = "models.coordconv_regressor.learning_rate", "models.coordconv_regressor.warmup_epochs"
    one = BLOCK | {"split": "uniform", "seed": [0, 1], "settings": [{rate: 0.01}, {rate: 0.01, warmup: 3}]}
    study = make_study(tmp_path, one, one | {"settings": {rate: 0.03}})
    assert [training.settings for training in study.trainings[::2]] == [
        "learning_rate=0.01",
        "learning_rate=0.01 warmup_epochs=3",
        "learning_rate=0.03",
    ]


def test_a_budget_stretches_the_epochs(tmp_path: Path) -> None:
    epochs = {"models.coordconv_regressor.epochs": 3, "models.coordconv_regressor.warmup_epochs": 1}
    block = BLOCK | {"settings": epochs, "seed": 7, "split": "quadrant", "budget": [0.25, 1, 4]}
    study = make_study(tmp_path, block)
    recipes = [training.experiment.recipe for training in study.trainings]
    assert [(recipe.epochs, recipe.warmup_epochs) for recipe in recipes] == [(1, 0), (3, 1), (12, 4)]
    assert [training.settings for training in study.trainings] == ["budget=0.25", "budget=1.0", "budget=4.0"]
    usual = make_study(tmp_path, block | {"budget": 1}).trainings[0]
    assert usual.key == study.trainings[1].key
    assert usual.settings == ""
    # rounded, and at least one epoch comes after the warm-up
    warm = epochs | {"models.coordconv_regressor.warmup_epochs": 2}
    study = make_study(tmp_path, block | {"settings": warm, "budget": [0.34, 0.6]})
    recipes = [training.experiment.recipe for training in study.trainings]
    assert [(recipe.epochs, recipe.warmup_epochs) for recipe in recipes] == [(1, 0), (2, 1)]


def test_a_budget_may_go_with_other_settings(tmp_path: Path) -> None:
    share, epochs = "splits.uniform.train_share", "models.coordconv_regressor.epochs"
    pairs = [{share: 0.1, epochs: 3, "budget": 8}, {share: 0.8, epochs: 3}]
    study = make_study(tmp_path, BLOCK | {"settings": pairs, "seed": 7, "split": "uniform"})
    assert [training.experiment.recipe.epochs for training in study.trainings] == [24, 3]
    assert study.trainings[0].settings == "budget=8 train_share=0.1"


def test_budgets_that_are_as_many_epochs_are_one_experiment(tmp_path: Path) -> None:
    epochs = {"models.coordconv_regressor.epochs": 2, "models.coordconv_regressor.warmup_epochs": 0}
    block = BLOCK | {"settings": epochs, "seed": 7, "split": "uniform", "budget": [0.25, 0.5, 1]}
    study = make_study(tmp_path, block)
    assert [training.experiment.recipe.epochs for training in study.trainings] == [1, 2]
    assert [training.settings for training in study.trainings] == ["budget=0.25", "budget=1.0"]
    with pytest.raises(StudyError, match="is the same experiment as"):
        make_study(tmp_path, block | {"budget": [1, 1]})
    with pytest.raises(StudyError, match="of other is the same experiment as"):
        make_study(tmp_path, block | {"budget": 0.25}, block | {"variant": "other", "budget": 0.5})


def test_settings_at_the_top_hold_for_all_blocks_that_do_not_say_otherwise(tmp_path: Path) -> None:
    models = ["coordconv_regressor", "pooled_regressor"]
    block = {"variant": "a", "model": models, "split": "uniform", "seed": 7}
    other = BLOCK | {"split": "uniform", "seed": 7, "settings": {"models.coordconv_regressor.epochs": 5}}
    settings = {"models.*.epochs": 2, "models.pooled_regressor.width": 1, "splits.uniform.train_share": 0.3}
    trainings = make_study(tmp_path, block, other, settings=settings).trainings
    assert [training.experiment.recipe.epochs for training in trainings] == [2, 2, 5]
    assert [asdict(training.experiment.split)["train_share"] for training in trainings] == [0.3] * 3
    assert trainings[1].content["width"] == "1"
    assert {training.settings for training in trainings} == {""}
    with pytest.raises(StudyError, match=r"models.coordconv_regressor.width is no setting"):
        make_study(tmp_path, block, settings={"models.*.width": 1})


def test_a_block_may_be_measured_less_often(tmp_path: Path) -> None:
    often, seldom = (BLOCK | {"seed": 0}, BLOCK | {"seed": 1, "measure_every": 10})
    study = make_study(tmp_path, often, seldom, measure_every=5)
    assert {training.experiment.seed: training.measure_every for training in study.trainings} == {0: 5, 1: 10}


def test_a_split_that_leaves_nothing_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    block = BLOCK | {"split": "uniform", "settings": {"splits.uniform.train_share": 0.0001}}
    with pytest.raises(StudyError, match=r"variant rates: splits.uniform leaves 0 examples to train on and 3136 to"):
        make_study(tmp_path, block)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"seed": 1}, "settings.seed is no setting here; it takes models.<model>.<setting>"),
        ({"models.*.epochs": [1, 2]}, "settings.models.*.epochs is [1, 2]; at the top of the file it takes one value"),
    ],
)
def test_settings_of_all_blocks_are_settings_with_one_value(tmp_path: Path, settings: Any, says: str) -> None:
    with pytest.raises(StudyError, match=re.escape(says)):
        make_study(tmp_path, BLOCK, settings=settings)


def test_a_setting_of_the_split_makes_other_examples_and_another_key(tmp_path: Path) -> None:
    block = BLOCK | {"split": "uniform", "seed": 0, "settings": {"splits.uniform.train_share": [0.8, 0.5]}}
    usual, half = make_study(tmp_path, block).trainings
    assert asdict(half.experiment.split)["train_share"] == 0.5
    assert usual.key != half.key
    assert usual.key == make_study(tmp_path, block | {"settings": {}, "variant": "plain"}).trainings[0].key
    seeds = make_study(tmp_path, block | {"settings": {"splits.uniform.seed": [0, 1]}}).trainings
    assert [training.settings for training in seeds] == ["split_seed=0", "split_seed=1"]  # not that of the training


def test_the_key_is_what_decides_the_outcome(tmp_path: Path) -> None:
    block = BLOCK | {"split": "quadrant", "seed": 0, "settings": {}}
    first = make_study(tmp_path, block).trainings[0]
    assert first.key == make_study(tmp_path, block | {"variant": "another name"}).trainings[0].key
    others = [
        make_study(tmp_path, block | {"seed": 1}),
        make_study(tmp_path, block | {"model": "strided_regressor"}),
        make_study(tmp_path, block | {"settings": {"models.coordconv_regressor.radius": True}}),
        make_study(tmp_path, block, measure_every=2),
    ]
    assert len({first.key, *(study.trainings[0].key for study in others)}) == 5


def test_a_key_is_what_it_was_when_the_first_rows_were_written() -> None:
    content = {"model": "coordconv_regressor", "seed": "0", "width": ""}
    assert fingerprint(content) == fingerprint({"seed": "0", "model": "coordconv_regressor"}) == "cbfe8b09a410"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"models.coordconv_regressor.rate": 1}}, "models.coordconv_regressor.rate is no setting"),
        (
            {"settings": {"models.coordconv_painter.epochs": 1}},
            "experiments.0.settings.models.coordconv_painter.epochs is no setting here",
        ),
        ({"settings": {"seed": 3}}, "experiments.0.settings.seed is no setting here"),
        ({"settings": {"splits.uniform.seed": 3}}, "experiments.0.settings.splits.uniform.seed is no setting here"),
        ({"settings": {"models.coordconv_regressor.epochs": 0}}, "coordconv_regressor.epochs is 0; input should be"),
        ({"settings": {"models.coordconv_regressor.epochs": "3e1"}}, "coordconv_regressor.epochs is '3e1'"),
        (
            {"settings": {"models.coordconv_regressor.epochs": []}},
            "experiments.0.settings.models.coordconv_regressor.epochs is an empty list",
        ),
        ({"settings": {"models.coordconv_regressor.epochs": date(2020, 1, 1)}}, "coordconv_regressor.epochs is"),
        (
            {"settings": [{"models.coordconv_regressor.epochs": []}, {"models.coordconv_regressor.epochs": [3]}]},
            "experiments.0.settings.models.coordconv_regressor.epochs is an empty list",
        ),
        ({"settings": []}, "experiments.0.settings is an empty list"),
        ({"seed": []}, "experiments.0.seed is an empty list"),
        ({"seed": -1}, "experiments.0.seed is -1"),
        ({"seed": [3, 3]}, "is the same experiment as coordconv_regressor-uniform"),
        ({"seed": [3, -1]}, "experiments.0.seed.1 is -1; input should be greater than or equal to 0"),
        ({"model": "coordconv"}, "experiments.0.model is 'coordconv', which is no model; there are coordconv_class"),
        ({"split": ["uniform", "diagonal"]}, "experiments.0.split is 'diagonal', which is no split; there are uniform"),
        ({"epochs": 3}, "experiments.0.epochs is no setting"),
        ({"variant": ""}, "experiments.0.variant is ''; "),
        ({"model": 3}, "experiments.0.model is 3; "),
        ({"seed": [0, 1.5]}, "experiments.0.seed"),
        ({"settings": 3}, "experiments.0.settings is 3; "),
        ({"budget": 0}, "experiments.0.budget is 0; input should be greater than 0"),
        ({"budget": []}, "experiments.0.budget is an empty list"),
        ({"budget": "x"}, "experiments.0.budget is 'x'; "),
        ({"settings": {"budget": [1, 0]}}, "experiments.0.settings.budget is 0; it takes a number above 0"),
        ({"settings": {"budget": float("inf")}}, "experiments.0.settings.budget is inf; it takes a number above 0"),
        ({"settings": {"budget": True}}, "experiments.0.settings.budget is True; it takes a number above 0"),
        ({"settings": [{"budget": "x"}]}, "experiments.0.settings.budget is 'x'; it takes a number above 0"),
    ],
)
def test_bad_blocks_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as error:
        make_study(tmp_path, BLOCK | change)
    assert message in str(error.value)
    assert "tried/study.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path, BLOCK)
    study.path.write_text("", "utf-8")
    with pytest.raises(StudyError, match="holds no settings"):
        load_study(study.path, ROOT)


def test_a_study_has_a_folder_of_its_own(tmp_path: Path) -> None:
    other = make_study(tmp_path, BLOCK).path.with_name("other.yaml")
    other.write_bytes(other.with_name("study.yaml").read_bytes())
    with pytest.raises(
        StudyError, match=r"other.yaml: is no study; a study is a file study.yaml in a folder of its own"
    ):
        load_study(other, ROOT)


@pytest.mark.parametrize("first", ["*", "coordconv_regressor"])
def test_what_is_set_for_one_model_counts_more_than_what_is_set_for_all(tmp_path: Path, first: str) -> None:
    epochs = {"*": 5, "coordconv_regressor": 7}
    settings = {f"models.{name}.epochs": epochs[name] for name in sorted(epochs, key=lambda name: name != first)}
    path = write_study(tmp_path, BLOCK, BLOCK | {"variant": "other", "model": "pooled_regressor", "settings": {}})
    content = yaml.safe_load(path.read_text("utf-8")) | {"settings": settings}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    study = load_study(path, ROOT)
    found = {training.experiment.model: training.experiment.recipe.epochs for training in study.trainings}
    assert found == {"coordconv_regressor": 7, "pooled_regressor": 5}


def test_an_empty_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"experiments is \[\]; list should have at least 1 item"):
        make_study(tmp_path)


def test_an_experiment_of_two_blocks_is_refused(tmp_path: Path) -> None:
    one = BLOCK | {"seed": 0, "settings": {}}
    with pytest.raises(
        StudyError, match=r"uniform seed 0 of again is the same experiment as \S+ seed 0 of rates; once is enough"
    ):
        make_study(tmp_path, one, one | {"variant": "again", "split": "uniform"})


@pytest.mark.parametrize(
    "edit",
    [
        {"schedule": "steps", "warmup_epochs": 0, "epochs": 1},
        {"epochs": 1},
        {"schedule": "cosine", "epochs": 8, "warmup_epochs": 8},
    ],
)
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_a_recipe_may_be_edited_without_breaking_a_study(tmp_path: Path, path: Path, edit: dict[str, Any]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for recipe in params["models"].values():
        recipe |= edit
        recipe["warmup_epochs"] = min(recipe["warmup_epochs"], recipe["epochs"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    load_study(path, tmp_path)
