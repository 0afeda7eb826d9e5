"""The search for recipes: on toys that train nothing, and once for real, on 220 positions."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from filelock import FileLock
from mlflow import MlflowClient

from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.errors import StudyError
from notsoclevr.models import MODELS
from notsoclevr.studies import search
from notsoclevr.studies.log import StudyLog
from notsoclevr.studies.rows import make_row
from notsoclevr.studies.search_rows import Chosen, Row, apply_recipe, best, choose, leader, trial_scores
from notsoclevr.studies.search_space import Space, load_space, settle
from notsoclevr.studies.spec import Trial

from ..conftest import ROOT, run_command, store_uri

MODEL = "coordconv_regressor"
SPACE = yaml.safe_load((ROOT / "studies/search/space.yaml").read_text("utf-8"))
SHRUNK = {"trials": 9, "random": 3, "together": 3, "more_seeds": [2001, 2002], "best": 2, "seeds": [1001, 1002]}
Toy = Callable[[Trial], dict[str, Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A root with the real params.yaml, and the real space shrunk."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    write_space(tmp_path, **SHRUNK)
    return tmp_path


def write_space(home: Path, **changes: Any) -> None:
    path = home / "studies/search/space.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(path.read_text("utf-8")) if path.exists() else SPACE
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False), "utf-8")


def space_of(home: Path, model: str = MODEL) -> Space:
    return load_space(home / "studies/search" / model, home)


def good(training: Trial) -> dict[str, Any]:
    """Return what a network measures that likes a high rate, and a low one a little less with odd seeds."""
    recipe, seed = training.experiment.recipe, training.experiment.seed
    exact = min(1.0, recipe.learning_rate / 0.02) - 0.01 * (seed % 2) * (recipe.learning_rate < 0.01)
    return {"train_exact": 1.0, "test_exact": round(max(exact, 0), 3), "test_loss": 0.5, "train_seconds": 1.0}


class Workers:
    """A cluster that measures at once, and is interrupted, or ends its trainings in another order, as a test wants.

    Args:
        measure: What a training measures.
        lasts: Trainings until Ctrl-C.
        backwards: Of three trainings that were begun together, the last one ends first.
    """

    def __init__(self, measure: Toy = good, lasts: int = 10**9, backwards: bool = False) -> None:
        self.done: list[Trial] = []
        self._measure = measure
        self._lasts = lasts
        self._backwards = backwards

    @contextmanager
    def open(self, workers: int) -> Iterator[Workers]:
        yield self

    def submit(self, _: Any, training: Trial, pure: bool) -> Any:
        if len(self.done) >= self._lasts:
            raise KeyboardInterrupt
        self.done.append(training)
        try:
            row = make_row(training, self._measure(training))
        except RuntimeError as error:
            row = make_row(training, {}, error=str(error))
        future = SimpleNamespace(key=f"{len(self.done)}", status="finished", result=lambda: row)
        delay = 0.3 - 0.1 * (len(self.done) % 3)
        end = (lambda put: Timer(delay, put, [future]).start()) if self._backwards else (lambda put: put(future))
        future.add_done_callback = end
        return future


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[..., Chosen]:
    """Return a function that runs a search on such workers, and tells MLflow nothing."""
    monkeypatch.setattr(search, "open_log", lambda root, name, *_: StudyLog(root=root, name=name))

    def run_on(workers: Workers, model: str = MODEL) -> Chosen:
        monkeypatch.setattr(search, "local_cluster", workers.open)
        return search.run_search(home, space_of(home, model), workers=2, scheduler=None)

    return run_on


@pytest.fixture(scope="module")
def _searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that has ended."""
    root = tmp_path_factory.mktemp("searched")
    shutil.copy(ROOT / "params.yaml", root)
    write_space(root, **SHRUNK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "open_log", lambda root, name, *_: StudyLog(root=root, name=name))
        patch.setattr(search, "local_cluster", Workers().open)
        search.run_search(root, space_of(root), workers=2, scheduler=None)
    return root / "studies/search" / MODEL


