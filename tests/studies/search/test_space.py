from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.studies.search.journal import _rounded
from notsoclevr.studies.search.space import Setting, affordable_epochs, settle

from ...conftest import ROOT
from .toy import MODEL, SPACE, places, space_of, write_space


@pytest.mark.parametrize("model", MODELS)
def test_all_models_have_one_space_and_one_protocol(model: str) -> None:
    space = space_of(ROOT, model)
    recipe = {"operations", "adam_penalty", *load(ROOT / "params.yaml").models[model].__dataclass_fields__}
    assert [setting.name for setting in space.settings] == [name for name in SPACE["space"] if name in recipe]
    assert space.trials >= 40
    assert (space.best, len(space.more_seeds), len(space.seeds)) == (5, 4, 10)
    # neither seed 0 nor those of studies/seeds
    assert not {0, *range(30)} & {space.seed, *space.more_seeds, *space.seeds}
    assert space.examples == 2509
    for setting in space.settings:
        shared = SPACE["space"][setting.name]
        if setting.choices:
            assert setting.choices == shared
        else:
            ends = {"low": setting.low, "high": setting.high, "log": setting.log, "since": setting.since}
            assert ends == {"log": False, "since": 0} | shared


def test_the_protocol_says_what_the_space_says() -> None:
    page = (ROOT / "docs/protocol.md").read_text("utf-8")
    for ceiling in SPACE["ceiling"].values():
        assert f"| {ceiling:,} |" in page
    assert "**Sixty-four trials" in page and SPACE["trials"] == 64
    assert "from the 49th trial on" in page and SPACE["space"]["adam_penalty"]["since"] == 48
    assert "eight at a time; the first sixteen are random" in page
    assert (SPACE["together"], SPACE["random"]) == (8, 16)
    assert "(an eighth, a quarter, a half or all)" in page
    assert SPACE["space"]["operations"] == [0.125, 0.25, 0.5, 1.0]
    assert "2001 to 2004" in page and SPACE["more_seeds"] == [2001, 2002, 2003, 2004]
    assert "1001 to 1010" in page and SPACE["seeds"] == [*range(1001, 1011)]


def test_no_training_costs_more_than_its_share_of_the_ceiling() -> None:
    space = space_of(ROOT)
    third = int(space.ceiling / 2.9)
    assert [affordable_epochs(space, share, third) for share in (1, 0.5, 0.1)] == [2, 1, 1]
    assert settle(space, {"operations": 1, "warmup_epochs": 5}, third).warmup_epochs == 1
    assert settle(space, {"operations": 1}, int(space.ceiling)).epochs == 1
    assert settle(space, {"operations": 1}, int(space.ceiling) + 1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"more_seeds": [2001]},
        {"best": 3},
        {"seed": 999},
        {"random": 4},
        {"together": 2},
        {"ceiling": {"regression": 1.0}},
        {"validation": {"uniform": {"train_share": 0.7, "seed": 1}}},
    ],
)
def test_what_decides_a_search_is_in_its_key(home: Path, change: dict[str, Any]) -> None:
    """Else a journal of another search would be gone on with."""
    key = space_of(home).key
    write_space(home, trials=5, seeds=[1])  # of which there may be more, or fewer
    assert space_of(home).key == key
    write_space(home, **change)
    assert space_of(home).key != key


@pytest.mark.parametrize(("split", "trains", "validates"), [("uniform", 2007, 502), ("quadrant", 1568, 784)])
def test_validation_lies_inside_the_training_set(full: Dataset, split: str, trains: int, validates: int) -> None:
    validation = space_of(ROOT).splits[split]
    whole, parts = validation.whole(full), validation(full)
    train, test, hidden = (places(each) for each in (parts.train, parts.test, whole.test))
    assert (len(train), len(test)) == (trains, validates)
    assert train | test == places(whole.train)
    assert not train & test
    assert not (train | test) & hidden


