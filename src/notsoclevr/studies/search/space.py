"""What a search for a recipe may try: studies/search/space.yaml, the same for all models.

A search is a folder, studies/search/<model>; the model is its name. The space is in the folder above it, and a
model takes those of its settings that its recipe has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from notsoclevr.config import PARAMS, check, check_names, check_split, complaint, load, read_yaml, setting_names
from notsoclevr.cost import GIGA
from notsoclevr.dataset import Dataset, SplitDataset, generate
from notsoclevr.errors import StudyError
from notsoclevr.experiment import Experiment
from notsoclevr.models import MODELS, Model
from notsoclevr.recipes import FORBID, Count, Positive, Recipe, Seed, Switch
from notsoclevr.splits import SPLITS, Split
from notsoclevr.studies.spec import Training, fingerprint, text
from notsoclevr.tasks import TASKS

FILE = "space.yaml"
OPERATIONS = "operations"  # share of the ceiling, from which the epochs follow
PENALTY = "adam_penalty"  # weight_decay of a recipe with Adam, which adds it to the loss
DIGITS = 3  # of a number that is sampled

State = Literal["complete", "pruned", "failed"]  # how a trial ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation(Split):
    """The training set of a split, divided again: the test set of that split is in neither part.

    Args:
        whole: The split whose training set it is.
        again: How that is divided.
    """

    name: ClassVar[str] = "validation"

    whole: Split
    again: Split

    def __call__(self, dataset: Dataset) -> SplitDataset:
        """Return what the search trains on, and the validation positions in place of a test set."""
        return self.again(self.whole(dataset).train)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that is searched: a list of values, or a range.

    Args:
        name: The name of the setting.
        choices: The values; none of a range.
        low: Where a range begins; it is of whole numbers if both ends are.
        high: Where it ends.
        log: It is sampled evenly in its logarithm.
        since: Number of the first trial that has it.
    """

    name: str
    choices: Sequence[Any] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    since: int = 0

    @property
    def ends(self) -> tuple[Any, Any]:
        """The least and the greatest value."""
        return (min(self.choices), max(self.choices)) if self.choices else (self.low, self.high)