@pytest.fixture
def searched(home: Path, _searched: Path) -> Space:
    """A search in `home` that has ended."""
    shutil.copytree(_searched, home / "studies/search" / MODEL)
    return space_of(home)


def lines(space: Space) -> list[dict[str, str]]:
    with space.trials_file.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(trainings: Sequence[Trial]) -> list[tuple[Any, ...]]:
    """What each training was, to be counted."""
    return [(each.experiment.seed, each.experiment.split, each.experiment.recipe) for each in trainings]


# the space


@pytest.mark.parametrize("model", MODELS)
def test_all_models_have_one_space_and_one_protocol(model: str) -> None:
    space = space_of(ROOT, model)
    recipe = {"operations", *load(ROOT / "params.yaml").models[model].__dataclass_fields__}
    assert [setting.name for setting in space.settings] == [name for name in SPACE["space"] if name in recipe]
    assert space.trials >= 40
    assert (space.best, len(space.more_seeds), len(space.seeds)) == (5, 4, 5)
    # neither the committed seed nor those of studies/seeds
    assert not {0, *range(30)} & {space.seed, *space.more_seeds, *space.seeds}
    assert space.examples == 2509
    for setting in space.settings:
        shared = SPACE["space"][setting.name]
        if setting.choices:
            assert setting.choices == shared
        else:
            assert (setting.low, setting.high, setting.log) == (shared["low"], shared["high"], shared.get("log", False))


def test_the_protocol_says_what_the_space_says() -> None:
    page = (ROOT / "docs/protocol.md").read_text("utf-8")
    for ceiling in SPACE["ceiling"].values():
        assert f"| {ceiling:,} |" in page
    assert "**Forty trials" in page and SPACE["trials"] == 40
    assert "eight at a time; the first sixteen are random" in page
    assert (SPACE["together"], SPACE["random"]) == (8, 16)
    assert "2001 to 2004" in page and SPACE["more_seeds"] == [2001, 2002, 2003, 2004]
    assert "1001 to 1005" in page and SPACE["seeds"] == [1001, 1002, 1003, 1004, 1005]


@pytest.mark.parametrize(("split", "trains", "validates"), [("uniform", 2007, 502), ("quadrant", 1568, 784)])
def test_validation_lies_inside_the_training_set(full: Dataset, split: str, trains: int, validates: int) -> None:
    validation = space_of(ROOT).splits[split]
    whole, parts = validation.whole(full), validation(full)
    train, test, hidden = (places(each) for each in (parts.train, parts.test, whole.test))
    assert (len(train), len(test)) == (trains, validates)
    assert train | test == places(whole.train)
    assert not train & test
    assert not (train | test) & hidden


def places(dataset: Dataset) -> set[tuple[int, ...]]:
    return {tuple(each) for each in dataset.coordinates.tolist()}


