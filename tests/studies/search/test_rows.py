from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from notsoclevr.config import load
from notsoclevr.errors import StudyError
from notsoclevr.studies.search.rows import (
    TrialRow,
    apply_recipe,
    best,
    choose,
    leader,
    may_be_best,
    scores_of,
    trial_scores,
)
from notsoclevr.studies.search.space import Space

from .toy import MODEL, SPACE, space_of


def row(space: Space, trial: int, seed: int, exact: Sequence[float], gflop: float = 100, loss: float = 0.5) -> TrialRow:
    outcomes = {
        split: {"error": "", "test_exact": f"{each}", "test_loss": f"{loss}"}
        for split, each in zip(space.splits, exact, strict=True)
    }
    return TrialRow(
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
    tried: dict[tuple[int, int], float | None] = {(0, 1000): 0.9, (1, 1000): 0.9, (2, 1000): 0.8}
    scores = tried | {(0, 1001): 0.5, (0, 1002): 0.5, (1, 1001): 0.5, (1, 1002): 0.9}
    assert leader(space, scores) == (0, 0.5)
    assert leader(space, scores | {(0, 1002): None}) == (1, 0.5)
    assert leader(space, scores | {(0, 2001): 0.4}) == (1, 0.5)
    assert leader(space, scores | {(0, 2001): None, (1, 2001): 0.4}) == (1, 0.4)
    assert leader(space, tried | {(0, 1001): 1, (2, 1001): 1, (2, 1002): 1}) is None


def test_among_exact_ones_fewer_operations_win(home: Path) -> None:
    space = space_of(home)
    equal = [row(space, number, 1000, (1, 1), gflop) for number, gflop in enumerate((30, 10, 10, 20))]
    assert best(space, scores_of(space, equal)) == [1, 2]


def test_among_others_the_lower_loss_wins_whatever_it_costs(home: Path) -> None:
    space = space_of(home)
    losses = (9.0, 0.02, float("nan"), 0.01, float("inf"))
    equal = [row(space, number, 1000, (0, 0), 100 * number, loss) for number, loss in enumerate(losses)]
    scores = trial_scores(space, scores_of(space, equal))
    assert sorted(scores, key=lambda trial: -scores[trial]) == [3, 1, 0, 2, 4]
    assert scores[2] == scores[4]


@pytest.mark.parametrize("exact", [(1, 1), (1, 0.5)])
def test_one_answer_outweighs_all_that_decides_among_equals(home: Path, exact: tuple[float, float]) -> None:
    space = space_of(home)
    # the two means of 502 and 784 answers that are nearest to each other
    shares = sorted({(a / 502 + b / 784) / 2 for a in range(503) for b in range(785)})
    gaps = [later - earlier for earlier, later in pairwise(shares) if later - earlier > 1e-12]
    assert min(gaps) > 2.5e-6
    worst = row(space, 0, 1000, exact, SPACE["ceiling"]["regression"], float("inf")).score(space)
    best_below = row(space, 1, 1000, (exact[0], exact[1] - 1 / 784), 0, 0).score(space)
    assert worst and best_below and worst > best_below


def test_a_trial_that_is_exact_with_more_seeds_outweighs_a_cheaper_one(home: Path) -> None:
    space = space_of(home)
    cheap = [row(space, 0, 1000, (1, 1), 1), row(space, 0, 2001, (1, 0.9), 1)]
    lucky = [row(space, 1, 1000, (1, 1), 2), row(space, 1, 2001, (1, 1), 2), row(space, 1, 2002, (0.5, 0), 2)]
    sure = [row(space, 2, seed, (1, 1), 3) for seed in (1000, 2001, 2002)]
    near = [row(space, 3, 1000, (1, 0.999), 1)]
    rows = [*cheap, *lucky, *sure, *near]
    scores = trial_scores(space, scores_of(space, rows[::-1]))
    assert [scores[trial] for trial in range(4)] == pytest.approx([1.95, 2.25, 3, 0.9995], abs=1e-5)
    assert best(space, scores_of(space, rows)) == [2, 1]
    failed = replace(row(space, 1, 2002, (1, 1)), state="failed")
    assert trial_scores(space, scores_of(space, [*lucky[:2], failed])) == pytest.approx({1: 2})


def test_what_is_too_expensive_to_be_one_of_the_best_is_known(home: Path) -> None:
    space = space_of(home)
    seeds = (1000, 2001, 2002)
    sure = [row(space, trial, seed, (1, 1), gflop) for trial, gflop in ((0, 10), (1, 30)) for seed in seeds]
    scores = scores_of(space, sure)
    assert [may_be_best(space, scores, 3, round(gflop * 1e9)) for gflop in (29, 30, 31)] == [True, False, False]
    assert may_be_best(space, scores, 1, 10**12)  # of those before it, only one
    unlucky = scores | {(1, 2002): 0.9}
    assert may_be_best(space, unlucky, 3, 10**12)


def test_a_recipe_goes_into_params_and_leaves_the_rest(home: Path) -> None:
    path = home / "params.yaml"
    own = load(path).models[MODEL]
    line = f"    pixel_value: {own.pixel_value}"
    path.write_text(path.read_text("utf-8").replace(f"{line}\n", f"{line} # bright\n"), "utf-8")
    before = path.read_text("utf-8").splitlines()
    recipe = replace(own, pixel_value=2.5, weight_decay=1e-5, optimizer="adamw")
    apply_recipe(path, MODEL, recipe)
    assert load(path).models[MODEL] == recipe
    after = path.read_text("utf-8").splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["    optimizer: adamw", "    weight_decay: 1.0e-05", "    pixel_value: 2.5 # bright"]
    path.write_text(path.read_text("utf-8").replace("    pixel_value: 2.5 # bright\n", ""), "utf-8")
    with pytest.raises(StudyError, match="pixel_value does not stand on a line of its own"):
        apply_recipe(path, MODEL, recipe)


def test_of_equal_trials_the_loss_on_the_first_split_decides(home: Path) -> None:
    space = space_of(home)
    rows = [row(space, trial, 1000, (0, 0)) for trial in (0, 1)]
    rows[0].outcomes["uniform"]["test_loss"] = "0.1"
    rows[1].outcomes["quadrant"]["test_loss"] = "0.1"
    scores = trial_scores(space, scores_of(space, rows))
    assert scores[0] > scores[1]
