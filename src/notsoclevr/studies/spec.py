"""Studies: a small file that names experiments.

A study file (studies/<name>/study.yaml) is a list of blocks. Each field of a block is one value or a list of values,
and a block stands for every combination of them:

    about: Does the learning rate decide?
    measure_every: 1
    experiments:
      - variant: rates
        model: coordconv_regressor
        split: [uniform, quadrant]
        seed: [0, 1, 2]
        settings:
          models.coordconv_regressor.learning_rate: [0.001, 0.01]

is 2 x 3 x 2 = 12 experiments. A setting is named by its path in params.yaml; what is not named is as it stands there.
`settings` may also be a list of such mappings, for settings that change together. `budget: [0.25, 1, 4]` trains for a
quarter of the epochs, for as many as there are, and for four times as many; the schedule and its warm-up are stretched.
In a mapping of `settings` it is the budget of these settings. Budgets that are as many epochs are one experiment.

`about` in a block says what its variant asks; one block of a variant is enough to say it.

`settings` at the top hold for all blocks that do not say otherwise; there `models.*.epochs` is that of any model.
`squares: true` at the top keeps what painters paint of the showcase squares, squares/<key>.png.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from notsoclevr.config import PARAMS, check, check_split, configure, read_yaml
from notsoclevr.errors import StudyError
from notsoclevr.experiment import Experiment
from notsoclevr.models import MODELS
from notsoclevr.recipes import FORBID, Count, Positive, Recipe, Seed, Switch
from notsoclevr.splits import SPLITS

BUDGET = "budget"
FILE = "study.yaml"  # of a study, in a folder of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    __pydantic_config__ = FORBID

    variant: Annotated[str, Field(min_length=1)]
    model: str | list[str]
    split: str | list[str]
    seed: Seed | list[Seed]
    about: str = ""
    settings: dict[str, Any] | list[dict[str, Any]] = field(default_factory=dict)
    budget: Positive | list[Positive] = 1.0
    measure_every: Count | None = None

    def __post_init__(self) -> None:
        for axis, known in (("model", MODELS), ("split", SPLITS)):
            if unknown := [name for name in _as_list(getattr(self, axis)) if name not in known]:
                raise ValueError(f"{axis} is {unknown[0]!r}, which is no {axis}; there are {', '.join(known)}")
        settings = [pair for mapping in _as_list(self.settings) for pair in mapping.items()]
        axes = [(name, getattr(self, name)) for name in ("model", "split", "seed", "settings", BUDGET)]
        for name, value in (*axes, *((f"settings.{name}", value) for name, value in settings)):
            if value == []:
                raise ValueError(f"{name} is an empty list; it takes at least one value")
        one_each = [("models", _as_list(self.model)), ("splits", _as_list(self.split))]
        sections = tuple(f"{section}.{names[0]}." for section, names in one_each if len(names) == 1)
        if foreign := [name for name, _ in settings if not name.startswith(sections) and name != BUDGET]:
            wanted = "models.<model>.<setting> or splits.<split>.<setting>, of the one model or split of its block"
            raise ValueError(f"settings.{foreign[0]} is no setting here; it takes {wanted}")
        for mapping in _as_list(self.settings):
            for budget in _as_list(mapping.get(BUDGET, 1)):
                if type(budget) not in (int, float) or not 0 < budget < math.inf:
                    raise ValueError(f"settings.{BUDGET} is {budget!r}; it takes a number above 0")

    def combinations(self) -> Iterator[tuple[str, str, int, Mapping[str, Any]]]:
        """Yield model, split, seed and settings, the budget among them, of every experiment."""
        for own in _as_list(self.settings):
            settings = own | {BUDGET: own.get(BUDGET, self.budget)}
            axes = (self.model, self.split, self.seed, *settings.values())
            for model, split, seed, *values in itertools.product(*map(_as_list, axes)):
                yield model, split, seed, dict(zip(settings, values, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    __pydantic_config__ = FORBID

    about: str
    experiments: Annotated[list[_Block], Field(min_length=1)]
    settings: dict[str, Any] = field(default_factory=dict)
    measure_every: Count = 1
    squares: Switch = False

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            if not name.startswith(("models.", "splits.")):
                wanted = "models.<model>.<setting>, models.*.<setting> or splits.<split>.<setting>"
                raise ValueError(f"settings.{name} is no setting here; it takes {wanted}")
            if isinstance(value, list):
                raise ValueError(f"settings.{name} is {value}; at the top of the file it takes one value")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that is asked for: an experiment of a study, or one of a search.

    Args:
        variant: Name of its block.
        settings: Where it differs from those of the same variant, model and split, as a person would write it.
        experiment: What to train.
        measure_every: Epochs from one measurement to the next.
        squares: What a painter paints of the showcase is kept.
    """

    variant: str
    settings: str
    experiment: Experiment
    measure_every: int
    squares: bool = False

    @cached_property
    def content(self) -> dict[str, str]:
        """What decides the outcome, as results.csv has it, without what does not apply."""
        values = self.experiment.settings() | {"measure_every": self.measure_every}
        return {name: text(value) for name, value in values.items()}

    @cached_property
    def key(self) -> str:
        """Fingerprint of the content."""
        return fingerprint(self.content)

    @property
    def name(self) -> str:
        """What to call it while it runs."""
        settings = f" {self.settings}" if self.settings else ""
        return f"{self.experiment.name}{settings} seed {self.experiment.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study file.

    Args:
        path: The file.
        about: What it asks.
        variants: What each of its variants asks, by their names; without those of which the file does not say it.
        trainings: Its experiments, in its order.
    """

    path: Path
    about: str
    variants: Mapping[str, str]
    trainings: Sequence[Training]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.path.parent.name

    @property
    def results(self) -> Path:
        """Its table."""
        return self.path.with_name("results.csv")

    @property
    def summary(self) -> Path:
        """The table of its experiments over their seeds."""
        return self.path.with_name("summary.csv")

    def squares(self, key: str) -> Path:
        """The picture of what the painter of a row paints of the showcase, beside each other."""
        return self.path.with_name("squares") / f"{key}.png"


def text(value: Any) -> str:
    """Return a value as tables have it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)  # YAML has dates