def test_every_row_and_column_of_the_hidden_corner_is_still_seen(full: Dataset) -> None:
    quadrant = space_of(ROOT).splits["quadrant"]
    for axis in (0, 1):
        assert np.isin(np.arange(4, 60), quadrant(full).train.coordinates[:, axis]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rat": [0.1]}, "space.learning_rat is no setting of a search; there are scale_coordinates, "),
        ({"epochs": [3]}, "space.epochs is no setting of a search: they follow from operations"),
        ({"optimizer": []}, "space.optimizer is an empty list; it takes at least one value"),
        ({"optimizer": ["adam", "sgd"]}, "space.optimizer.1 is 'sgd'; input should be 'adam' or 'adamw'"),
        ({"beta_2": [0.9, 0.9]}, "space.beta_2 has 0.9 twice"),
        ({"beta_2": 0.9}, "space.beta_2 is 0.9; it takes a list of values, or a range of low and high"),
        ({"pixel_value": {"low": 3, "high": 2}}, "space.pixel_value.low is 3, above high, which is 2"),
        ({"pixel_value": {"low": 3, "high": 3}}, "space.pixel_value.low is 3 and so is high: the range is empty"),
        ({"weight_decay": {"low": 0, "high": 1.0, "log": True}}, "space.weight_decay.low is 0; with log it takes a"),
        ({"weight_decay": {"low": 0.1}}, "space.weight_decay.high is missing"),
        ({"weight_decay": {"low": 0.1, "high": 1, "step": 1}}, "space.weight_decay.step is no setting"),
        ({"weight_decay": {"low": "1e-3", "high": 1}}, "space.weight_decay.low is '1e-3'; "),
        (
            {"learning_rate": {"low": -1.0, "high": 1.0}},
            "space.learning_rate.low is -1.0; input should be greater than",
        ),
        ({"batch_size": {"low": 1.0, "high": 8.0}}, "space.batch_size.low is 1.0; input should be a valid integer"),
        ({"operations": {"low": 0.1, "high": 2.0}}, "space.operations.high is 2.0; input should be less than or equal"),
    ],
)
def test_a_bad_space_is_refused_with_the_path_of_the_key(home: Path, change: dict[str, Any], says: str) -> None:
    write_space(home, space=SPACE["space"] | change)
    with pytest.raises(StudyError, match=re.escape(f"studies/search/space.yaml: {says}")) as error:
        space_of(home)
    assert error.value.exit_status == 2
    assert not (home / "studies/search" / MODEL).exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"seeds": [1001, 1001]}, "seeds is [1001, 1001]; it takes seeds that are all different"),
        ({"seeds": [1000]}, "seeds is [1000]; it takes seeds that are all different, and no other list has"),
        ({"more_seeds": [1000]}, "more_seeds is [1000]; it takes seeds that are all different"),
        ({"more_seeds": [1001]}, "seeds is [1001, 1002]; it takes seeds that are all different, and no other list has"),
        ({"ceiling": {"rendering": 3.0}}, "ceiling.regression is missing"),
        ({"validation": {"diagonal": {}}}, "validation.diagonal is no split; there are uniform, quadrant"),
        ({"validation": {"quadrant": {"corner": "middle"}}}, "validation.quadrant.corner is 'middle'"),
        ({"space": {}}, "space.operations is missing"),
        ({"trails": 3}, "trails is no setting"),
    ],
)
def test_a_bad_protocol_is_refused(home: Path, change: dict[str, Any], says: str) -> None:
    write_space(home, **change)
    with pytest.raises(StudyError, match=re.escape(says)):
        space_of(home)


def test_a_model_may_add_settings_that_no_other_has(home: Path) -> None:
    folder = home / "studies/search" / MODEL
    folder.mkdir()
    (folder / "space.yaml").write_text("space: {activation: [linear, relu]}", "utf-8")
    assert space_of(home).settings[-1].choices == ["linear", "relu"]
    for text, says in (
        ("space: {beta_2: [0.5]}", "space.beta_2 stands in "),
        ("space: {width: [2]}", "space.width stands in "),
        ("space: {units: [2]}", f"space.units is no setting of {MODEL}; there are "),
        ("trials: 80", "trials is no setting"),
    ):
        (folder / "space.yaml").write_text(text, "utf-8")
        with pytest.raises(StudyError, match=re.escape(says)):
            space_of(home)


def test_a_folder_is_named_after_a_model(home: Path) -> None:
    done = run_command(home, "search", "studies/search/nobody")
    assert done.returncode == 2
    assert "nobody is no model; the folder takes the name of one: coordconv_classifier, " in done.stderr
    assert done.stderr.count("\n") == 1
    assert run_command(home, "search").returncode == 2


# a search


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


