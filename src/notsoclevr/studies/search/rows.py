"""The rows of a search: trials.csv has one a configuration and seed, and the recipe follows from them.

First come the trials, all with the seed of the search, then further seeds: of trials that were exact, and of the best.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import yaml

from notsoclevr.config import configure, read_yaml
from notsoclevr.cost import GIGA
from notsoclevr.errors import StudyError
from notsoclevr.files import atomic_write, write_rows
from notsoclevr.recipes import Recipe
from notsoclevr.studies.rows import REMEDY, load_csv, number_problem
from notsoclevr.studies.search.space import Space, State
from notsoclevr.studies.spec import text

MEASURED = {"train_exact": "train_exact", "test_exact": "validation_exact", "test_loss": "validation_loss"}
HEAD = ("trial", "seed", "state", "error", "score", "gflop", "epochs")
Scores = Mapping[tuple[int, int], float | None]  # by trial and seed; None where a row did not finish
EQUALS = 1e-6  # of the score, what decides among equals: less than any two mean shares differ by


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A configuration, trained with one seed.

    Args:
        trial: Number of the trial that proposed it.
        seed: The seed of the trainings.
        state: "complete", "pruned" before its last training, or "failed".
        error: Why there is no more, in one line.
        values: What was sampled.
        recipe: The recipe that this makes; None if no epoch of it is affordable.
        operations: What a training costs.
        outcomes: By split, what was measured, as text.
    """

    trial: int
    seed: int
    state: State
    error: str
    values: Mapping[str, Any]
    recipe: Recipe | None
    operations: int
    outcomes: Mapping[str, Mapping[str, str]]

    @property
    def exact(self) -> bool:
        """Whether every validation example of every split was answered exactly."""
        return self.state == "complete" and all(float(each["test_exact"]) == 1 for each in self.outcomes.values())

    def score(self, space: Space) -> float | None:
        """Compute what it is worth with its seed, see docs/protocol.md; None if it did not finish."""
        if self.state != "complete":
            return None
        exact = [float(outcome["test_exact"]) for outcome in self.outcomes.values()]
        loss = float(self.outcomes[next(iter(space.splits))]["test_loss"])
        excess = loss / (1 + loss) if isfinite(loss) else 1
        return sum(exact) / len(exact) - EQUALS * (self.operations / space.ceiling if self.exact else excess)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The recipe that a search found.

    Args:
        row: Its trial.
        lowest: Its lowest score over all seeds that it was trained with.
    """

    row: TrialRow
    lowest: float


def scores_of(space: Space, rows: Iterable[TrialRow]) -> dict[tuple[int, int], float | None]:
    """Compute the score of each row, by trial and seed."""
    return {(row.trial, row.seed): row.score(space) for row in rows}


def trial_scores(space: Space, scores: Scores) -> dict[int, float]:
    """Compute the one number that decides, of each trial that finished.

    It counts the seeds with which all was exact, and adds what the trial is worth with the last seed.

    Args:
        space: What is searched.
        scores: The scores of all rows; a trial has more than one for as long as all was exact.
    """
    worth: dict[int, float] = {}
    for place, each in enumerate([space.seed, *space.more_seeds]):
        for (trial, seed), score in scores.items():
            if seed == each and (place or score is not None):
                worth[trial] = place + (-EQUALS if score is None else score)  # failed: as if nothing were exact
    return worth


def best(space: Space, scores: Scores) -> list[int]:
    """Return the trials of the highest score, as many as are trained again; of equals, the earlier."""
    worth = trial_scores(space, scores)
    return sorted(worth, key=lambda trial: (-worth[trial], trial))[: space.best]


def lowest_score(space: Space, scores: Scores, trial: int) -> float:
    """Return the lowest score of a trial over all seeds that it was trained with.

    Args:
        space: What is searched.
        scores: The scores of all rows. One of the last seeds with which it has failed does not count: it is trained
            again.
        trial: One that finished with its first seed.
    """
    found = {seed: score for (number, seed), score in scores.items() if number == trial}
    return min(
        -EQUALS if score is None else score
        for seed, score in found.items()
        if score is not None or seed not in space.seeds
    )


def leader(space: Space, scores: Scores) -> tuple[int, float] | None:
    """Return the one of the best trials whose lowest score over all its seeds is highest; of equals, the earlier.

    Args:
        space: What is searched.
        scores: The scores of all rows. A trial that has not finished with all of the last seeds does not count.

    Returns:
        The trial and that score; None if no trial counts.
    """
    lowest = {
        trial: lowest_score(space, scores, trial)
        for trial in best(space, scores)
        if all(scores.get((trial, seed)) is not None for seed in space.seeds)
    }
    return max(lowest.items(), key=lambda each: (each[1], -each[0]), default=None)


def may_be_best(space: Space, scores: Scores, before: int, operations: int) -> bool:
    """Return whether a trial would be one of the best so far if it were exact with all the seeds that a trial may get.

    Args:
        space: What is searched.
        scores: The scores of all rows.
        before: Number of the first trial of its round, up to which the others count.
        operations: What a training of it costs.
    """
    earlier = {key: score for key, score in scores.items() if key[0] < before}
    worth = sorted(trial_scores(space, earlier).values(), reverse=True)[: space.best]
    most = len(space.more_seeds) + 1 - EQUALS * operations / space.ceiling
    return len(worth) < space.best or most > worth[-1]


def choose(space: Space, rows: Sequence[TrialRow]) -> Chosen:
    """Return the recipe that docs/protocol.md chooses: that of the `leader`.

    Args:
        space: What is searched.
        rows: All rows.

    Raises:
        StudyError: No trial finished, or every one of the best failed with some seed.
    """
    scores = scores_of(space, rows)
    if not best(space, scores):
        trials = [row for row in rows if row.seed == space.seed]
        why = next((f"; the first that failed: {row.error}" for row in trials if row.error), "")
        raise StudyError(f"{space.trials_file}: none of {len(trials)} trials finished{why}", exit_status=1)
    found = leader(space, scores)
    if not found:
        errors = next((each.error for each in rows if each.error and each.seed != space.seed), "not trained yet")
        raise StudyError(f"{space.trials_file}: each of the best trials failed with some seed: {errors}", exit_status=1)
    trial, lowest = found
    return Chosen(row=next(row for row in rows if row.trial == trial), lowest=lowest)


def texts_of(space: Space, values: Mapping[str, Any]) -> dict[str, str]:
    """Return what was sampled as trials.csv has it; a setting that a trial has not is empty."""
    return {setting.name: text(values.get(setting.name, "")) for setting in space.settings}


def cost_of(recipe: Recipe | None, operations: int) -> dict[str, str]:
    """Return what a training costs, as trials.csv has it."""
    return {"gflop": f"{operations / GIGA:.1f}", "epochs": text(recipe.epochs) if recipe else ""}


def to_line(space: Space, row: TrialRow) -> dict[str, str]:
    """Return a row as trials.csv has it."""
    score = row.score(space)
    line = {
        **{name: text(getattr(row, name)) for name in ("trial", "seed", "state", "error")},
        "score": "" if score is None else f"{score:.10f}",
        **cost_of(row.recipe, row.operations),
        **texts_of(space, row.values),
    }
    for split in space.splits:
        outcome = row.outcomes.get(split, {})
        line |= {f"{split}_{shown}": outcome.get(name, "") for name, shown in MEASURED.items()}
    return line


def save_lines(space: Space, lines: Mapping[tuple[int, int], Mapping[str, str]]) -> None:
    """Write trials.csv: the trials with their first seed, then those with further seeds."""
    ordered = sorted(lines, key=lambda key: (key[1] != space.seed, key))
    with atomic_write(space.trials_file) as path:
        write_rows(path, [dict(lines[key]) for key in ordered])


def load_lines(space: Space) -> dict[tuple[int, int], dict[str, str]]:
    """Load trials.csv by trial and seed, as text; nothing if there is no file.

    Raises:
        StudyError: The file was cut, has other columns than this search, a row twice, or one that no search writes.
    """
    path = space.trials_file
    if not path.exists():
        return {}
    header, lines = load_csv(path)
    names = [setting.name for setting in space.settings]
    shown = [*MEASURED.values()]
    measured = [f"{split}_{name}" for split in space.splits for name in shown]
    if header != [*HEAD, *names, *measured]:
        raise StudyError(
            f"{path}: has other columns than its space; take it and the space back from git, or remove it to begin anew"
        )
    loaded: dict[tuple[int, int], dict[str, str]] = {}
    for number, line in enumerate(lines, start=2):
        trial, seed = line["trial"], line["seed"]
        problem = number_problem(line, ("score", "gflop", *measured))
        if not (trial.isdecimal() and seed.isdecimal()):
            problem = f"trial {trial!r} and seed {seed!r} are not both whole numbers"
        elif (int(trial), int(seed)) in loaded:
            problem = "its trial has a row already"
        elif line["state"] not in get_args(State):
            problem = f"state is {line['state']!r}; it takes {', '.join(get_args(State))}"
        elif not line["gflop"]:
            problem = "gflop is empty"
        elif half := [split for split in space.splits if len({line[f"{split}_{name}"] == "" for name in shown}) > 1]:
            problem = f"{half[0]} has some of {', '.join(shown)}; it takes all or none"
        if problem:
            raise StudyError(f"{path}, line {number}: {problem}; {REMEDY}")
        loaded[int(trial), int(seed)] = line
    return loaded


def tabulate(space: Space, lines: Mapping[tuple[int, int], Mapping[str, str]]) -> pd.DataFrame:
    """Return what each trial answered with its first seed, one row per trial and split.

    Args:
        space: What is searched.
        lines: The lines of its trials.csv, see `load_lines`.

    Returns:
        model, split, trial and seed as text; train_exact, and as test_exact the share of the validation positions, as
        float64, NaN where it was not trained.
    """
    rows = [
        {
            **{"model": space.model, "split": split, "trial": line["trial"], "seed": line["seed"]},
            "train_exact": float(line[f"{split}_train_exact"] or "nan"),
            "test_exact": float(line[f"{split}_validation_exact"] or "nan"),
        }
        for split in space.splits
        for (_, seed), line in lines.items()
        if seed == space.seed
    ]
    return pd.DataFrame(rows, columns=["model", "split", "trial", "seed", "train_exact", "test_exact"])


def outcomes_of(space: Space, line: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what a line of trials.csv says was measured, by split; its error stands for the first that was not."""
    outcomes: dict[str, dict[str, str]] = {}
    for split in space.splits:
        values = {name: line[f"{split}_{shown}"] for name, shown in MEASURED.items()}
        if not values["test_exact"]:
            if line["state"] == "failed":
                outcomes[split] = {"error": line["error"]}
            break
        outcomes[split] = {"error": "", **values}
    return outcomes


