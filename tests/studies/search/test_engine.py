"""The engine of a search: on toys that train nothing, and once for real, on 220 positions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from filelock import FileLock
from mlflow import MlflowClient

from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.errors import StudyError
from notsoclevr.studies.search.journal import Journal
from notsoclevr.studies.search.rows import Chosen
from notsoclevr.studies.search.space import Space
from notsoclevr.studies.spec import Training

from ...conftest import run_command, store_uri
from .toy import MODEL, SPACE, Workers, good, lines, names, places, space_of, write_space

CREATE_TRIAL = 4  # in a journal of Optuna


def test_a_search_ends_with_a_recipe_and_never_sees_a_test_position(
    home: Path, run: Callable[..., Chosen], full: Dataset
) -> None:
    workers, space = Workers(), space_of(home)
    chosen = run(workers)
    rows = lines(space)
    assert [row["trial"] for row in rows if row["seed"] == "1000"] == [f"{number}" for number in range(9)]
    assert len(rows) == 9 + 2 + 2 + 1  # the better of two has both other seeds, and the other one is behind
    (exact,) = (row["trial"] for row in rows[:9] if row["quadrant_validation_exact"] == "1.0")
    assert [row["seed"] for row in rows if row["trial"] == exact] == ["1000", "1001", "1002", "2001", "2002"]
    written = yaml.safe_load(space.recipe_file.read_text("utf-8"))["models"][MODEL]
    assert chosen.row.recipe and written == asdict(chosen.row.recipe)
    assert {each.experiment.seed for each in workers.done} == {1000, 1001, 1002, 2001, 2002}
    config = load(home / "params.yaml")
    splits = {each.experiment.split for each in workers.done}
    hidden = {split: places(config.splits[name](full).test) for name, split in space.splits.items()}
    assert splits == set(hidden)
    for split in splits:
        parts = split(full)
        assert not (places(parts.train) | places(parts.test)) & hidden[split]
    for row in rows:
        assert float(row["gflop"]) <= SPACE["ceiling"]["regression"]

    again = Workers()
    before = space.trials_file.read_bytes()
    assert run(again) == chosen
    assert again.done == []
    assert space.trials_file.read_bytes() == before


def test_the_epochs_fill_a_share_of_the_ceiling(home: Path, run: Callable[..., Chosen]) -> None:
    run(Workers(), "pooled_regressor")
    for row in lines(space_of(home, "pooled_regressor")):
        share = float(row["gflop"]) / SPACE["ceiling"]["regression"]
        epoch = share / int(row["epochs"])
        assert share <= float(row["operations"]) + 1e-4 or row["epochs"] == "1"
        assert share + epoch > float(row["operations"])


def test_a_trial_below_the_median_is_not_trained_on_the_second_split(searched: Space) -> None:
    rows = [row for row in lines(searched) if row["seed"] == "1000"]
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    for number, row in enumerate(rows):
        earlier = [other for other in rows[: number - number % 3] if other["state"] == "complete"]
        median = np.median([float(other["uniform_validation_exact"]) for other in earlier]) if earlier else -1
        assert (row["state"] == "pruned") == (float(row["uniform_validation_exact"]) < median)
        assert (row["quadrant_validation_exact"] == "") == (row["state"] == "pruned") == (row["score"] == "")


def test_neither_order_nor_interruptions_nor_clones_change_what_is_tried(
    home: Path, run: Callable[..., Chosen]
) -> None:
    """Each training is kept once, wherever the search is interrupted."""
    space, first = space_of(home), Workers()
    run(first)
    expected = space.trials_file.read_bytes()

    space.trials_file.unlink()  # the journal knows it all
    run(nothing := Workers())
    assert (nothing.done, space.trials_file.read_bytes()) == ([], expected)
    space.journal_file.unlink()  # so does the table, as in another clone
    run(nothing)
    assert (nothing.done, space.trials_file.read_bytes()) == ([], expected)

    for path in (space.trials_file, space.journal_file):
        path.unlink()
    run(Workers(backwards=True))
    assert space.trials_file.read_bytes() == expected

    for path in (space.trials_file, space.journal_file):
        path.unlink()
    done: list[Training] = []
    for lasts in (1, 2, 3, 4, 5, 1, 100):
        workers = Workers(lasts=lasts)
        with suppress(KeyboardInterrupt):
            run(workers)
        done += workers.done
    assert space.trials_file.read_bytes() == expected
    assert set(names(done)) == set(names(first.done))  # what was under way when it was interrupted is there twice
    kept = re.findall(r'"(\[\d+, \d+, .*?\])":', space.journal_file.read_text("utf-8"))
    assert len(kept) == len(set(kept)) == len(first.done)


def test_a_kill_between_the_ends_of_two_trials_changes_nothing(
    home: Path, run: Callable[..., Chosen], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_of(home)
    run(Workers())
    expected = space.trials_file.read_bytes()
    for path in (space.trials_file, space.journal_file):
        path.unlink()
    told: list[int] = []
    tell = Journal.tell

    def tell_one(journal: Journal, trial: Any, *end: Any) -> None:
        if len(told) > runs:
            raise KeyboardInterrupt
        told.append(trial.number)
        tell(journal, trial, *end)

    monkeypatch.setattr(Journal, "tell", tell_one)
    for runs in range(9):  # noqa: B007
        with suppress(KeyboardInterrupt):
            run(Workers())
    assert told == [*range(9)]
    assert space.trials_file.read_bytes() == expected


@pytest.mark.parametrize("number", [0, 8])
def test_a_kill_between_the_settings_of_a_trial_changes_none(home: Path, searched: Space, number: int) -> None:
    expected = Journal(searched).known_values(number)
    journal = searched.journal_file.read_text("utf-8").splitlines(keepends=True)
    asked = [at for at, line in enumerate(journal) if json.loads(line)["op_code"] == CREATE_TRIAL]
    for settings in (1, 3, len(expected) - 1):
        searched.journal_file.write_text("".join(journal[: asked[number] + 1 + settings]), "utf-8")
        again = Journal(searched)
        assert again.values(again.propose(number)) == expected


def test_more_trials_go_on_from_those_that_are_there(home: Path, searched: Space, run: Callable[..., Chosen]) -> None:
    before = lines(searched)
    write_space(home, trials=12)
    workers = Workers()
    run(workers)
    after = lines(space_of(home))
    assert len([row for row in after if row["seed"] == "1000"]) == 12
    assert all(row in after for row in before)
    assert 3 <= len([each for each in workers.done if each.experiment.seed == 1000]) <= 6


def test_what_fails_is_a_row_and_the_rest_goes_on(home: Path, run: Callable[..., Chosen]) -> None:
    def fails(training: Training) -> dict[str, Any]:
        if training.experiment.recipe.optimizer == "adam" and training.experiment.seed == 1000:
            raise RuntimeError("no luck")
        return good(training)

    chosen = run(Workers(fails))
    rows = lines(space_of(home))
    assert {row["error"] for row in rows if row["state"] == "failed"} == {"no luck"}
    assert chosen.row.recipe and chosen.row.recipe.optimizer == "adamw"


def test_no_trial_that_finished_is_one_line(
    home: Path, run: Callable[..., Chosen], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(training: Training) -> dict[str, Any]:
        raise RuntimeError("no luck")

    with pytest.raises(StudyError, match=r"none of 9 trials finished; the first that failed: no luck") as error:
        run(Workers(fails))
    assert error.value.exit_status == 1
    assert not space_of(home).recipe_file.exists()
    write_space(home, ceiling={"regression": 0.001})
    for path in (space_of(home).trials_file, space_of(home).journal_file):
        path.unlink()
    with pytest.raises(StudyError, match=r"none of 9 trials finished; .*: one epoch costs more than the ceiling"):
        run(workers := Workers())
    assert workers.done == []
    assert "trial 8 seed 1000: one epoch costs more than the ceiling" in capsys.readouterr().err


def test_one_of_the_best_that_fails_with_another_seed_is_not_chosen_and_run_again(
    home: Path, run: Callable[..., Chosen]
) -> None:
    best_rate = run(Workers()).row.recipe
    for path in (space_of(home).trials_file, space_of(home).journal_file):
        path.unlink()

    def fails(training: Training) -> dict[str, Any]:
        if training.experiment.seed == 1002 and replace(training.experiment.recipe) == best_rate:
            raise RuntimeError("no luck")
        return good(training)

    assert run(Workers(fails)).row.recipe != best_rate
    workers = Workers()
    assert run(workers).row.recipe == best_rate
    assert [each.experiment.seed for each in workers.done] == [1002, 1002]


def test_a_training_with_one_more_seed_that_fails_is_kept(home: Path, run: Callable[..., Chosen]) -> None:
    """What is tried next rests on it."""

    def fails(training: Training) -> dict[str, Any]:
        if training.experiment.seed == home_space.more_seeds[0]:
            raise RuntimeError("no luck")
        return good(training)

    home_space = space_of(home)
    chosen = run(Workers(fails)).row.recipe
    rows = lines(home_space)
    assert [row["error"] for row in rows if row["seed"] == f"{home_space.more_seeds[0]}"] == ["no luck"]
    for path in (home_space.trials_file, home_space.journal_file):
        path.unlink()  # either knows it all
        assert run(again := Workers()).row.recipe == chosen
        assert again.done == []
        assert lines(home_space) == rows


@pytest.mark.parametrize("luck", range(4))
def test_a_trial_that_is_behind_is_not_trained_with_the_rest_of_the_seeds(
    home: Path, run: Callable[..., Chosen], luck: int
) -> None:
    """Which is chosen would be the same if it were."""
    write_space(home, best=5, seeds=[*range(1001, 1007)])
    space = space_of(home)

    def exact(rate: float, seed: int) -> float:
        return round(min(1, rate / 0.02) - 0.3 * np.random.default_rng([luck, round(rate * 1e6), seed]).random(), 3)

    def measure(training: Training) -> dict[str, Any]:
        share = exact(training.experiment.recipe.learning_rate, training.experiment.seed)
        return good(training) | {"test_exact": max(0, share)}

    chosen = run(Workers(measure)).row
    rows = lines(space)
    again = Counter(row["trial"] for row in rows if int(row["seed"]) in space.seeds)
    assert len(again) == 5
    assert set(again.values()) <= {1, 4, 6}
    rates = {row["trial"]: float(row["learning_rate"]) for row in rows}
    lowest = {int(trial): min(exact(rates[trial], seed) for seed in (1000, *space.seeds)) for trial in again}
    assert chosen.trial == max(lowest, key=lambda trial: lowest[trial])
    assert again[f"{chosen.trial}"] == 6
    assert 1 in again.values()


@pytest.mark.parametrize(("changes", "most"), [({}, 3), ({"together": 5}, 5), ({"best": 7}, 7)])
def test_no_more_workers_start_than_have_something_to_train(
    home: Path, run: Callable[..., Chosen], changes: dict[str, int], most: int
) -> None:
    write_space(home, **changes)
    for number in (2, 1000):
        space_of(home).journal_file.unlink(missing_ok=True)
        space_of(home).trials_file.unlink(missing_ok=True)
        run(workers := Workers(), number=number)
        assert workers.started == min(number, most)


def test_two_drivers_do_not_run_one_search(home: Path, run: Callable[..., Chosen]) -> None:
    folder = space_of(home).folder
    folder.mkdir()
    with FileLock(folder / ".study.lock"), pytest.raises(StudyError, match="another process is running this search"):
        run(Workers())


def test_the_command_trains_and_logs(home: Path) -> None:
    params = home / "params.yaml"
    text = params.read_text("utf-8").replace("train_share: 0.8", "train_share: 0.06")
    params.write_text(text.replace("boundary: 32", "boundary: 6"), "utf-8")
    write_space(home, trials=1, random=1, together=1, best=1, seeds=[1001], ceiling={"regression": 5.0})
    done = run_command(home, "search", f"studies/search/{MODEL}", "--workers", "1", "--apply")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{MODEL}: trial ")
    assert len([line for line in done.stderr.splitlines() if line.startswith(f"search {MODEL} ")]) == 2
    rows = lines(space_of(home))
    assert len(rows) == 2
    assert all(0 <= float(row["uniform_validation_exact"]) <= 1 for row in rows)
    recipe = yaml.safe_load(space_of(home).recipe_file.read_text("utf-8"))["models"][MODEL]
    assert yaml.safe_load(params.read_text("utf-8"))["models"][MODEL] == recipe
    client = MlflowClient(store_uri(home))
    found = client.search_runs([client.get_experiment_by_name("not-so-clevr-studies").experiment_id])
    (parent,) = [each for each in found if each.data.tags["role"] == "search"]
    children = [each for each in found if each.data.tags["role"] == "trial"]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    assert sorted(each.data.params["seed"] for each in children) == ["1000", "1001"]
    assert parent.info.status == "FINISHED"