def fingerprint(content: Mapping[str, str]) -> str:
    """Compute a fingerprint of what is not empty in a row, whatever columns others have beside it."""
    filled = {name: value for name, value in sorted(content.items()) if value != ""}
    return hashlib.sha256(json.dumps(filled).encode()).hexdigest()[:12]


def study_files(root: Path) -> dict[str, Path]:
    """Return the study files of a repository, by the names of the studies."""
    return {path.parent.name: path for path in sorted(root.glob(f"studies/*/{FILE}"))}


def load_study(path: Path, root: Path) -> Study:
    """Load a study file.

    Args:
        path: The file.
        root: The repository; its params.yaml has the settings that the study does not name.

    Raises:
        StudyError: The file has another name or cannot be read, names something unknown or a value out of range, or has
            no experiment or one twice.
    """
    path = path.resolve()
    if path.name != FILE:  # its tables would be those of the study beside it
        raise StudyError(f"{path}: is no study; a study is a file {FILE} in a folder of its own")
    file: _File = check(_File, read_yaml(path), path)
    params = read_yaml(root / PARAMS)
    configure(params, {}, root / PARAMS)  # so that a mistake in it is not looked for in the study
    chosen = [(block, *combination) for block in file.experiments for combination in block.combinations()]
    alike: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}  # experiments that differ in seed and settings
    for block, model, split, _, settings in chosen:
        alike.setdefault((block.variant, model, split), []).append(settings)
    varied = {kind: _varied(settings) for kind, settings in alike.items()}
    trainings: dict[str, Training] = {}
    budgets: dict[str, float] = {}
    for block, model, split, seed, settings in chosen:
        variant = block.variant
        own = [name for name in settings if name in varied[variant, model, split]]
        # what is said of one model counts more than what is said of all
        at_top = sorted(file.settings.items(), key=lambda setting: "*" not in setting[0])
        for_all = {name.replace("models.*", f"models.{model}"): value for name, value in at_top}
        overrides = for_all | {name: value for name, value in settings.items() if name != BUDGET} | {"seed": seed}
        experiment = configure(params, overrides, f"{path}, variant {variant}").experiment(model, split)
        check_split(experiment.split, f"{path}, variant {variant}: splits.{split}")
        training = Training(
            variant=variant,
            settings=" ".join(f"{_short(name)}={text(settings[name])}" for name in own),
            experiment=replace(experiment, recipe=_stretched(experiment.recipe, settings[BUDGET])),
            measure_every=block.measure_every or file.measure_every,
            squares=file.squares,
        )
        if twin := trainings.get(training.key):
            if twin.variant == variant and budgets[training.key] != settings[BUDGET]:
                continue
            raise StudyError(
                f"{path}: {training.name} of {variant} is the same experiment as {twin.name} of {twin.variant}; "
                f"once is enough"
            )
        trainings[training.key], budgets[training.key] = training, settings[BUDGET]
    variants = {block.variant: block.about for block in file.experiments if block.about}
    return Study(path=path, about=file.about, variants=variants, trainings=list(trainings.values()))


def _stretched(recipe: Recipe, budget: float) -> Recipe:
    """Return a recipe with `budget` times its epochs and warm-up; at least one epoch comes after the warm-up."""
    if budget == 1:
        return recipe
    epochs = max(1, round(recipe.epochs * budget))
    return replace(recipe, epochs=epochs, warmup_epochs=min(round(recipe.warmup_epochs * budget), epochs - 1))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _varied(alike: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of the settings that are not the same in all mappings."""
    names = {name for settings in alike for name in settings}
    return {name for name in names if len({text(settings.get(name)) for settings in alike}) > 1}


def _short(name: str) -> str:
    """Return the name of a setting without its path; the seed of a split is not that of a training."""
    last = name.rpartition(".")[2]
    return "split_seed" if last == "seed" else last