def test_adam_has_no_decay_and_steps_no_warm_up(home: Path) -> None:
    space = space_of(home)
    values = {"operations": 0.5, "weight_decay": 0.1, "warmup_epochs": 1}
    found = {
        (optimizer, schedule): settle(space, values | {"optimizer": optimizer, "schedule": schedule}, 10**9)
        for optimizer in ("adam", "adamw")
        for schedule in ("cosine", "steps")
    }
    settings = {key: (recipe.weight_decay, recipe.warmup_epochs) for key, recipe in found.items() if recipe}
    assert settings["adam", "cosine"] == (0, 1)
    assert settings["adam", "steps"] == (0, 0)
    assert settings["adamw", "cosine"] == (0.1, 1)
    assert settings["adamw", "steps"] == (0.1, 0)


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
    done: list[Trial] = []
    for lasts in (1, 2, 3, 4, 5, 1, 100):
        workers = Workers(lasts=lasts)
        with suppress(KeyboardInterrupt):
            run(workers)
        done += workers.done
    assert space.trials_file.read_bytes() == expected
    assert set(names(done)) == set(names(first.done))  # what was under way when it was interrupted is there twice
    kept = re.findall(r'"(\[\d+, \d+, .*?\])":', space.journal_file.read_text("utf-8"))
    assert len(kept) == len(set(kept)) == len(first.done)


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
    def fails(training: Trial) -> dict[str, Any]:
        if training.experiment.recipe.optimizer == "adam" and training.experiment.seed == 1000:
            raise RuntimeError("no luck")
        return good(training)

    chosen = run(Workers(fails))
    rows = lines(space_of(home))
    assert {row["error"] for row in rows if row["state"] == "failed"} == {"no luck"}
    assert chosen.row.recipe and chosen.row.recipe.optimizer == "adamw"


def test_no_trial_that_finished_is_one_line(home: Path, run: Callable[..., Chosen]) -> None:
    def fails(training: Trial) -> dict[str, Any]:
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


def test_one_of_the_best_that_fails_with_another_seed_is_not_chosen_and_run_again(
    home: Path, run: Callable[..., Chosen]
) -> None:
    best_rate = run(Workers()).row.recipe
    for path in (space_of(home).trials_file, space_of(home).journal_file):
        path.unlink()

    def fails(training: Trial) -> dict[str, Any]:
        if training.experiment.seed == 1002 and replace(training.experiment.recipe) == best_rate:
            raise RuntimeError("no luck")
        return good(training)

    assert run(Workers(fails)).row.recipe != best_rate
    workers = Workers()
    assert run(workers).row.recipe == best_rate
    assert [each.experiment.seed for each in workers.done] == [1002, 1002]


@pytest.mark.parametrize("luck", range(4))
def test_a_trial_that_is_behind_is_not_trained_with_the_rest_of_the_seeds(
    home: Path, run: Callable[..., Chosen], luck: int
) -> None:
    """Which is chosen would be the same if it were."""
    write_space(home, best=5, seeds=[1001, 1002, 1003, 1004])
    space = space_of(home)

    def exact(rate: float, seed: int) -> float:
        return round(min(1, rate / 0.02) - 0.3 * np.random.default_rng([luck, round(rate * 1e6), seed]).random(), 3)

    def measure(training: Trial) -> dict[str, Any]:
        share = exact(training.experiment.recipe.learning_rate, training.experiment.seed)
        return good(training) | {"test_exact": max(0, share)}

    chosen = run(Workers(measure)).row
    rows = lines(space)
    again = Counter(row["trial"] for row in rows if int(row["seed"]) in space.seeds)
    assert len(again) == 5
    assert set(again.values()) == {1, 4}
    rates = {row["trial"]: float(row["learning_rate"]) for row in rows}
    lowest = {int(trial): min(exact(rates[trial], seed) for seed in space.seeds) for trial in again}
    assert chosen.trial == max(lowest, key=lambda trial: lowest[trial])
    assert again[f"{chosen.trial}"] == 4


# what is chosen


def row(space: Space, trial: int, seed: int, exact: Sequence[float], gflop: float = 100) -> Row:
    outcomes = {split: {"error": "", "test_exact": f"{each}"} for split, each in zip(space.splits, exact, strict=True)}
    return Row(
        trial=trial,
        seed=seed,
        state="complete",
        error="",
        values={},
        recipe=space.base,
        operations=round(gflop * 1e9),
        outcomes=outcomes,
    )


