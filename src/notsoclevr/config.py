"""params.yaml to frozen dataclasses: the only reader of YAML, and the only place where a setting is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from notsoclevr.dataset import CANVAS
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.recipes import STRICT, Recipe, Seed, Share

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS = "params.yaml"
# of the recipe of any model
SETTINGS = tuple(dict.fromkeys(field.name for model in MODELS.values() for field in fields(model.recipe)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformSplit:
    """Arguments of `notsoclevr.dataset.split_uniform`."""

    __pydantic_config__ = STRICT

    train_share: Share
    seed: Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadrantSplit:
    """Arguments of `notsoclevr.dataset.split_quadrant`."""

    __pydantic_config__ = STRICT

    corner: Literal["upper_left", "upper_right", "lower_left", "lower_right"]
    boundary: Annotated[int, Field(ge=5, lt=CANVAS - 4)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """A section a split, under the names of `notsoclevr.dataset.SPLITS`."""

    __pydantic_config__ = STRICT

    uniform: UniformSplit
    quadrant: QuadrantSplit


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """params.yaml before its recipes are read, each into a class of its own."""

    __pydantic_config__ = STRICT

    seed: Seed
    splits: Splits
    models: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a person may want to change.

    Args:
        seed: Of the initial weights and the order of the examples, in every cell.
        splits: Arguments of each split, by name.
        models: Recipe of each model, by name.
    """

    seed: int
    splits: Mapping[str, dict[str, Any]]
    models: Mapping[str, Recipe]


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: YAML itself silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is no text", problem_mark=node.start_mark)
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key} stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        StudyError: There is no such file, it cannot be read, or it is not YAML.
    """
    try:
        return yaml.load(path.read_text("utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StudyError(f"{path}{line}: {error.problem}") from None
    except RecursionError:
        raise StudyError(f"{path}: cannot be read: it is nested too deeply") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no UTF-8, or a date or number that is none
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{path}: cannot be read: {reason}") from None


@cache
def _adapter(type_: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def check(type_: type[Any], value: Any, path: Path, *where: str) -> Any:
    """Read plain data into a dataclass, strictly.

    Args:
        type_: The dataclass.
        value: The data.
        path: The file that the data stands in, for the message.
        where: Keys from the top of that file to the data.

    Raises:
        StudyError: A key is unknown or missing, or a value is of the wrong type or out of range.
    """
    if not isinstance(value, dict):
        raise StudyError(f"{path}: {'.'.join(where) or 'all'} is {value!r}; it should be a mapping of names to values")
    try:
        # from JSON, since a strict dataclass takes no dict from Python
        return _adapter(type_).validate_json(json.dumps(value, default=str))  # type: ignore[arg-type]
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
    # a misspelt key is also a missing one: name the misspelling
    error = next((error for error in errors if error["type"] == "unexpected_keyword_argument"), errors[0])
    key = ".".join([*where, *_keys(error, value)])
    if error["type"] == "unexpected_keyword_argument":
        problem = "is no setting"
    elif "missing" in error["type"]:
        problem = "is missing"
    else:
        problem = f"is {error['input']!r}; {error['msg'][0].lower()}{error['msg'][1:]}"
        if isinstance(error["input"], str) and _is_number(error["input"]):
            problem += " (YAML reads a number without a point, as 1e-3, as text: write 0.001)"
    raise StudyError(f"{path}: {key} {problem}{_alternatives(errors)}")


def _keys(error: ErrorDetails, value: Any) -> Iterator[str]:
    """Give the keys from the top of the data to an error; pydantic puts the types of a union between them."""
    for part in error["loc"]:
        if isinstance(part, int) or (isinstance(value, dict) and part in value):
            yield str(part)
            value = value[part]
        elif "missing" in error["type"]:
            yield str(part)


def _alternatives(errors: Sequence[ErrorDetails]) -> str:
    """Name the missing keys beside an unknown one, since one of them was most likely meant."""
    missing = [str(error["loc"][-1]) for error in errors if "missing" in error["type"]]
    return f"; {' and '.join(missing)} is missing" if missing and len(errors) > len(missing) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _override(data: Any, overrides: Mapping[str, Any], path: Path) -> None:
    for key, value in overrides.items():
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section or isinstance(section[last], dict):
            there = f"; there are {', '.join(section)}" if isinstance(section, dict) else ""
            raise StudyError(f"{path}: {key} is no setting{there}")
        section[last] = value


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read params.yaml.

    Args:
        path: The file.
        overrides: Values in place of the file's, by their path in it, as {"models.coordconv_painter.epochs": 3}.

    Raises:
        StudyError: The file cannot be read, or a setting in it or in `overrides` is misspelt, missing, of the wrong
            type or out of range.
    """
    return configure(read_yaml(path), overrides or {}, path)


def configure(content: Any, overrides: Mapping[str, Any], path: Path) -> Config:
    """Read what params.yaml says.

    Args:
        content: Of params.yaml; it is left as it is.
        overrides: As in `load`.
        path: The file that a mistake stands in, for the message.

    Raises:
        StudyError: As in `load`.
    """
    if not isinstance(content, dict):
        raise StudyError(f"{path}: holds no settings")
    data = deepcopy(content)
    _override(data, overrides, path)
    file = check(_File, data, path)
    if unknown := [name for name in file.models if name not in MODELS]:
        raise StudyError(f"{path}: models.{unknown[0]} is no model; there are {', '.join(MODELS)}")
    if missing := [name for name in MODELS if name not in file.models]:
        raise StudyError(f"{path}: models.{missing[0]} is missing")
    recipes = {name: check(model.recipe, file.models[name], path, "models", name) for name, model in MODELS.items()}
    for name, recipe in recipes.items():
        if recipe.warmup_epochs > recipe.epochs:
            raise StudyError(
                f"{path}: models.{name}.warmup_epochs is {recipe.warmup_epochs}; "
                f"it takes no more than epochs, which is {recipe.epochs}"
            )
        if recipe.warmup_epochs and recipe.schedule == "steps":
            raise StudyError(
                f"{path}: models.{name}.warmup_epochs is {recipe.warmup_epochs}; with the schedule steps it takes 0"
            )
    return Config(seed=file.seed, splits=asdict(file.splits), models=recipes)
