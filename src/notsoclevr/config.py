"""Read params.yaml into frozen settings: the only reader of YAML, and how a setting is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from notsoclevr.dataset import generate
from notsoclevr.errors import StudyError, why
from notsoclevr.experiment import Experiment
from notsoclevr.models import MODELS
from notsoclevr.recipes import FORBID, Recipe, Seed
from notsoclevr.splits import SPLITS, Split

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS = "params.yaml"
RESULTS = Path("results")
OUTPUTS = Path("outputs")
REPORTS = Path("reports")


def setting_names() -> tuple[str, ...]:
    """Return the names of the settings of all recipes, each once, in the order of the models."""
    return tuple(dict.fromkeys(field.name for model in MODELS.values() for field in fields(model.recipe)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    __pydantic_config__ = FORBID

    model: Annotated[list[str], Field(min_length=1)]
    split: Annotated[list[str], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """params.yaml before its splits and recipes are read, each into a class of its own."""

    __pydantic_config__ = FORBID

    seed: Seed
    matrix: _Matrix
    splits: dict[str, Any]
    models: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that a person may want to change.

    Args:
        seed: The seed of the initial weights and of the order of the examples, in every cell.
        splits: The splits by name.
        models: Recipe of each model, by name.
        cells: Model and split of every cell of the comparison by its name, in the order in which they are shown.
    """

    seed: int
    splits: Mapping[str, Split]
    models: Mapping[str, Recipe]
    cells: Mapping[str, tuple[str, str]]

    def experiment(self, model: str, split: str) -> Experiment:
        """Return the experiment that trains a model on a split."""
        return Experiment(model=model, split=self.splits[split], seed=self.seed, recipe=self.models[model])


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: YAML itself silently takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if not key.tag.endswith(":merge")]  # which YAML itself deals with, later
        names = [key.value for key in keys]
        for key in keys:
            if not key.tag.endswith(":str"):
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is no text", problem_mark=key.start_mark)
            if names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
        return node


def read_yaml(path: Path) -> Any:
    """Load a YAML file.

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
    # no UTF-8, or a date, number or switch that is none
    except (OSError, ValueError, LookupError, AttributeError, yaml.YAMLError) as error:
        raise StudyError(f"{path}: cannot be read: {why(error)}") from None


@cache
def _sizes(split: Split) -> tuple[int, int]:
    divided = split(generate())
    return len(divided.train), len(divided.test)


def check_split(split: Split, where: str) -> None:
    """Check that a split leaves something to train on and something to test.

    Args:
        split: The split.
        where: The file and the section that it is in, for the message.

    Raises:
        StudyError: It does not.
    """
    trains, tests = _sizes(split)
    if not trains or not tests:
        raise StudyError(f"{where} leaves {trains} examples to train on and {tests} to test; each takes at least one")


MAPPING = "it should be a mapping of names to values"


@cache
def _adapter(type_: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def check(type_: type[Any], value: Any, path: Path | str, *where: str) -> Any:
    """Return plain data as a dataclass, strictly.

    Args:
        type_: The dataclass.
        value: The data.
        path: The file that the data is in, and where in it if need be, for the message.
        where: Keys from the top of that file to the data.

    Raises:
        StudyError: A key is unknown or missing, or a value is of the wrong type or out of range.
    """
    if value is None and not where:
        raise StudyError(f"{path}: holds no settings")
    if not isinstance(value, dict):
        raise StudyError(f"{path}: {'.'.join(where) or 'the whole file'} is {value!r}; {MAPPING}")
    try:
        return _adapter(type_).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
    # a misspelt key is also a missing one: name the misspelling; where a list may stand, name what is wrong in it
    misspelt = (error for error in errors if error["type"] == "unexpected_keyword_argument")
    error = next(misspelt, None) or max(_of_first(errors), key=lambda error: len([*_keys(error, value)]))
    key = ".".join([*where, *_keys(error, value)])
    if error["type"] == "value_error":  # of a check in the class itself, whose message begins with a key of it
        raise StudyError(f"{path}: {key}{'.' if key else ''}{error['ctx']['error']}")
    if error["type"] == "unexpected_keyword_argument":
        problem = "is no setting"
    elif "missing" in error["type"]:
        problem = "is missing"
    else:
        problem = complaint(error)
    raise StudyError(f"{path}: {key} {problem}{_alternatives(errors)}")


def complaint(error: ErrorDetails) -> str:
    """Return what is wrong with a value, in words."""
    given = error["input"]
    message = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    said = f"is {given!r}; {MAPPING if error['type'] in ('dict_type', 'dataclass_type') else message}"
    if isinstance(given, str) and _is_number(given):
        said += " (YAML reads a number without a point, as 1e-3, as text: write 0.001)"
    return said


def _of_first(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the errors that are of the same setting as the first one."""
    return [error for error in errors if error["loc"][:1] == errors[0]["loc"][:1]]


