from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from notsoclevr import config
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.models.parts import DeconvRecipe

from .conftest import ROOT


@pytest.fixture
def content() -> Any:
    return yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))


def load(tmp_path: Path, content: Any) -> config.Config:
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), "utf-8")
    return config.load(path)


def test_the_real_file_is_read(content: Any) -> None:
    read = config.load(ROOT / "params.yaml")
    assert set(read.models) == set(MODELS)
    assert isinstance(read.models["deconv_painter"], DeconvRecipe)
    assert read.models["deconv_painter"].kernel_size == content["models"]["deconv_painter"]["kernel_size"]
    assert asdict(read.splits["quadrant"]) == content["splits"]["quadrant"]
    assert len(read.cells) == len(content["matrix"]["model"]) * len(content["matrix"]["split"])
    assert [*read.cells][:2] == ["coordconv_classifier-uniform", "coordconv_classifier-quadrant"]
    assert read.experiment("deconv_painter", "quadrant").recipe == read.models["deconv_painter"]


def test_a_mistake_in_the_file_is_looked_for_there(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content | {"seed": "x"}), "utf-8")
    with pytest.raises(StudyError, match=r"params.yaml: seed is 'x'"):
        config.load(path, {"models.coordconv_painter.epochs": 3})


def put(content: Any, key: str, value: Any) -> Any:
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    section[last] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("models.coordconv_painter.epochs", "ten", "valid integer"),
        ("models.coordconv_painter.epochs", 2.5, "valid integer"),
        ("models.coordconv_painter.epochs", True, "valid integer"),
        ("models.coordconv_painter.epochs", None, "valid integer"),
        ("models.coordconv_painter.epochs", 0, "greater than or equal to 1"),
        ("models.coordconv_painter.learning_rate", "1e-3", "write 0.001"),
        ("models.coordconv_painter.learning_rate", 0, "greater than 0"),
        ("models.coordconv_painter.learning_rate", float("nan"), "finite"),
        ("models.coordconv_painter.learning_rate", float("inf"), "finite"),
        ("models.coordconv_painter.weight_decay", -0.1, "greater than or equal to 0"),
        ("models.coordconv_painter.optimizer", "sgd", "'adam' or 'adamw'"),
        ("models.coordconv_painter.scale_coordinates", 1, "boolean"),
        ("models.coordconv_painter.epoch", 3, "no setting"),
        ("models.coordconv_painter.width", 3, "no setting"),
        ("models.coordconv_painter", [1], "is [1]"),
        ("models.my_model", {}, "no model"),
        ("splits.uniform.train_share", 1.0, "less than 1"),
        ("splits.quadrant.corner", "middle", "'upper_left'"),
        ("splits.quadrant.boundary", 64, "less than"),
        ("splits.diagonal", {}, "no split"),
        ("matrix.model", ["nobody"], "no model"),
        ("matrix.split", ["diagonal"], "no split"),
        ("matrix.split", [], "at least 1"),
        ("matrix.split", ["uniform", "uniform"], "has uniform twice"),
        ("matrix.row", [], "no setting"),
        ("seed", -1, "greater than or equal to 0"),
        ("sede", 1, "no setting"),
    ],
)
def test_bad_settings_are_refused_with_their_path(
    tmp_path: Path, content: Any, key: str, value: Any, says: str
) -> None:
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, put(content, key, value))
    assert key in str(refusal.value)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["seed", "splits.uniform", "models.deconv_painter", "models.deconv_painter.width"])
def test_missing_settings_are_named(tmp_path: Path, content: Any, key: str) -> None:
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    del section[last]
    with pytest.raises(StudyError, match=re.escape(f"{key} is missing")):
        load(tmp_path, content)


def test_a_misspelt_setting_is_named_with_what_is_missing_for_it(tmp_path: Path, content: Any) -> None:
    recipe = content["models"]["deconv_painter"]
    recipe["bach_size"] = recipe.pop("batch_size")
    with pytest.raises(StudyError, match=r"deconv_painter\.bach_size is no setting; batch_size is missing"):
        load(tmp_path, content)


