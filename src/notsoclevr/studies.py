"""Studies: a small file that names experiments, and the table of what came out of each.

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
`settings` may also be a list of such mappings, for settings that change together.

results.csv, beside the study file, has a row an experiment. What decides an experiment is its key, so a row stays good
for as long as the study asks for the same thing; a row whose text was changed by hand is refused.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from notsoclevr.atomic import replacing
from notsoclevr.config import PARAMS, SETTINGS, check, configure, read_yaml
from notsoclevr.dataset import SPLITS
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.recipes import STRICT, Count
from notsoclevr.results import write_rows
from notsoclevr.training import Experiment

Row = dict[str, str]
Names = str | list[str]

SPLIT_KEYS = ("split_train_share", "split_seed", "split_corner", "split_boundary")
CONTENT = ("model", "split", *SPLIT_KEYS, "seed", *SETTINGS, "measure_every")  # what decides an experiment
MEASURED = (
    *("parameters", "epochs_to_perfect", "seconds_to_perfect", "train_seconds", "train_loss", "test_loss"),
    *("train_exact", "test_exact", "train_iou", "test_iou", "train_error_px", "test_error_px", "test_exact_by_epoch"),
)
BECAME_PERFECT = ("epochs_to_perfect", "seconds_to_perfect")  # empty where a network never was
SUMMED_UP = ("train_exact", "test_exact", "test_iou", "test_error_px", *BECAME_PERFECT)
COLUMNS = ("key", "variant", "settings", *CONTENT, "error", *MEASURED, "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    __pydantic_config__ = STRICT

    variant: Annotated[str, Field(min_length=1)]
    model: Names
    split: Names
    seed: int | list[int]
    settings: dict[str, Any] | list[dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    __pydantic_config__ = STRICT

    about: str
    experiments: list[_Block]
    measure_every: Count = 1


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One experiment of a study.

    Args:
        variant: Name of its block.
        settings: Where it differs from those of the same variant, model and split, as a person would write it.
        experiment: What to train.
        split_arguments: Of the function of `notsoclevr.dataset.SPLITS` that makes its examples.
        measure_every: Epochs from one measurement to the next.
    """

    variant: str
    settings: str
    experiment: Experiment
    split_arguments: Mapping[str, Any]
    measure_every: int

    @cached_property
    def content(self) -> Row:
        """What decides the outcome, as results.csv writes it, without what does not apply."""
        experiment = self.experiment
        values = {
            "model": experiment.model,
            "split": experiment.split,
            **{f"split_{name}": value for name, value in self.split_arguments.items()},
            "seed": experiment.seed,
            **asdict(experiment.recipe),
            "measure_every": self.measure_every,
        }
        return {name: text(value) for name, value in values.items()}

    @property
    def key(self) -> str:
        """Fingerprint of the content."""
        return fingerprint(self.content)

    @property
    def name(self) -> str:
        """What to call it while it runs."""
        settings = f" {self.settings}" if self.settings else ""
        return f"{self.experiment.model}-{self.experiment.split}{settings} seed {self.experiment.seed}"

    def row(self, measured: Mapping[str, Any], error: str = "") -> Row:
        """Give the row of results.csv.

        Args:
            measured: Values by the names of `MEASURED`; those that do not apply are left out.
            error: Why there are none, in one line.
        """
        own = {"key": self.key, "variant": self.variant, "settings": self.settings, "error": error}
        row = own | self.content | {name: text(value) for name, value in measured.items()}
        return sealed({name: row.get(name, "") for name in COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study file.

    Args:
        path: The file.
        about: What it asks.
        trials: Its experiments, in its order.
    """

    path: Path
    about: str
    trials: Sequence[Trial]

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


def text(value: Any) -> str:
    """Write a value for a table."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def fingerprint(row: Mapping[str, str]) -> str:
    """Give a fingerprint of what a row says, whatever columns others have beside it."""
    said = {name: value for name, value in sorted(row.items()) if value != ""}
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def sealed(row: Row) -> Row:
    """Give a row the digest by which a change of it is seen."""
    return row | {"digest": fingerprint({name: value for name, value in row.items() if name != "digest"})}


def load_study(path: Path, root: Path) -> Study:
    """Read a study file.

    Args:
        path: The file.
        root: The repository; its params.yaml gives what the study does not set.

    Raises:
        StudyError: The file cannot be read, names something that there is not or a value out of range, or holds no
            experiment or one twice.
    """
    path = path.resolve()
    content, params = read_yaml(path), read_yaml(root / PARAMS)
    file = check(_File, content, path)
    trials = _expand(file, params, path)
    if not trials:
        raise StudyError(f"{path}: experiments is empty; it takes at least one block")
    seen: dict[str, Trial] = {}
    for trial in trials:
        if twin := seen.get(trial.key):
            raise StudyError(
                f"{path}: {trial.name} of {trial.variant} stands there twice, first in {twin.variant}; once is enough"
            )
        seen[trial.key] = trial
    return Study(path=path, about=file.about, trials=trials)


def _expand(file: _File, params: Any, path: Path) -> list[Trial]:
    chosen = [
        (block.variant, *combination)
        for block in file.experiments
        for settings in _together(block, path)
        for combination in _combinations(block, settings, path)
    ]
    alike: dict[tuple[str, str, str], list[dict[str, Any]]] = {}  # but for seed and settings
    for variant, model, split, _, settings in chosen:
        alike.setdefault((variant, model, split), []).append(settings)
    varied = {kind: _varied(settings) for kind, settings in alike.items()}
    trials = []
    for variant, model, split, seed, settings in chosen:
        config = configure(params, {"seed": seed, **settings}, path)
        own = [name for name in settings if name in varied[variant, model, split]]
        trials.append(
            Trial(
                variant=variant,
                settings=" ".join(f"{_short(name)}={text(settings[name])}" for name in own),
                experiment=Experiment(model=model, split=split, seed=config.seed, recipe=config.models[model]),
                split_arguments=config.splits[split],
                measure_every=file.measure_every,
            )
        )
    return trials


def _varied(alike: Sequence[Mapping[str, Any]]) -> set[str]:
    """Name the settings that are not the same in all mappings."""
    names = {name for settings in alike for name in settings}
    return {name for name in names if len({text(settings.get(name)) for settings in alike}) > 1}


def _short(name: str) -> str:
    """Name a setting without its path; the seed of a split is not that of a training."""
    last = name.rpartition(".")[2]
    return "split_seed" if last == "seed" else last


def _together(block: _Block, path: Path) -> list[dict[str, Any]]:
    """Give the mappings of settings that change together; one, unless the block has a list of them."""
    if block.settings == []:
        raise StudyError(f"{path}: settings of {block.variant} is an empty list; it takes at least one mapping")
    return block.settings if isinstance(block.settings, list) else [block.settings]


def _combinations(
    block: _Block, settings: Mapping[str, Any], path: Path
) -> Iterable[tuple[str, str, int, dict[str, Any]]]:
    """Give model, split, seed and settings of every experiment of a block."""
    axes = {"model": block.model, "split": block.split, "seed": block.seed, **settings}
    lists = {name: value if isinstance(value, list) else [value] for name, value in axes.items()}
    for name, values in lists.items():
        if not values:
            raise StudyError(f"{path}: {name} of {block.variant} is an empty list; it takes at least one value")
    for kind, known in (("model", MODELS), ("split", SPLITS)):
        if unknown := [name for name in lists[kind] if name not in known]:
            raise StudyError(f"{path}: {unknown[0]} is no {kind}; there are {', '.join(known)}")
    for name in settings:
        section, _, rest = name.partition(".")
        owner = {"models": "model", "splits": "split"}.get(section)
        if owner is None or lists[owner] != [rest.partition(".")[0]]:
            wanted = "models.<model>.<setting> or splits.<split>.<setting>, of the one model or split of its block"
            raise StudyError(f"{path}: {name} of {block.variant} is no setting here; it takes {wanted}")
    for model, split, seed, *values in itertools.product(*lists.values()):
        yield model, split, seed, dict(zip(settings, values, strict=True))


def load_rows(path: Path) -> dict[str, Row]:
    """Read results.csv.

    Returns:
        The rows by key; none if there is no file.

    Raises:
        StudyError: It is not as it was written.
    """
    if not path.exists():
        return {}
    remedy = "take it back from git, or remove the line to have the experiment run again"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if not reader.fieldnames:
                raise StudyError(f"{path}: is empty; take it back from git, or remove it to begin anew")
            if unknown := [name for name in reader.fieldnames if name not in COLUMNS]:
                raise StudyError(f"{path}: {unknown[0]} is no column of a study; take the file back from git")
            rows: dict[str, Row] = {}
            for read in reader:
                # a setting that came later than the row has a column later than the row
                row = dict.fromkeys(COLUMNS, "") | read
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values() or sealed(row) != row:
                    raise StudyError(f"{where}: was cut or edited; {remedy}")
                if row["key"] in rows:
                    raise StudyError(f"{where}: its experiment has a row already; {remedy}")
                rows[row["key"]] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: cannot be read: {error}; {remedy}") from None
    return rows


def save_rows(study: Study, rows: Mapping[str, Row]) -> None:
    """Write results.csv, in the order of the study, whatever order its experiments ended in.

    Rows of experiments that the study no longer asks for come last: they cost too much to be thrown away.
    """
    own = asked_for(study, rows)
    keys = {row["key"] for row in own}
    with replacing(study.results) as path:
        write_rows(path, [*own, *(row for key, row in rows.items() if key not in keys)])


def asked_for(study: Study, rows: Mapping[str, Row]) -> list[Row]:
    """Give the rows of the study's own experiments, in its order and under the names that it has for them now."""
    return [_renamed(rows[trial.key], trial) for trial in study.trials if trial.key in rows]


def _renamed(row: Row, trial: Trial) -> Row:
    names = {"variant": trial.variant, "settings": trial.settings}
    # sealing costs, and all rows come by here whenever one is added
    return row if names.items() <= row.items() else sealed(row | names)


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Give a row for the experiments that differ by nothing but the seed.

    Args:
        rows: Of results.csv.

    Returns:
        Their number, how many failed, how many ended perfect, and the median of each measure with its lowest and
        highest value, as a table for people has them.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        same = [row[name] for name in ("variant", "settings", *CONTENT) if name != "seed"]
        groups.setdefault(tuple(same), []).append(row)
    table = []
    for members in groups.values():
        ended = [_without_unknown(row) for row in members if not row["error"]]
        line = {name: members[0][name] for name in ("variant", "model", "split", "settings")}
        line |= {"seeds": text(len(members)), "failed": text(len(members) - len(ended))}
        line |= {"perfect": text(sum(is_perfect(row) for row in ended))}
        line |= {name: spread([float(row[name]) for row in ended if row[name]]) for name in SUMMED_UP}
        table.append(line)
    return table


def _without_unknown(row: Row) -> Row:
    """Leave out when a network became perfect if it was measured at the end alone."""
    once = int(row["measure_every"]) >= int(row["epochs"])
    return row | dict.fromkeys(BECAME_PERFECT, "") if once else row


def is_perfect(row: Row) -> bool:
    """Say whether every example of both halves was answered exactly after the last epoch.

    Raises:
        ValueError: A share is no number.
    """
    return float(row["train_exact"]) == float(row["test_exact"]) == 1


def spread(values: Sequence[float]) -> str:
    """Write the median of values, and in brackets the lowest and the highest if they differ."""
    if not values:
        return ""
    lowest, highest = (f"{value:.4g}" for value in (min(values), max(values)))
    median = f"{statistics.median(values):.4g}"
    return median if lowest == highest else f"{median} ({lowest} to {highest})"


def save_summary(study: Study, rows: Mapping[str, Row]) -> None:
    """Write summary.csv, if there is anything to sum up."""
    if table := summarise(asked_for(study, rows)):
        with replacing(study.summary) as path:
            write_rows(path, table)
