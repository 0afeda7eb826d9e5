"""The engine of a search: Optuna proposes, the workers of the studies train, their rows go into trials.csv.

The driver alone, which is this process, writes files and talks to MLflow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client
from tqdm import tqdm

from notsoclevr import progress
from notsoclevr.cost import GIGA, training_operations
from notsoclevr.errors import StudyError
from notsoclevr.models import Model
from notsoclevr.recipes import Recipe
from notsoclevr.studies.cluster import Pending, alone, local_cluster, remote_cluster
from notsoclevr.studies.engine import LOST, row_of
from notsoclevr.studies.log import StudyLog, open_log
from notsoclevr.studies.search.journal import Journal, Measured
from notsoclevr.studies.search.log import log_row
from notsoclevr.studies.search.rows import (
    MEASURED,
    Chosen,
    TrialRow,
    best,
    choose,
    cost_of,
    leader,
    load_lines,
    lowest_score,
    may_be_best,
    outcomes_of,
    save_lines,
    save_recipe,
    scores_of,
    texts_of,
    to_line,
    trial_scores,
)
from notsoclevr.studies.search.space import FILE, OPERATIONS, PENALTY, Space, State, affordable_epochs, settle
from notsoclevr.studies.spec import Training
from notsoclevr.studies.worker import run_training
from notsoclevr.training import import_tensorflow

if TYPE_CHECKING:
    import optuna

KEPT = (*MEASURED, "error", "train_seconds")
AT_ONCE = 3  # of the last seeds: more would be trained in vain where one of them shows that a trial is behind
TOO_DEAR = "one epoch costs more than the ceiling"


def run_search(root: Path, space: Space, *, workers: int, scheduler: str | None) -> Chosen:
    """Search for the recipe of a model, and write trials.csv and recipe.yaml.

    It may be stopped at any time. The trainings that are under way then are lost, and run when it is run again.

    Args:
        root: The repository.
        space: What is searched.
        workers: Worker processes to start on this machine, at most as many as trainings can be under way.
        scheduler: Address of a Dask scheduler that has workers instead.

    Returns:
        The recipe.

    Raises:
        StudyError: A file of the search is not as it was written, another process works on it, no trial finished, or
            the scheduler or all workers were lost. What ended is kept.
    """
    space.folder.mkdir(parents=True, exist_ok=True)
    with alone(space.folder, "running this search") as stop, ExitStack() as stack:
        lines = load_lines(space)
        journal = Journal(space)
        import_tensorflow()  # to count operations
        about = f"Search for the recipe of {space.model}, docs/protocol.md: {space.trials} trials."
        files = (space.folder.parent / FILE, space.trials_file, space.recipe_file)
        log = stack.enter_context(open_log(root, f"search-{space.model}", about, "search", files))
        bar = stack.enter_context(progress.bar(f"search {space.model}", space.trials))

        @cache
        def client() -> Client:  # from the first training on, of which there may be none
            most = max(space.together, space.best, AT_ONCE)  # trainings that are ever under way together
            cluster = remote_cluster(scheduler) if scheduler else local_cluster(min(workers, most))
            return stack.enter_context(cluster)

        search = _Search(space=space, journal=journal, lines=lines, log=log, bar=bar, client=client, stop=stop)
        bar.write(search.budget(), file=sys.stderr)
        search.try_all()
        search.train_best_again()
        chosen = choose(space, search.rows)
        save_recipe(space, chosen)
        return chosen


@dataclass(slots=True, kw_only=True)
class _Run:
    """A configuration that is being trained with one seed.

    Args:
        number: The number of its trial.
        seed: The seed of the trainings.
        values: What was sampled.
        recipe: What this makes; None if no epoch of it is affordable.
        operations: What a training costs, or an epoch if that is too much already.
        trial: Optuna's trial; None where it has ended, and where another seed than that of the search is trained.
        state: How it ended; None as long as it has not.
        trained: Something of it was trained by this process.
    """

    number: int
    seed: int
    values: Mapping[str, Any]
    recipe: Recipe | None
    operations: int
    trial: optuna.Trial | None = None
    state: State | None = None
    trained: bool = False


@cache
def _operations(entry: Model, recipe: Recipe, examples: int) -> int:
    return training_operations(entry.build(recipe), examples)


@dataclass(slots=True, kw_only=True)
class _Search:
    """A search under way; what `run_search` has opened for it are its arguments."""

    space: Space
    journal: Journal
    lines: dict[tuple[int, int], dict[str, str]]
    log: StudyLog
    bar: tqdm[Any]
    client: Callable[[], Client]
    stop: Callable[[], None]
    rows: list[TrialRow] = field(default_factory=list)

    def budget(self) -> str:
        """Return how long trainings may be, in one line: who searches a small network sees that it gets many epochs."""
        epoch = self._epoch_operations({})
        shares = next(setting for setting in self.space.settings if setting.name == OPERATIONS)
        ends = [affordable_epochs(self.space, share, epoch) for share in shares.ends]
        return (
            f"search {self.space.model}: an epoch of the recipe in params.yaml costs {epoch / GIGA:.3g} GFLOP; "
            f"a training of it may have {ends[0]:,} to {ends[1]:,} epochs"
        )

    def try_all(self) -> None:
        """Try as many configurations as the space says, a round of them at a time."""
        for first in range(0, self.space.trials, self.space.together):
            numbers = range(first, min(first + self.space.together, self.space.trials))
            runs = [self._trial(number) for number in numbers]  # all of a round are proposed before any is trained
            self._finish(runs)
            self._add_seeds(runs)
            scores = trial_scores(self.space, self._scores)
            for run in runs:
                if run.trial:
                    assert run.state
                    self.journal.tell(run.trial, run.state, scores.get(run.number))

    def _add_seeds(self, runs: Sequence[_Run]) -> None:
        """Train the trials of a round with more seeds, each for as long as all that it answers is exact.

        A trial that is too expensive to be among the best even then gets no more, except seeds that have a row.
        """
        first, scores = runs[0].number, self._scores
        for before, seed in pairwise([self.space.seed, *self.space.more_seeds]):
            exact = {row.trial for row in self.rows if row.exact and row.seed == before}
            runs = [
                replace(run, seed=seed, trial=None, state=None, trained=False)
                for run in runs
                if run.number in exact
                and ((run.number, seed) in self.lines or may_be_best(self.space, scores, first, run.operations))
            ]
            self._finish_more(runs)

    def train_best_again(self) -> None:
        """Train the best trials with the last seeds, each for as long as it can still be chosen.

        All have the first of these seeds. What a trial scored so far bounds its lowest score, so those with the highest
        bound go first, and what is behind is not trained further.
        """
        first, *rest = self.space.seeds
        candidates = best(self.space, self._scores)
        self._train_again(candidates, [first])
        scores = self._scores
        bounds = {trial: self._bound(trial) for trial in candidates if scores[trial, first] is not None}
        for trial in sorted(bounds, key=bounds.__getitem__, reverse=True):
            for start in range(0, len(rest), AT_ONCE):
                ahead = leader(self.space, self._scores)
                if ahead is None or self._bound(trial) > (ahead[1], -ahead[0]):
                    self._train_again([trial], rest[start : start + AT_ONCE])

    @property
    def _scores(self) -> dict[tuple[int, int], float | None]:
        return scores_of(self.space, self.rows)

    def _bound(self, trial: int) -> tuple[float, int]:
        """Return what a trial has to show against others: its lowest score so far, and that it is earlier."""
        return lowest_score(self.space, self._scores, trial), -trial

    def _train_again(self, trials: Sequence[int], seeds: Sequence[int]) -> None:
        rows = {row.trial: row for row in self.rows}
        self._finish_more(
            [
                _Run(number=row.trial, seed=seed, values=row.values, recipe=row.recipe, operations=row.operations)
                for row in map(rows.__getitem__, trials)
                for seed in seeds
            ]
        )

    def _finish_more(self, runs: Sequence[_Run]) -> None:
        """Finish runs with further seeds, which lengthen the bar."""
        for run in runs:
            self._recall(run)
        self.bar.total = (self.bar.total or 0) + len(runs)
        self._finish(runs)

    def _trial(self, number: int) -> _Run:
        """Return the trial of this number, proposed if it has not been yet."""
        trial = None if self.journal.state(number) else self.journal.propose(number)
        values = self.journal.values(trial) if trial else self.journal.known_values(number)
        epoch = self._epoch_operations(values)
        recipe = settle(self.space, values, epoch)
        run = _Run(
            number=number,
            seed=self.space.seed,
            values=values,
            recipe=recipe,
            operations=epoch * (recipe.epochs if recipe else 1),
            trial=trial,
            state=self.journal.state(number),
        )
        self._recall(run)
        return run

    def _epoch_operations(self, values: Mapping[str, Any]) -> int:
        """Return what an epoch on the largest training set costs; of a recipe, only the shape of the network counts."""
        how_to_train = {each.name for each in fields(Recipe)} | {OPERATIONS, PENALTY}
        shape = {name: value for name, value in values.items() if name not in how_to_train}
        return _operations(self.space.entry, replace(self.space.base, **shape), self.space.examples)

    def _recall(self, run: _Run) -> None:
        """Take from trials.csv what the journal does not know of a run: it is another clone's, or has been lost."""
        line = self.lines.get((run.number, run.seed))
        if line is None:
            return
        proposed = texts_of(self.space, run.values) | cost_of(run.recipe, run.operations)
        for name, value in proposed.items():
            if line[name] != value:
                raise StudyError(
                    f"{self.space.trials_file}: {name} of trial {run.number} is {line[name]} and this search proposes "
                    f"{value}; take the file and its space back from git, or remove it to begin anew"
                )
        for split, measured in outcomes_of(self.space, line).items():
            if (run.number, run.seed, split) not in self.journal.outcomes:
                self._keep(run, split, measured)

    def _keep(self, run: _Run, split: str, measured: Measured) -> None:
        """Write what came of a training into the journal.

        One of the best that failed with one of the last seeds is remembered in memory alone, so that it is run again
        the next time. An earlier failure is final: what was proposed later rests on it.
        """
        if not measured["error"] or run.seed not in self.space.seeds:
            self.journal.keep((run.number, run.seed, split), measured)
        elif run.trained:
            self.journal.outcomes[run.number, run.seed, split] = measured

    def _finish(self, runs: Sequence[_Run]) -> None:
        """Train what these runs lack, and write and log the row of each as it ends."""
        pending = Pending(self.stop)
        trainings: dict[Any, tuple[_Run, str, Training, Any]] = {}

        def advance(run: _Run) -> None:
            split = self._next(run)
            if split is None:
                self._end(run)
                return
            assert run.recipe
            training = self.space.training(run.recipe, run.seed, split)
            future = self.client().submit(run_training, training, pure=False)
            trainings[future.key] = run, split, training, future  # a future that nobody holds is given up
            pending.add(future)

        for run in runs:
            self.stop()
            advance(run)
        for future in pending:
            run, split, training, _ = trainings.pop(future.key)
            kept = f"{self.space.folder}: {LOST}; {len(self.lines)} rows are kept, run the search again to go on"
            row = row_of(future, training, kept)
            run.trained = True
            self._keep(run, split, {name: row[name] for name in KEPT})
            advance(run)

    def _next(self, run: _Run) -> str | None:
        """Return the split that a run is to be trained on next; None if it has ended: `run.state` then says how."""
        if run.state:
            return None
        if run.recipe is None:
            run.state = "pruned"
            return None
        line = self.lines.get((run.number, run.seed))
        shares: list[float] = []
        for step, split in enumerate(self.space.splits):
            measured = self.journal.outcomes.get((run.number, run.seed, split))
            if measured is None:
                return split
            if measured["error"]:
                run.state = "failed"
                return None
            shares.append(float(measured["test_exact"]))
            last = step == len(self.space.splits) - 1
            if run.trial and not last:
                hopeless = self.journal.report(run.trial, step, sum(shares) / len(shares))
                # its row has the last word: after an interruption the journal may know more than when it was decided
                pruned = line["state"] == "pruned" if line else hopeless
                if pruned:
                    run.state = "pruned"
                    return None
        run.state = "complete"
        return None

    def _end(self, run: _Run) -> None:
        """Write, log and show the row of a run that has ended."""
        found = {split: self.journal.outcomes.get((run.number, run.seed, split)) for split in self.space.splits}
        outcomes = {split: measured for split, measured in found.items() if measured}
        error = next((measured["error"] for measured in outcomes.values() if measured["error"]), "")
        assert run.state
        row = TrialRow(
            trial=run.number,
            seed=run.seed,
            state=run.state,
            error=error or ("" if run.recipe else TOO_DEAR),
            values=run.values,
            recipe=run.recipe,
            operations=run.operations,
            outcomes=outcomes,
        )
        news = run.trained or (row.trial, row.seed) not in self.lines
        self.rows.append(row)
        line = self.lines[row.trial, row.seed] = to_line(self.space, row)
        save_lines(self.space, self.lines)
        log_row(self.log, self.space, row)
        said = row.error or (f"score {line['score']}" if line["score"] else row.state)
        self.bar.update()
        if news:
            head = f"search {self.space.model} {len(self.rows)}/{self.bar.total}"
            progress.say(self.bar, head, f"trial {row.trial} seed {row.seed}: {said}")
