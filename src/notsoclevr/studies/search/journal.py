"""What a search remembers: the trials that Optuna proposed and what came of them, in a journal of Optuna.

A journal is a file that is only ever added to. Whatever a kill interrupts, what had ended before it is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from notsoclevr.errors import StudyError, describe
from notsoclevr.studies.search.space import DIGITS, Setting, Space, State

Measured = dict[str, str]
TrainingId = tuple[int, int, str]  # trial, seed, split
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
KEY = "space"  # of the journal: which search it is of
REMEDY = "remove the file to have it made anew from trials.csv"


class Journal:
    """The journal of a search; it is made if there is none.

    Args:
        space: What is searched.

    Raises:
        StudyError: The file was cut, is no journal, or is that of another search.
    """

    def __init__(self, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._study = _open(space)
        self.outcomes: dict[TrainingId, Measured] = {
            _training(name): outcome for name, outcome in self._study.user_attrs.items() if name != KEY
        }

    def keep(self, training: TrainingId, outcome: Measured) -> None:
        """Write down what came of a training."""
        self.outcomes[training] = outcome
        self._study.set_user_attr(json.dumps(training), outcome)

    def state(self, number: int) -> State | None:
        """Return how a trial ended; None if it has not."""
        trials = self._study.get_trials(deepcopy=False)
        return STATES.get(trials[number].state) if number < len(trials) else None

    def propose(self, number: int) -> optuna.Trial:
        """Return the trial of this number that has not ended: the one that is there, or the next one.

        What is proposed depends on the trials that ended and on the number, so that an interruption changes nothing; of
        a trial that is there, see `values`.
        """
        self._study.sampler = TPESampler(seed=self._space.seed + number, n_startup_trials=self._space.random)
        trials = self._study.get_trials(deepcopy=False)
        return optuna.Trial(self._study, trials[number]._trial_id) if number < len(trials) else self._study.ask()

    def values(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return the settings that a trial has, those that are not known yet being sampled.

        A kill may have left a trial with some of its settings. Those that are drawn one by one, as in a random trial,
        are drawn again in vain, so that the others get the random numbers that they would have had.
        """
        known = self._study.get_trials(deepcopy=False)[trial.number]
        for name, distribution in known.distributions.items():
            if name not in trial.relative_params:
                self._study.sampler.sample_independent(self._study, known, name, distribution)
        return {setting.name: _suggest(trial, setting) for setting in self._space.settings_of(trial.number)}

    def known_values(self, number: int) -> dict[str, Any]:
        """Return the settings of a trial that has ended."""
        params = self._study.get_trials(deepcopy=False)[number].params
        return {setting.name: _rounded(params[setting.name], setting) for setting in self._space.settings_of(number)}

    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Keep what a training of a trial gave, and return whether the trial is to be pruned.

        Pruned is a trial that is worse at this step than half of those that finished in earlier rounds.

        Args:
            trial: The trial.
            step: Which training of it has ended.
            value: What it gave.
        """
        if step not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def tell(self, trial: optuna.Trial, state: State, score: float | None) -> None:
        """End a trial, with its score if it is complete."""
        self._study.tell(trial, score, next(each for each, name in STATES.items() if name == state))


def _suggest(trial: optuna.Trial, setting: Setting) -> Any:
    if setting.choices:
        return trial.suggest_categorical(setting.name, setting.choices)
    if isinstance(setting.low, int) and isinstance(setting.high, int):
        return trial.suggest_int(setting.name, setting.low, setting.high, log=setting.log)
    return _rounded(trial.suggest_float(setting.name, setting.low, setting.high, log=setting.log), setting)


def _rounded(value: Any, setting: Setting) -> Any:
    """Return a number of a range as a person would write it into params.yaml, without leaving the range."""
    if setting.choices or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), setting.low), setting.high)


def _training(name: str) -> TrainingId:
    number, seed, split = json.loads(name)
    return number, seed, split


def _open(space: Space) -> optuna.Study:
    path = space.journal_file
    if path.exists():
        _check_lines(space)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        studies = storage.get_all_studies()
        attributes: Mapping[str, Any] = studies[0].user_attrs if studies else {}
    except OSError:
        raise
    except Exception as error:  # whatever Optuna says of lines that are not its own
        raise StudyError(f"{path}: is no journal of Optuna: {describe(error)}; {REMEDY}") from None
    if [study.study_name for study in studies] not in ([], [space.model]) or attributes.get(
        KEY, space.key
    ) != space.key:
        raise StudyError(
            f"{path}: is of another search: the model, its space or params.yaml was another; take that back, or remove "
            f"journal.log and trials.csv to begin anew"
        )
    study = optuna.create_study(
        storage=storage,
        study_name=space.model,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
        load_if_exists=True,
    )
    if KEY not in attributes:
        study.set_user_attr(KEY, space.key)
    return study


def _check_lines(space: Space) -> None:
    """Check that the last line of a journal is whole: Optuna would append to half a line."""
    path = space.journal_file
    try:
        lines = path.read_text("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is no journal of Optuna; {REMEDY}") from None
    for number, line in enumerate(lines, start=1):
        try:
            whole = line.endswith("\n") and isinstance(json.loads(line), dict)
        except ValueError:
            whole = False
        if not whole:
            raise StudyError(f"{path}, line {number}: was cut; remove the line to go on from what stands before it")