def test_a_setting_of_a_section_that_is_missing_is_refused_as_such() -> None:
    with pytest.raises(StudyError, match=r"models\.toy\.epochs is no setting: there is no section models\.toy"):
        config.load(ROOT / "params.yaml", {"models.toy.epochs": 3})


def test_steps_know_no_warmup(tmp_path: Path, content: Any) -> None:
    content["models"]["deconv_painter"] |= {"warmup_epochs": 1, "schedule": "steps"}
    with pytest.raises(StudyError, match=r"deconv_painter\.warmup_epochs is 1; with the schedule steps it takes 0"):
        load(tmp_path, content)


def test_warmup_fits_into_the_epochs(tmp_path: Path, content: Any) -> None:
    content["models"]["deconv_painter"] |= {"warmup_epochs": 9, "epochs": 8}
    with pytest.raises(StudyError, match=r"deconv_painter\.warmup_epochs is 9"):
        load(tmp_path, content)


def test_coordinates_are_those_of_the_canvas_not_of_a_padded_one(tmp_path: Path, content: Any) -> None:
    content["models"]["strided_regressor"] |= {"padding": "reflect", "coordinate_layers": "first"}
    with pytest.raises(StudyError, match=r"padding is reflect, which takes coordinate_layers none, not first"):
        load(tmp_path, content)


def test_a_section_may_take_another_as_its_base(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {inner: &b {<<: *a, y: 3}}\nc: {<<: *b, y: 4}\n")
    read = config.read_yaml(path)
    assert read["b"] == {"inner": {"x": 1, "y": 3}}
    assert read["c"] == {"x": 1, "y": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no settings"),
        ("seed: [", "line 1"),
        ("seed: 1\nseed: 2", "twice"),
        ("- 1", "no settings"),
        ("seed: \x00", "cannot be read"),
    ],
)
def test_what_is_no_yaml_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "where", "says"),
    [
        (f"seed: {'x' * 5000}", "seed is 'xxx", "xxx'; input should be a valid integer"),
        (f"seed: {[*range(3000)]}", "seed is [0, 1, ", "2999]; input should be a valid integer"),
        (f"seed: 0\n? {'k' * 5000}\n: 1", "kkk", "kkk is no setting"),
        (r'"se\ned\e[31m\u2028\u202e": 0', r"se ed\x1b[31m \u202e is no setting", "seed is missing"),
        (f"seed: {'1' * 5000}", "cannot be read", "4300 digits"),
        ("seed: 2001-13-45", "cannot be read", "month must be in 1..12"),
        ("seed: 0\n2001-01-01: 3", "the key '2001-01-01'", "is no text"),
        (f"seed: {'[' * 3000}{']' * 3000}", "cannot be read", "nested too deeply"),
    ],
)
def test_a_refusal_is_a_line_that_a_person_can_read(tmp_path: Path, line: str, where: str, says: str) -> None:
    text = (ROOT / "params.yaml").read_text("utf-8")
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, text.replace("seed: 0", line, 1))
    message = str(refusal.value)
    assert where in message
    assert says in message
    assert message.isprintable()
    assert len(message) <= 500


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"params\.yaml: cannot be read: No such file"):
        config.load(tmp_path / "params.yaml")


def test_overrides_take_the_place_of_settings() -> None:
    overrides = {"seed": 7, "models.coordconv_painter.epochs": 3}
    read = config.load(ROOT / "params.yaml", overrides)
    assert (read.seed, read.models["coordconv_painter"].epochs) == (7, 3)
    with pytest.raises(StudyError, match=r"models\.coordconv_painter\.width is no setting; there are scale"):
        config.load(ROOT / "params.yaml", {"models.coordconv_painter.width": 3})
    with pytest.raises(StudyError, match="epochs is 'many'"):
        config.load(ROOT / "params.yaml", {"models.coordconv_painter.epochs": "many"})