def _keys(error: ErrorDetails, value: Any) -> Iterator[str]:
    """Yield the keys from the top of the data to an error; pydantic puts the types of a union between them."""
    for part in error["loc"]:
        if isinstance(part, int) or (isinstance(value, dict) and part in value):
            yield str(part)
            value = value[part]
        elif "missing" in error["type"]:
            yield str(part)


def _alternatives(errors: Sequence[ErrorDetails]) -> str:
    """Return a note of the missing keys beside an unknown one, since one of them was most likely meant."""
    missing = [str(error["loc"][-1]) for error in errors if "missing" in error["type"]]
    are = "is" if len(missing) == 1 else "are"
    return f"; {' and '.join(missing)} {are} missing" if missing and len(errors) > len(missing) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _override(content: Mapping[str, Any], key: str, value: Any, path: Path | str) -> Mapping[str, Any]:
    """Return settings with another value of one of them, and all beside it shared with those that came in."""
    *parents, last = key.split(".")
    settings = section = dict(content)
    for place, parent in enumerate(parents, start=1):
        if not isinstance(inner := section.get(parent), dict):
            raise StudyError(f"{path}: {key} is no setting: there is no section {'.'.join(parents[:place])}")
        section[parent] = dict(inner)
        section = section[parent]
    if last not in section or isinstance(section[last], dict):
        there = f"; there are {', '.join(section)}" if section else ""
        raise StudyError(f"{path}: {key} is no setting{there}")
    section[last] = value
    return settings


def check_names(names: Iterable[str], known: Collection[str], kind: str, at: str) -> None:
    """Check that all names are known.

    Args:
        names: The names.
        known: What there is.
        kind: What a name should be of, as "model".
        at: What comes before the name in the message: the file, and where in it.

    Raises:
        StudyError: One is not.
    """
    for name in names:
        if name not in known:
            raise StudyError(f"{at}{name} is no {kind}; there are {', '.join(known)}")


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Load params.yaml.

    Args:
        path: The file.
        overrides: Values in place of the file's, by their path in it, as {"models.coordconv_painter.epochs": 3}.

    Raises:
        StudyError: The file cannot be read, or a setting in it or in `overrides` is misspelt, missing, of the wrong
            type or out of range.
    """
    content = read_yaml(path)
    config = configure(content, {}, path)
    return configure(content, overrides, "command line") if overrides else config


def configure(content: Any, overrides: Mapping[str, Any], path: Path | str) -> Config:
    """Return what params.yaml says, checked.

    Args:
        content: The content of params.yaml; it is not changed.
        overrides: As in `load`.
        path: The file that a mistake is in, and where in it if need be, for the message.

    Raises:
        StudyError: As in `load`.
    """
    if not isinstance(content, dict):
        raise StudyError(f"{path}: holds no settings")
    for key, value in overrides.items():
        content = _override(content, key, value, path)
    file = check(_File, content, path)
    known: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "models": (file.models, MODELS),
        "splits": (file.splits, SPLITS),
    }
    for section, (there, wanted) in known.items():
        check_names(there, wanted, section[:-1], f"{path}: {section}.")
        if missing := [name for name in wanted if name not in there]:
            raise StudyError(f"{path}: {section}.{missing[0]} is missing")
    for axis, names, wanted in (("model", file.matrix.model, MODELS), ("split", file.matrix.split, SPLITS)):
        check_names(names, wanted, axis, f"{path}: matrix.{axis}: ")
        if twice := [name for name in names if names.count(name) > 1]:
            raise StudyError(f"{path}: matrix.{axis} has {twice[0]} twice")
    return Config(
        seed=file.seed,
        splits={name: check(split, file.splits[name], path, "splits", name) for name, split in SPLITS.items()},
        models={name: check(model.recipe, file.models[name], path, "models", name) for name, model in MODELS.items()},
        cells={f"{model}-{split}": (model, split) for model in file.matrix.model for split in file.matrix.split},
    )