# a float first: where neither fits, the message is of the first
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)] | Annotated[int, Field(strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    __pydantic_config__ = FORBID

    low: Number
    high: Number
    log: Switch = False
    since: Seed = 0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high, which is {self.high}")
        if self.low == self.high:
            raise ValueError(f"low is {self.low} and so is high: the range is empty; it takes a low below high")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; with log it takes a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    __pydantic_config__ = FORBID

    trials: Count
    random: Count
    together: Count
    seed: Seed
    more_seeds: list[Seed]
    best: Count
    seeds: Annotated[list[Seed], Field(min_length=1)]
    ceiling: dict[str, Positive]
    validation: Annotated[dict[str, Any], Field(min_length=1)]
    space: dict[str, Any]

    def __post_init__(self) -> None:
        used = [self.seed]
        for name in ("more_seeds", "seeds"):
            own = getattr(self, name)
            used += own
            if len({*used}) < len(used):
                raise ValueError(f"{name} is {own}; it takes seeds that are all different, and no other list has")


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a search tries, and how.

    Args:
        folder: The folder of the search.
        model: The model.
        trials: How many configurations are tried.
        random: How many of these are drawn at random, the first ones.
        together: How many of them are proposed at a time.
        seed: The seed of the proposals and of the first trainings of every trial.
        more_seeds: The seeds of the further trainings of a trial, one after the other for as long as all is exact.
        best: How many are trained again.
        seeds: The seeds of these trainings.
        ceiling: Floating-point operations that a training may cost.
        splits: By the name of a split, the validation split inside its training set; trained on in this order.
        settings: What is searched.
        base: The recipe of params.yaml, which has the other settings.
    """

    folder: Path
    model: str
    trials: int
    random: int
    together: int
    seed: int
    more_seeds: Sequence[int]
    best: int
    seeds: Sequence[int]
    ceiling: float
    splits: Mapping[str, Validation]
    settings: Sequence[Setting]
    base: Recipe

    @property
    def entry(self) -> Model:
        """The model's entry in the table."""
        return MODELS[self.model]

    def settings_of(self, trial: int) -> list[Setting]:
        """Return what is searched by the trial of this number."""
        return [setting for setting in self.settings if setting.since <= trial]

    @property
    def trials_file(self) -> Path:
        """The table of all trials, in git."""
        return self.folder / "trials.csv"

    @property
    def journal_file(self) -> Path:
        """Optuna's journal, which belongs to one machine."""
        return self.folder / "journal.log"

    @property
    def recipe_file(self) -> Path:
        """The recipe that was found."""
        return self.folder / "recipe.yaml"

    @cached_property
    def key(self) -> str:
        """Fingerprint of all that decides what is proposed and what comes of it, but for the number of trials."""
        searched = {setting.name for setting in self.settings} | {"epochs"}
        base = {name: value for name, value in asdict(self.base).items() if name not in searched}
        settings = [asdict(setting) for setting in self.settings]
        splits = {name: asdict(split) for name, split in self.splits.items()}
        names = ("model", "random", "together", "seed", "more_seeds", "best", "ceiling")
        content = {name: getattr(self, name) for name in names} | {"base": base, "all": settings, "splits": splits}
        return fingerprint({name: json.dumps(value) for name, value in content.items()})

    @cached_property
    def examples(self) -> int:
        """Examples of the largest training set of the splits, on which operations are counted."""
        return max(len(split.whole(generate()).train) for split in self.splits.values())

    def training(self, recipe: Recipe, seed: int, split: str) -> Training:
        """Return a training on the validation split inside a split, measured after its last epoch."""
        experiment = Experiment(model=self.model, split=self.splits[split], seed=seed, recipe=recipe)
        return Training(variant="search", settings="", experiment=experiment, measure_every=recipe.epochs)


def settle(space: Space, values: Mapping[str, Any], epoch_operations: int) -> Recipe | None:
    """Return the recipe of a configuration, with as many epochs as its share of the ceiling allows, at least one.

    Args:
        space: What is searched.
        values: The settings that were sampled, and the share of the ceiling.
        epoch_operations: What an epoch costs.

    Returns:
        The recipe; None if one epoch costs more than the ceiling.
    """
    if epoch_operations > space.ceiling:
        return None
    values = dict(values)
    epochs = affordable_epochs(space, values.pop(OPERATIONS), epoch_operations)
    penalty = values.pop(PENALTY, 0.0)
    recipe = replace(space.base, **values | {"epochs": epochs, "warmup_epochs": 0})
    asked = values.get("warmup_epochs", space.base.warmup_epochs)
    warmup = 0 if recipe.schedule == "steps" else min(asked, epochs - 1)
    # Adam adds it to the loss, where a decay of AdamW's size would do something else
    decay = penalty if recipe.optimizer == "adam" and "weight_decay" in values else recipe.weight_decay
    return replace(recipe, warmup_epochs=warmup, weight_decay=decay)


def affordable_epochs(space: Space, share: float, epoch_operations: int) -> int:
    """Return how many whole epochs a share of the ceiling allows, at least one."""
    return max(1, int(share * space.ceiling / epoch_operations))


def load_space(folder: Path, root: Path) -> Space:
    """Load what a search tries.

    Args:
        folder: The folder of the search, named after the model; it need not be there yet.
        root: The repository; its params.yaml has the settings that are not searched.

    Raises:
        StudyError: There is no such model, a file cannot be read, or it names an unknown setting, an empty range or
            a value that the model does not take.
    """
    folder = folder.resolve()
    path, model = folder.parent / FILE, folder.name
    if model not in MODELS:
        raise StudyError(f"{folder}: {model} is no model; the folder takes the name of one: {', '.join(MODELS)}")
    file: _File = check(_File, read_yaml(path), path)
    config = load(root / PARAMS)
    task = MODELS[model].task
    if task not in file.ceiling:
        raise StudyError(f"{path}: ceiling.{task} is missing, the task of {model}")
    check_names(file.ceiling, TASKS, "task", f"{path}: ceiling.")
    check_names(file.validation, SPLITS, "split", f"{path}: validation.")
    if OPERATIONS not in file.space:
        raise StudyError(f"{path}: space.{OPERATIONS} is missing, the share of the ceiling that a training may cost")
    known = {OPERATIONS, PENALTY, *setting_names()} - {"epochs"}
    if unknown := [name for name in file.space if name not in known]:
        follow = f": they follow from {OPERATIONS}" if unknown[0] == "epochs" else ""
        others = ", ".join(name for name in setting_names() if name != "epochs")
        raise StudyError(f"{path}: space.{unknown[0]} is no setting of a search{follow}; there are {others}")
    settings = [_setting(name, value, model, path) for name, value in file.space.items() if _has(model, name)]
    if any(each.name == OPERATIONS and each.since for each in settings):
        raise StudyError(f"{path}: space.{OPERATIONS}.since has no meaning: every trial has a share of the ceiling")
    splits = {
        name: Validation(whole=config.splits[name], again=check(SPLITS[name], arguments, path, "validation", name))
        for name, arguments in file.validation.items()
    }
    for name, split in splits.items():
        check_split(split, f"{path}: validation.{name}")
    _check_together(settings, config.models[model], path)
    return Space(
        folder=folder,
        model=model,
        **{
            name: getattr(file, name)
            for name in ("trials", "random", "together", "seed", "more_seeds", "best", "seeds")
        },
        ceiling=file.ceiling[task] * GIGA,
        splits=splits,
        settings=settings,
        base=config.models[model],
    )


def _check_together(settings: Sequence[Setting], base: Recipe, path: Path) -> None:
    """Check that the model takes each value of a list with each of the others; `settle` fits the warm-up."""
    lists = {each.name: each.choices for each in settings if each.choices and hasattr(base, each.name)}
    for values in product(*lists.values()):
        try:
            replace(base, **dict(zip(lists, values, strict=True)) | {"warmup_epochs": 0})
        except ValueError as error:
            raise StudyError(f"{path}: space has values that exclude each other: {error}") from None


def _has(model: str, name: str) -> bool:
    return name in {OPERATIONS, PENALTY, *(each.name for each in fields(MODELS[model].recipe))}


def _setting(name: str, value: Any, model: str, path: Path) -> Setting:
    """Return a setting of a space; every value that a list has, and both ends of a range, are ones the model takes."""
    where = f"space.{name}"
    if isinstance(value, list):
        if not value:
            raise StudyError(f"{path}: {where} is an empty list; it takes at least one value")
        if twice := [each for each in value if [text(other) for other in value].count(text(each)) > 1]:
            raise StudyError(f"{path}: {where} has {twice[0]!r} twice")
        ends = {f"{where}.{place}": each for place, each in enumerate(value)}
        setting = Setting(name=name, choices=value)
    elif isinstance(value, dict):
        span: _Range = check(_Range, value, path, "space", name)
        ends = {f"{where}.low": span.low, f"{where}.high": span.high}
        setting = Setting(name=name, **asdict(span))
    else:
        raise StudyError(f"{path}: {where} is {value!r}; it takes a list of values, or a range of low and high")
    share: Any = Annotated[float, Field(gt=0, le=1, strict=True)]
    hints = get_type_hints(MODELS[model].recipe, include_extras=True)
    hints |= {OPERATIONS: share, PENALTY: hints["weight_decay"]}
    for key, end in ends.items():
        try:
            TypeAdapter(hints[name]).validate_python(end)
        except ValidationError as failure:
            raise StudyError(f"{path}: {key} {complaint(failure.errors(include_url=False)[0])}") from None
    return setting