def test_the_recipe_is_the_one_whose_worst_seed_is_best(home: Path) -> None:
    space = space_of(home)
    rows = [row(space, 0, 1000, (1, 1)), row(space, 1, 1000, (1, 0.9)), row(space, 2, 1000, (0.9, 0.9))]
    rows += [row(space, 0, 1001, (1, 1)), row(space, 0, 1002, (1, 0.2))]
    rows += [row(space, 1, 1001, (0.8, 0.9)), row(space, 1, 1002, (0.9, 0.7))]
    rows += [row(space, 2, 1001, (1, 1)), row(space, 2, 1002, (1, 1))]  # not among the best two
    chosen = choose(space, rows)
    assert chosen.row.trial == 1
    assert chosen.lowest == pytest.approx(0.8, abs=1e-5)
    with pytest.raises(StudyError, match="each of the best trials failed with some seed"):
        choose(space, [each for each in rows if each.seed != 1002])
    scores = {(0, 1001): 1, (1, 1001): 0.5, (1, 1002): 0.5, (2, 1001): 0.5, (2, 1002): 0.9}
    assert leader(scores, [1001, 1002]) == (1, 0.5)
    assert leader({(0, 1001): None, (0, 1002): 1}, [1001, 1002]) is None


def test_among_equals_fewer_operations_win_and_one_answer_outweighs_them_all(home: Path) -> None:
    space = space_of(home)
    ceiling = SPACE["ceiling"]["regression"]
    equal = [row(space, number, 1000, (1, 0.5), gflop) for number, gflop in enumerate((30, 10, 10, 20))]
    assert [each.trial for each in best(space, equal)] == [1, 2]
    # the two means of 502 and 784 answers that are nearest to each other
    shares = sorted({(a / 502 + b / 784) / 2 for a in range(503) for b in range(785)})
    gaps = [later - earlier for earlier, later in pairwise(shares) if later - earlier > 1e-12]
    assert min(gaps) > 2.5e-6
    dearer = row(space, 0, 1000, (1, 0.5 + 1 / 784), ceiling).score(space)
    cheaper = row(space, 1, 1000, (1, 0.5), 0).score(space)
    assert dearer and cheaper and dearer > cheaper


def test_a_trial_that_is_exact_with_more_seeds_outweighs_a_cheaper_one(home: Path) -> None:
    space = space_of(home)
    cheap = [row(space, 0, 1000, (1, 1), 1), row(space, 0, 2001, (1, 0.9), 1)]
    lucky = [row(space, 1, 1000, (1, 1), 2), row(space, 1, 2001, (1, 1), 2), row(space, 1, 2002, (0.5, 0), 2)]
    sure = [row(space, 2, seed, (1, 1), 3) for seed in (1000, 2001, 2002)]
    near = [row(space, 3, 1000, (1, 0.999), 1)]
    rows = [*cheap, *lucky, *sure, *near]
    scores = trial_scores(space, rows[::-1])
    assert [scores[trial] for trial in range(4)] == pytest.approx([1.95, 2.25, 3, 0.9995], abs=1e-5)
    assert [each.trial for each in best(space, rows)] == [2, 1]
    failed = replace(row(space, 1, 2002, (1, 1)), state="failed")
    assert trial_scores(space, [*lucky[:2], failed]) == {1: 2}


def test_a_recipe_goes_into_params_and_leaves_the_rest(home: Path) -> None:
    path = home / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("    pixel_value: 64\n", "    pixel_value: 64 # bright\n"), "utf-8")
    before = path.read_text("utf-8").splitlines()
    recipe = replace(load(path).models[MODEL], pixel_value=2.5, weight_decay=1e-5, optimizer="adam")
    apply_recipe(path, MODEL, recipe)
    assert load(path).models[MODEL] == recipe
    after = path.read_text("utf-8").splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["    optimizer: adam", "    weight_decay: 1.0e-05", "    pixel_value: 2.5 # bright"]
    path.write_text(path.read_text("utf-8").replace("    pixel_value: 2.5 # bright\n", ""), "utf-8")
    with pytest.raises(StudyError, match="pixel_value does not stand on a line of its own"):
        apply_recipe(path, MODEL, recipe)