def test_every_row_and_column_of_the_hidden_corner_is_still_seen(full: Dataset) -> None:
    quadrant = space_of(ROOT).splits["quadrant"]
    for axis in (0, 1):
        assert np.isin(np.arange(4, 60), quadrant(full).train.coordinates[:, axis]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rat": [0.1]}, "space.learning_rat is no setting of a search; there are scale_coordinates, "),
        ({"epochs": [3]}, "space.epochs is no setting of a search: they follow from operations"),
        ({"optimizer": []}, "space.optimizer is an empty list; it takes at least one value"),
        ({"optimizer": ["adam", "sgd"]}, "space.optimizer.1 is 'sgd'; input should be 'adam' or 'adamw'"),
        ({"beta_2": [0.9, 0.9]}, "space.beta_2 has 0.9 twice"),
        ({"beta_2": 0.9}, "space.beta_2 is 0.9; it takes a list of values, or a range of low and high"),
        ({"pixel_value": {"low": 3, "high": 2}}, "space.pixel_value.low is 3, above high, which is 2"),
        ({"pixel_value": {"low": 3, "high": 3}}, "space.pixel_value.low is 3 and so is high: the range is empty"),
        ({"weight_decay": {"low": 0, "high": 1.0, "log": True}}, "space.weight_decay.low is 0; with log it takes a"),
        ({"weight_decay": {"low": 0.1}}, "space.weight_decay.high is missing"),
        ({"weight_decay": {"low": 0.1, "high": 1, "step": 1}}, "space.weight_decay.step is no setting"),
        ({"weight_decay": {"low": "1e-3", "high": 1}}, "space.weight_decay.low is '1e-3'; "),
        (
            {"learning_rate": {"low": -1.0, "high": 1.0}},
            "space.learning_rate.low is -1.0; input should be greater than",
        ),
        ({"adam_penalty": {"low": -1.0, "high": 1.0}}, "space.adam_penalty.low is -1.0; input should be greater than"),
        ({"adam_penalty": {"low": 0.1, "high": 1.0, "since": -1}}, "space.adam_penalty.since is -1; "),
        ({"batch_size": {"low": 1.0, "high": 8.0}}, "space.batch_size.low is 1.0; input should be a valid integer"),
        ({"operations": {"low": 0.1, "high": 2.0}}, "space.operations.high is 2.0; input should be less than or equal"),
        ({"operations": {"low": 0.1, "high": 1.0, "since": 5}}, "space.operations.since has no meaning: every trial"),
    ],
)
def test_a_bad_space_is_refused_with_the_path_of_the_key(home: Path, change: dict[str, Any], says: str) -> None:
    write_space(home, space=SPACE["space"] | change)
    with pytest.raises(StudyError, match=re.escape(f"studies/search/space.yaml: {says}")) as error:
        space_of(home)
    assert error.value.exit_status == 2
    assert not (home / "studies/search" / MODEL).exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"seeds": [1001, 1001]}, "seeds is [1001, 1001]; it takes seeds that are all different"),
        ({"seeds": [1000]}, "seeds is [1000]; it takes seeds that are all different, and no other list has"),
        ({"more_seeds": [1000]}, "more_seeds is [1000]; it takes seeds that are all different"),
        ({"more_seeds": [1001]}, "seeds is [1001, 1002]; it takes seeds that are all different, and no other list has"),
        ({"ceiling": {"rendering": 3.0}}, "ceiling.regression is missing"),
        ({"ceiling": {"regression": 3.0, "renderng": 3.0}}, "ceiling.renderng is no task; there are classification"),
        ({"validation": {"diagonal": {}}}, "validation.diagonal is no split; there are uniform, quadrant"),
        ({"validation": {"quadrant": {"corner": "middle"}}}, "validation.quadrant.corner is 'middle'"),
        (
            {"validation": {"quadrant": {"corner": "lower_right", "boundary": 32}}},
            "validation.quadrant leaves 2352 exa",
        ),
        ({"space": {}}, "space.operations is missing"),
        ({"trails": 3}, "trails is no setting"),
    ],
)
def test_a_bad_protocol_is_refused(home: Path, change: dict[str, Any], says: str) -> None:
    write_space(home, **change)
    with pytest.raises(StudyError, match=re.escape(says)):
        space_of(home)


def test_values_that_exclude_each_other_are_refused(home: Path) -> None:
    write_space(home, space=SPACE["space"] | {"padding": ["same", "reflect"], "coordinate_layers": ["none", "first"]})
    says = "space has values that exclude each other: padding is reflect, which takes coordinate_layers none, not first"
    with pytest.raises(StudyError, match=re.escape(f"space.yaml: {says}")):
        space_of(home, "pooled_regressor")


def test_a_rounded_value_stays_in_its_range() -> None:
    setting = Setting(name="beta_2", low=0.90001, high=0.9999)
    assert [_rounded(value, setting) for value in (0.900012, 0.98765, 0.99985)] == [0.90001, 0.988, 0.9999]


def test_a_model_takes_the_settings_that_its_recipe_has(home: Path) -> None:
    write_space(home, space=SPACE["space"] | {"activation": ["linear", "relu"], "padding": ["same", "valid"]})
    names = {
        model: [setting.name for setting in space_of(home, model).settings] for model in (MODEL, "pooled_regressor")
    }
    assert "activation" in names[MODEL] and "padding" not in names[MODEL]
    assert "padding" in names["pooled_regressor"] and "activation" not in names["pooled_regressor"]


def test_adam_has_a_penalty_and_no_decay_and_steps_no_warm_up(home: Path) -> None:
    space = space_of(home)
    values = {"operations": 0.5, "weight_decay": 0.1, "warmup_epochs": 1}
    found = {
        (optimizer, schedule): settle(space, values | {"optimizer": optimizer, "schedule": schedule}, 10**9)
        for optimizer in ("adam", "adamw")
        for schedule in ("cosine", "steps")
    }
    settings = {key: (recipe.weight_decay, recipe.warmup_epochs) for key, recipe in found.items() if recipe}
    assert settings["adam", "cosine"] == (0, 1)
    assert settings["adam", "steps"] == (0, 0)
    assert settings["adamw", "cosine"] == (0.1, 1)
    assert settings["adamw", "steps"] == (0.1, 0)
    for optimizer, decay in (("adam", 0.002), ("adamw", 0.1)):
        recipe = settle(space, values | {"optimizer": optimizer, "adam_penalty": 0.002}, 10**9)
        assert recipe and recipe.weight_decay == decay