def save_recipe(space: Space, chosen: Chosen) -> None:
    """Write recipe.yaml: the section of the model as params.yaml takes it."""
    assert chosen.row.recipe
    about = f"trial {chosen.row.trial}, whose lowest score over all its seeds is {chosen.lowest:.8f}"
    recipe = yaml.safe_dump({"models": {space.model: asdict(chosen.row.recipe)}}, sort_keys=False)
    with atomic_write(space.recipe_file) as path:
        path.write_text(f"# Written by `notsoclevr search`: {about}.\n{recipe}", "utf-8")


def apply_recipe(path: Path, model: str, recipe: Recipe) -> None:
    """Write a recipe into params.yaml, and leave all else there as it is, comments too.

    Raises:
        StudyError: A setting does not stand on a line of its own in the section of the model.
    """
    lines = path.read_text("utf-8").splitlines(keepends=True)
    section = ""
    left = {name: yaml.safe_dump(value).split("\n")[0] for name, value in asdict(recipe).items()}
    for place, line in enumerate(lines):
        if found := re.match(r"(\w+):|  (\w+):", line):
            section = f"{section.partition('.')[0]}.{found[2]}" if found[2] else found[1]
        elif section == f"models.{model}" and (found := re.match(r"    (\w+):[^#\n]*?( *#.*)?$", line)):
            name, comment = found.groups()
            if name in left:
                lines[place] = f"    {name}: {left.pop(name)}{comment or ''}\n"
    content = "".join(lines)
    if left:
        raise StudyError(
            f"{path}: models.{model}.{next(iter(left))} does not stand on a line of its own; write it there"
        )
    with atomic_write(path) as temporary:
        temporary.write_text(content, "utf-8")
        if configure(read_yaml(temporary), {}, path).models[model] != recipe:
            raise StudyError(f"{path}: models.{model} does not take the recipe line by line; copy it there by hand")