# damaged files


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-5], "journal.log, line 176: was cut"),
        (lambda text: text + "{", "journal.log, line 177: was cut"),
        (lambda text: "hello\n", "journal.log, line 1: was cut"),
        (lambda text: "{}\n", "journal.log: is no journal of Optuna"),
        (lambda text: "[]\n", "journal.log, line 1: was cut"),
        (lambda text: text.replace(f'"study_name":"{MODEL}"', '"study_name":"other"'), "is of another search"),
        (lambda text: re.sub(r'"space":"\w+"', '"space":"abc"', text), "is of another search"),
    ],
)
def test_a_damaged_journal_is_one_line_and_stays_as_it_is(
    searched: Space, run: Callable[..., Chosen], damage: Callable[[str], str], says: str
) -> None:
    space = searched
    whole = space.journal_file.read_text("utf-8")
    count = len(whole.splitlines())
    damaged = damage(whole)
    space.journal_file.write_text(damaged, "utf-8")
    says = says.replace("176", f"{count}").replace("177", f"{count + 1}")
    with pytest.raises(StudyError, match=re.escape(says)):
        run(Workers())
    assert space.journal_file.read_text("utf-8") == damaged


def test_a_changed_space_is_another_search(home: Path, searched: Space, run: Callable[..., Chosen]) -> None:
    write_space(home, space=SPACE["space"] | {"beta_2": [0.9, 0.5]})
    with pytest.raises(StudyError, match=r"journal.log: is of another search"):
        run(Workers())
    searched.journal_file.unlink()
    with pytest.raises(StudyError, match=r"trials.csv: \w+ of trial 0 is "):
        run(Workers())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-5], "trials.csv, line 15: "),
        (lambda text: text.rstrip("\n"), "trials.csv, line 15: was cut"),
        (lambda text: text.replace("complete", "com,plete", 1), "was cut or edited"),
        (lambda text: text.replace("learning_rate", "rate"), "has other columns than its space"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "line 16: its trial has a row already"),
        (lambda text: text.replace("\n0,1000", "\nx,1000"), "line 2: trial is 'x', which is no number"),
        (lambda text: "", "cannot be read"),
    ],
)
def test_a_damaged_table_is_one_line_and_stays_as_it_is(
    searched: Space, run: Callable[..., Chosen], damage: Callable[[str], str], says: str
) -> None:
    path = searched.trials_file
    damaged = damage(path.read_text("utf-8"))
    path.write_text(damaged, "utf-8")
    with pytest.raises(StudyError, match=re.escape(says)):
        run(Workers())
    assert path.read_text("utf-8") == damaged


def test_two_drivers_do_not_run_one_search(home: Path, run: Callable[..., Chosen]) -> None:
    folder = space_of(home).folder
    folder.mkdir()
    with FileLock(folder / ".study.lock"), pytest.raises(StudyError, match="another process is running this search"):
        run(Workers())


# for real


def test_the_command_trains_and_logs(home: Path) -> None:
    params = home / "params.yaml"
    text = params.read_text("utf-8").replace("train_share: 0.8", "train_share: 0.06")
    params.write_text(text.replace("boundary: 32", "boundary: 6"), "utf-8")
    write_space(home, trials=2, together=2, best=1, seeds=[1001], ceiling={"regression": 5.0})
    done = run_command(home, "search", f"studies/search/{MODEL}", "--workers", "1", "--apply")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{MODEL}: trial ")
    assert len([line for line in done.stderr.splitlines() if line.startswith(f"search {MODEL} ")]) == 3
    rows = lines(space_of(home))
    assert len(rows) == 3
    assert all(0 <= float(row["uniform_validation_exact"]) <= 1 for row in rows)
    recipe = yaml.safe_load(space_of(home).recipe_file.read_text("utf-8"))["models"][MODEL]
    assert yaml.safe_load(params.read_text("utf-8"))["models"][MODEL] == recipe
    client = MlflowClient(store_uri(home))
    found = client.search_runs([client.get_experiment_by_name("not-so-clevr-studies").experiment_id])
    (parent,) = [each for each in found if each.data.tags["role"] == "search"]
    children = [each for each in found if each.data.tags["role"] == "trial"]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    assert sorted(each.data.params["seed"] for each in children) == ["1000", "1000", "1001"]
    assert parent.info.status == "FINISHED"
