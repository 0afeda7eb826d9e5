"""What the README and the pages of docs/ say of the studies is what their rows say."""

from __future__ import annotations

import csv
import itertools
import re
import statistics
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from notsoclevr.dataset import generate
from notsoclevr.models import MODELS
from notsoclevr.report.markdown import quantity, span, success
from notsoclevr.report.markdown import share as percent
from notsoclevr.splits import SPLITS, Uniform
from notsoclevr.tasks import METRICS

from .conftest import ROOT
from .report.test_comparison import committed

PAGES = ("README.md", "docs/findings.md", "docs/departures.md", "docs/protocol.md")
README, FINDINGS, DEPARTURES, PROTOCOL = (" ".join((ROOT / page).read_text("utf-8").split()) for page in PAGES)
Row = dict[str, str]
PLAIN = {"uniform": "pooled_regressor", "quadrant": "strided_regressor"}  # of the tutorial
BASELINES = [name for name in MODELS if name.startswith(("deconv", "pooled", "strided"))]


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_perfect(row: Row) -> bool:
    return float(row["train_exact"]) == float(row["test_exact"]) == 1


def rows_of(study: str, **where: str) -> list[Row]:
    """Return those rows of a study that have these values."""
    rows = read(ROOT / "studies" / study / "results.csv")
    chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert chosen, f"{study} has no {where}"
    return chosen


def cells_of(rows: list[Row]) -> list[list[Row]]:
    """Return rows by their model and split."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["split"]), []).append(row)
    return list(cells.values())


def spread(rows: list[Row], metric: str = "test_exact") -> str:
    """Write the lowest and the highest share of some runs as the README does."""
    return span([float(row[metric]) for row in rows], percent)


def test_success_over_seeds() -> None:
    rows = rows_of("seeds", variant="coordconv")
    perfect = sum(map(is_perfect, rows))
    assert f"perfect in {perfect} of {len(rows)} runs" in FINDINGS
    assert f"perfect in all of its {perfect} runs (three tasks, two splits, 20 seeds)" in README
    fresh = rows_of("seeds", variant="fresh", split="quadrant")
    fresh_perfect = sum(map(is_perfect, fresh))
    assert f"the three are perfect on quadrant in {fresh_perfect} of {len(fresh)} runs." in FINDINGS
    assert f"and in {fresh_perfect} more on quadrant with seeds that never influenced a recipe" in README
    cells = [[is_perfect(row) for row in alike] for alike in cells_of(rows)]
    (each,) = {success(sum(cell), len(cell)) for cell in cells}
    assert f"perfect in {each}" in README.replace("runs of each cell (95 % interval: ", "(")
    (fresh_each,) = {success(sum(map(is_perfect, cell)), len(cell)) for cell in cells_of(fresh)}
    said = f"with ten more seeds that never influenced a recipe, in {fresh_each}"
    assert said in README.replace(" of each network (", " (")
    baselines = [row for row in rows_of("seeds", variant="baseline") if is_perfect(row)]
    assert [(row["model"], row["split"]) for row in baselines] == [
        ("deconv_classifier", "uniform"),
        ("deconv_painter", "uniform"),
    ]
    (of,) = {len(rows_of("seeds", model=model, split=split)) for model in BASELINES for split in SPLITS}
    said = f"are each perfect in 1 of {of} runs on uniform, the plain regressors in none."
    assert said in README
    assert said in FINDINGS


def trials_of(model: str) -> list[Row]:
    return read(ROOT / "studies" / "search" / model / "trials.csv")


def chosen_of(model: str) -> list[Row]:
    """Return the rows of the trial whose recipe was chosen."""
    found = re.search(r": trial (\d+),", (ROOT / "studies" / "search" / model / "recipe.yaml").read_text())
    return [row for row in trials_of(model) if found and row["trial"] == found[1]]


def test_what_the_searches_found() -> None:
    exact, all_seeds, corner, uniform, pruned, penalties = [], [], [], [], [], []
    for model in ("coordconv_classifier", "coordconv_painter", "coordconv_regressor"):
        rows = trials_of(model)
        first = [row for row in rows if row["seed"] == "1000"]
        assert len(first) == 64
        exact.append(sum(map(is_exact_on_validation, first)))
        tried = {row["trial"] for row in rows if row["seed"] == "2001"}
        all_seeds.append((sum(is_exact_on_validation(row) for row in rows if row["seed"] == "2004"), len(tried)))
        missed = [row for row in first if not is_exact_on_validation(row)]
        corner.append(sum(row["uniform_validation_exact"] == "1.0" for row in missed))
        uniform.append(len(missed) - corner[-1])
        pruned.append(sum(row["state"] == "pruned" for row in missed))
        if model != "coordconv_regressor":
            penalties += [row["optimizer"] == "adam" for row in first if row["adam_penalty"]]
        assert len(chosen_of(model)) == 15
        assert all(map(is_exact_on_validation, chosen_of(model)))
    lines = {
        "exact on all validation positions of both splits, first seed": exact,
        "not exact with the first seed: miss the hidden corner alone": corner,
        "not exact with the first seed: miss validation positions of uniform": uniform,
        "of these, pruned before they saw quadrant": pruned,
    }
    for name, numbers in lines.items():
        assert f"| {name} | {' | '.join(map(str, numbers))} |" in FINDINGS
    said = " | ".join(f"{after} of {before}" for after, before in all_seeds)
    assert f"| of those that got more seeds, exact with all five | {said} |" in FINDINGS
    assert f"Adam was tried in {sum(penalties)} of the {len(penalties)} that could have a penalty" in PROTOCOL


def test_what_the_searches_found_for_baselines() -> None:
    said = []
    for model in ("deconv_classifier", "deconv_painter"):
        rows = chosen_of(model)
        assert [row["seed"] for row in rows] == [f"{seed}" for seed in range(1000, 1011)]
        said += [spread(rows, f"{split}_validation_exact") for split in SPLITS]
    assert (
        "the deconv classifier's recipe gets {} of the validation positions of uniform and {} of the hidden".format(
            *said
        )
        in FINDINGS
    )
    assert "corner, the deconv painter's {} and {}.".format(*said[2:]) in FINDINGS
    rows = trials_of("deconv_classifier")
    first = sorted(
        (row for row in rows if row["seed"] == "1000" and row["score"]), key=lambda row: -float(row["score"])
    )
    assert first[9]["trial"] == "47"
    lost = [row for row in rows if row["trial"] == "47"]
    assert len(lost) == 6
    assert all(row["uniform_validation_exact"] == "1.0" for row in lost)


def test_what_the_searches_found_for_plain_regressors() -> None:
    exact, said = [], []
    again, stayed = 0, 0
    for model in ("strided_regressor", "pooled_regressor"):
        first = [row for row in trials_of(model) if row["seed"] == "1000"]
        assert len(first) == 64
        lucky = {row["trial"] for row in first if row["uniform_validation_exact"] == "1.0"}
        exact.append(len(lucky))
        for trial in lucky:
            further = [row for row in trials_of(model) if row["trial"] == trial and row["seed"] != "1000"]
            again += bool(further)
            stayed += bool(further) and all(row["uniform_validation_exact"] == "1.0" for row in further)
        rows = chosen_of(model)
        assert [row["seed"] for row in rows] == [f"{seed}" for seed in range(1000, 1011)]
        said += [spread(rows, f"{split}_validation_exact") for split in SPLITS]
    assert (again, stayed, sum(exact)) == (3, 1, 20)
    assert "Three of these 20 were trained with more seeds, and one stays exact." in FINDINGS
    assert "uniform: {} of 64 of the strided one and {} of 64 of the pooled one".format(*exact) in FINDINGS
    strided, pooled = said[:2], said[2:]
    assert (
        "chosen for the strided regressor gets {} of these positions and {} of the hidden corner".format(*strided)
        in FINDINGS
    )
    assert "the one for the pooled regressor {} and {}.".format(*pooled) in FINDINGS


def test_how_many_random_trials_are_almost_perfect() -> None:
    random = 16  # of studies/search/space.yaml
    of = {}
    for model in ("coordconv_classifier", "coordconv_regressor", "coordconv_painter", *BASELINES):
        rows = [row for row in trials_of(model) if row["seed"] == "1000" and int(row["trial"]) < random]
        of[model] = sum(float(row["uniform_validation_exact"] or 0) >= 0.95 for row in rows)
    said = (
        f"{of['coordconv_classifier']} of CoordConv's classifier and {of['deconv_classifier']} of the deconv one; "
        f"{of['coordconv_regressor']} of its regressor, {of['pooled_regressor']} of the pooled and "
        f"{of['strided_regressor']} of the strided one; {of['coordconv_painter']} of its painter and "
        f"{of['deconv_painter']} of the deconv one."
    )
    assert said in FINDINGS
    assert f"random: {random} #" in (ROOT / "studies/search/space.yaml").read_text("utf-8")


def test_trials_with_coordinates_in_pixels() -> None:
    trials = [row for model in ("coordconv_classifier", "coordconv_painter") for row in trials_of(model)]
    first = [row for row in trials if row["seed"] == "1000"]
    exact = Counter(row["scale_coordinates"] for row in first if row["uniform_validation_exact"] == "1.0")
    of = Counter(row["scale_coordinates"] for row in first)
    assert exact["false"] == 0
    assert f"none of {of['false']} trials of our search is exact on the validation positions of uniform" in README
    assert f"scaled, {exact['true']} of {of['true']} are." in README


def is_exact_on_validation(row: Row) -> bool:
    return row["uniform_validation_exact"] == row["quadrant_validation_exact"] == "1.0"


@pytest.mark.parametrize("model", BASELINES)
def test_baselines_over_seeds(model: str) -> None:
    runs = [rows_of("seeds", model=model, split=split) for split in SPLITS]
    assert {len(rows) for rows in runs} == {20}
    assert f"| {MODELS[model].title} | {' | '.join(map(spread, runs))} |" in FINDINGS


def test_which_plain_regressor_is_the_better_one() -> None:
    pooled, strided = (
        [
            statistics.median(float(row["test_exact"]) for row in rows_of("seeds", model=model, split=split))
            for split in SPLITS
        ]
        for model in ("pooled_regressor", "strided_regressor")
    )
    assert pooled[0] > strided[0]
    assert pooled[1] < strided[1]
    medians = map(percent, (pooled[0], strided[0], strided[1], pooled[1]))
    said = "{} (pooled) and {} (strided) on uniform, {} (strided) and {} (pooled) on quadrant.".format(*medians)
    assert f"the medians are {said}" in FINDINGS


@pytest.mark.parametrize("split", ["uniform", "quadrant"])
def test_how_far_the_deconv_painter_gets(split: str) -> None:
    overlaps = [float(row["test_iou"]) for row in rows_of("seeds", model="deconv_painter", split=split)]
    assert span(overlaps, partial(quantity, METRICS["iou"])) in FINDINGS


def test_how_little_is_enough() -> None:
    few = partial(rows_of, "sample_efficiency", split_train_share="0.01")
    rows = [*few(model="coordconv_classifier"), *few(model="coordconv_painter")]
    assert {row["split_seed"] for row in rows} == set("012")
    assert all(map(is_perfect, rows))
    assert all(f"exact on all others in {len(rows)} of {len(rows)} runs" in page for page in (README, FINDINGS))


def test_the_regressor_misses_what_lies_beyond_the_first_row_and_column_that_it_has_seen() -> None:
    said, more = [], []
    for share, split_seed in itertools.product(("0.01", "0.02"), "012"):
        split = Uniform(train_share=float(share), seed=int(split_seed))(generate())
        beyond = (split.test.coordinates < split.train.coordinates.min(axis=0)).any(axis=1).mean()
        for row in rows_of(
            "sample_efficiency", model="coordconv_regressor", split_train_share=share, split_seed=split_seed
        ):
            assert float(row["test_exact"]) == pytest.approx(1 - beyond)
        (said if share == "0.01" else more).append(beyond)
    first, second, third = (percent(beyond).removesuffix(" %") for beyond in sorted(said))
    assert f"With 2 % it still misses {span(more, percent)}, from 5 % on nothing" in FINDINGS
    assert f"{first}, {second} and {third} % of the others" in FINDINGS
    assert f"its regressor misses {first} to {third} % of them" in README


def test_the_regressor_needs_a_twentieth_of_the_positions() -> None:
    for share in ("0.05", "0.1", "0.25", "0.5"):
        assert all(map(is_perfect, rows_of("sample_efficiency", model="coordconv_regressor", split_train_share=share)))


def test_a_quarter_of_the_epochs() -> None:
    quarter = rows_of("cost", settings="budget=0.25")
    assert len(quarter) == 42

    def told(split: str, *models: str) -> str:
        return spread([row for row in quarter if row["split"] == split and row["model"] in models])

    perfect = []
    for name in ("coordconv_painter", "coordconv_regressor", "coordconv_classifier"):
        runs = [is_perfect(row) for row in quarter if row["model"] == name]
        perfect.append(f"{sum(runs)} of {len(runs)}")
    assert "painter is perfect in {} runs, its regressor in {} and its classifier in {};".format(*perfect) in FINDINGS
    assert f"the classifier then gets {told('quadrant', 'coordconv_classifier')} of the test set" in FINDINGS
    fallen = [told("uniform", name) for name in ("deconv_classifier", "deconv_painter")]
    assert "falls to {} of the uniform test set and the deconv painter to {};".format(*fallen) in FINDINGS
    assert f"plain regressors keep {told('uniform', 'pooled_regressor', 'strided_regressor')}." in FINDINGS
    assert f"In the unseen quadrant the baselines get {told('quadrant', *BASELINES)}." in FINDINGS


def test_four_and_sixteen_times_the_epochs() -> None:
    longer = [row for budget in (4, 16) for row in rows_of("cost", settings=f"budget={budget}.0")]
    assert {row["model"] for row in longer} == {*BASELINES}
    perfect = [(row["model"], row["settings"]) for row in longer if is_perfect(row)]
    assert perfect == [("strided_regressor", "budget=4.0"), ("pooled_regressor", "budget=16.0")]
    missed: dict[tuple[str, str], int] = {}
    missed_before: set[int] = set()
    fallen: dict[str, list[str]] = {"deconv_classifier": [], "pooled_regressor": []}
    changes: list[float] = []
    for row in longer:
        (before,) = rows_of("seeds", model=row["model"], split=row["split"], seed=row["seed"])
        now, then = float(row["test_exact"]), float(before["test_exact"])
        if row["split"] == "uniform":
            missed[row["settings"], f"{row['model']} {row['seed']}"] = round(627 * (1 - now))
            missed_before.add(round(627 * (1 - then)))
        elif row["model"] in fallen:
            own = fallen[row["model"]]
            own += [percent(share).removesuffix(" %") for share in ([now] if own else [then, now])]
        else:
            changes.append(abs(now - then))
    assert missed_before == {2, 3}
    most = percent(max(changes)).removesuffix(" %")
    said = "deconv classifier falls from {} to {} % with four times the epochs and to {} % with sixteen".format(
        *fallen["deconv_classifier"]
    )
    for page in (README, FINDINGS):
        assert f"{said}, the pooled regressor from {{}} to {{}} and {{}} %;".format(*fallen["pooled_regressor"]) in page
        assert f"the others change by at most {most} points" in page
    assert f"miss {min(missed.values())} to {max(missed.values())} of the 627 positions" in README
    few = [number for (budget, _), number in missed.items() if budget == "budget=4.0"]
    assert f"miss {min(few)} to {max(few)} of the 627 positions" in FINDINGS
    assert "the strided regressor is perfect in 1 of 2 runs" in FINDINGS
    still = [missed["budget=16.0", f"{name} 0"] for name in ("deconv_classifier", "deconv_painter")]
    assert "deconv classifier still misses {} positions and the deconv painter {}.".format(*still) in FINDINGS


def best(rows: list[Row], metric: str = "test_exact") -> float:
    return max(float(row[metric]) for row in rows)


def test_nothing_is_learned_without_coordinates() -> None:
    rows = rows_of("ablations", variant="no_coordinates")
    assert {row["model"] for row in rows} == {"coordconv_classifier", "coordconv_regressor", "coordconv_painter"}
    assert best(rows) == 0
    assert 0 < best(rows, "train_exact") <= 1.001 / 2509


def test_what_the_regressor_needs() -> None:
    runs = partial(rows_of, "ablations", variant="pooling")
    assert len(runs()) == 48
    average, slow = runs(pooling="average"), runs(pooling="max", learning_rate="0.0001")
    assert f"average pooling it gets at most {percent(best(average, 'train_exact'))} of the positions" in FINDINGS
    assert best(average) <= best(average, "train_exact")
    assert f"At 0.0001 it gets at most {percent(max(best(slow), best(slow, 'train_exact')))}." in FINDINGS
    perfect = []
    for rate in ("0.001", "0.01"):
        alike = runs(pooling="max", activation="linear", learning_rate=rate)
        perfect.append(f"{sum(map(is_perfect, alike))} of {len(alike)}")
    assert "perfect in {} runs at a learning rate of 0.001 and in {} at 0.01;".format(*perfect) in FINDINGS
    rectified = runs(activation="relu")
    assert [row["split"] for row in rectified if is_perfect(row)] == ["uniform"]
    assert f"With a ReLU it is perfect in 1 of {len(rectified)} runs, on uniform" in FINDINGS
    assert f"at most {percent(best(runs(activation='relu', split='quadrant')))} of the unseen quadrant." in FINDINGS


def test_training_on_and_scaled_answers() -> None:
    constant_rate = partial(rows_of, "ablations", variant="constant_rate")
    assert len(constant_rate()) == 6
    slow = constant_rate(learning_rate="0.001")
    assert f"At 0.001, {sum(map(is_perfect, slow))} of {len(slow)} runs end perfect. At 0.01" in FINDINGS
    jumping = constant_rate(learning_rate="0.01")
    ends = f"{spread(jumping)} of the test set, with {spread(jumping, 'train_exact')} of the training set"
    assert f"and end at {ends}" in FINDINGS
    away = sorted(float(row["test_error_px"]) for row in jumping)
    assert f"the mean error is then {away[0]:.2f} to {away[-1]:.2f} px" in FINDINGS
    for row in jumping:
        second_fifty = shares_of(row)[10:]  # of every fifth epoch
        assert min(second_fifty) < 0.01
        assert max(second_fifty) > 0.99
    scaled_answers = rows_of("ablations", variant="scaled_answers")
    assert f"{sum(map(is_perfect, scaled_answers))} of {len(scaled_answers)} runs are perfect" in FINDINGS


def test_where_coordinates_enter() -> None:
    every = partial(rows_of, "ablations", variant="every_layer")
    for model in ("coordconv_classifier", "coordconv_regressor"):
        assert all(map(is_perfect, every(model=model)))
    assert f"the painter then gets only {spread(every(model='coordconv_painter'))} of the unseen quadrant" in FINDINGS
    radius = rows_of("ablations", variant="radius")
    assert len({row["model"] for row in radius}) == 3
    assert all(map(is_perfect, radius))


def test_scaling_and_decay() -> None:
    in_pixels = partial(rows_of, "ablations", variant="coordinates_in_pixels", scale_coordinates="false")
    networks = [row for row in in_pixels() if row["model"] in ("coordconv_classifier", "coordconv_painter")]
    perfect = sum(map(is_perfect, networks))
    assert f"{perfect} of {len(networks)} runs end perfect: the classifier" in FINDINGS
    assert f"with coordinates in pixels {perfect} runs of {len(networks)} end perfect" in DEPARTURES
    uniform, quadrant = (
        spread(in_pixels(model="coordconv_classifier", split=split)) for split in ("uniform", "quadrant")
    )
    assert f"the classifier gets {uniform} of the test set on uniform and {quadrant} on quadrant" in FINDINGS
    quadrant_most = percent(best(in_pixels(model="coordconv_classifier", split="quadrant")))
    uniform, quadrant = (spread(in_pixels(model="coordconv_painter", split=split)) for split in SPLITS)
    assert f"the painter {uniform} and {quadrant}." in FINDINGS
    assert (
        f"The deconv classifier with them gets {spread(in_pixels(model='deconv_classifier'))} of the uniform test set"
        in FINDINGS
    )
    assert f"the deconv painter {spread(in_pixels(model='deconv_painter'))}." in FINDINGS
    classifier, painter = (
        [is_perfect(row) for row in in_pixels(model=f"coordconv_{kind}")] for kind in ("classifier", "painter")
    )
    on_uniform = [is_perfect(row) for row in in_pixels(model="coordconv_classifier", split="uniform")]
    assert sum(classifier) == sum(on_uniform)
    said = f"the classifier is perfect on uniform in {sum(on_uniform)} of {len(on_uniform)} runs and gets at most"
    assert f"{said} {quadrant_most} of the unseen quadrant;" in README
    said = f"the painter is perfect in {sum(painter)} of {len(painter)}, and gets {quadrant} of the unseen quadrant."
    assert said in README
    undecayed = rows_of("ablations", variant="no_decay", split="quadrant")
    exact = sum(map(is_perfect, undecayed))
    assert (
        f"Without it {exact} of {len(undecayed)} runs of the classifier and the painter are perfect on quadrant"
        in FINDINGS
    )
    assert f"one of the classifier gets {percent(min(float(row['test_exact']) for row in undecayed))}." in FINDINGS


def test_downsampling_and_padding() -> None:
    shapes = ("strided", "pooled")
    with_them = partial(rows_of, "ablations", variant="downsampling", split="quadrant")
    without = partial(rows_of, "seeds", split="quadrant")
    told = {shape: spread(with_them(model=f"{shape}_regressor")) for shape in shapes}
    untold = {
        shape: spread([row for row in without(model=f"{shape}_regressor") if row["seed"] in {*"012"}])
        for shape in shapes
    }
    assert {row["seed"] for row in with_them()} == {*"012"}
    for page in (README, FINDINGS):
        assert f"of the unseen quadrant the strided one gets {told['strided']} with them" in page.replace(
            ". Of", ": of"
        )
        assert f"and {untold['strided']} without, the pooled one {told['pooled']} and {untold['pooled']} (" in page
    zeros = rows_of("seeds", model="strided_regressor", split="uniform")
    padded = partial(rows_of, "ablations", variant="padding", model="strided_regressor", split="uniform")
    reflect, ring = (padded(padding=padding) for padding in ("reflect", "circular"))
    assert f"it gets {spread(zeros)} of the uniform test set with zeros, {spread(reflect)} with reflect" in FINDINGS
    assert f"and {spread(ring)} with circular padding" in FINDINGS


def shares_of(row: Row) -> list[float]:
    """Return the exact share of the test set after each measured epoch."""
    return [float(share) for share in row["test_exact_by_epoch"].split()]


def best_epoch(row: Row) -> float:
    return max(shares_of(row))


def test_the_tutorials_classifiers() -> None:
    table = partial(rows_of, "replication", variant="table")
    runs = {split: table(model="coordconv_classifier", split=split) for split in SPLITS}
    last = [spread(rows) for rows in runs.values()]
    best_of = [span([best_epoch(row) for row in rows], percent) for rows in runs.values()]
    assert "right on only {} of the test set on uniform and {} on quadrant".format(*last) in FINDINGS
    assert "the best of each run is {} on uniform and {} on quadrant".format(*best_of) in FINDINGS
    assert {row["measure_every"] for rows in runs.values() for row in rows} == {"5"}
    deconv = {split: table(model="deconv_classifier", split=split) for split in SPLITS}
    uniform, quadrant = (spread(deconv[split]) for split in ("uniform", "quadrant"))
    learned = spread(deconv["uniform"], "train_exact")
    said = f"Its deconv classifier learns {learned} of the training set of uniform and gets {uniform} of the test set"
    assert f"{said}, not 85.8 %; on quadrant it gets {quadrant}, as published." in FINDINGS
    best_of_deconv = span([best_epoch(row) for row in deconv["uniform"]], percent)
    assert f"Measured after every fifth epoch, the best of each run on uniform is {best_of_deconv}: one of" in FINDINGS
    near = [row for row in deconv["uniform"] if 0.808 <= best_epoch(row) <= 0.908]
    assert len(near) == 1
    assert float(near[0]["test_exact"]) < 0.5
    decayed = partial(rows_of, "replication", variant="decay_of_tables", model="deconv_classifier")
    assert (
        f"as its AdamW would apply it, it learns {spread(decayed(), 'train_exact')} of the two training sets"
        in FINDINGS
    )


def test_the_papers_search() -> None:
    grid = partial(rows_of, "paper_grid_subset")
    splits = ("uniform", "quadrant")
    classified = [percent(best(grid(model="deconv_classifier", split=split))) for split in splits]
    painted = [best(grid(model="deconv_painter", split=split), "test_iou") for split in splits]
    said = (
        "the best deconv classifier gets {} of the uniform test set and {} of the unseen quadrant, the best painter an"
    )
    assert said.format(*classified) + " IoU of {:.3f} and {:.3f}".format(*painted) in FINDINGS


def test_the_tutorials_regressor() -> None:
    table = partial(rows_of, "replication", variant="table", model="coordconv_regressor")
    uniform, quadrant = table(split="uniform"), table(split="quadrant")
    assert len(uniform) == len(quadrant)
    ends = f"{spread(uniform)} of the test set of uniform and {spread(quadrant)} of the unseen quadrant"
    assert f"{len(uniform)} seeds end at {ends}, with {spread(quadrant, 'train_exact')} of the seen ones" in FINDINGS
    assert {row["measure_every"] for row in table()} == {"5"}
    early = max(share for row in table() for share in shares_of(row)[:2])
    assert f"after 10 it gets at most {percent(early)}" in FINDINGS
    fast = rows_of("replication", variant="regressor_text", pooling="max", learning_rate="0.01")
    by_epoch = [shares_of(row) for row in fast]
    soon = percent(min(max(shares[:2]) for shares in by_epoch))
    lost = sum(max(shares) == 1 and shares[-1] == 0 for shares in by_epoch)
    assert f"at 0.01 it gets at least {soon} within 10" in FINDINGS
    assert f"{lost} of {len(fast)} runs ends back at the average" in FINDINGS


def test_a_lit_pixel_of_1() -> None:
    names = ("pixel_of_1", "decay_of_tables")
    rows = [row for name in names for row in rows_of("replication", variant=name, model="coordconv_regressor")]
    most = max(best(rows), best(rows, "train_exact"))
    grid = [row for row in rows if row["variant"] == "pixel_of_1"]
    said = f"{len(grid)} runs of a grid over both and {len(rows) - len(grid)} with the decay of the tables get at most"
    assert f"{said} {percent(most)} right" in FINDINGS
    dim, brighter = (
        rows_of("ablations", variant="lit_pixel", model=rows[0]["model"], pixel_value=f"{lit}.0") for lit in (1, 8)
    )
    assert len(dim) == len(brighter) == 6
    most = percent(max(best(dim), best(dim, "train_exact")))
    assert f"in place of 43.9 it gets at most {most} in {len(dim)} runs" in FINDINGS
    assert f"with 8, {sum(map(is_perfect, brighter))} of {len(brighter)} are perfect" in FINDINGS


def test_the_tutorials_plain_regressors() -> None:
    shapes = (("tutorial", "own_shape", 1000), ("paper", "table", 1000), ("paper", "pixel_of_1", 1))
    for (shape, variant, pixel), split in itertools.product(shapes, SPLITS):
        rows = [
            row for row in rows_of("replication", variant=variant, split=split) if row["model"].endswith(PLAIN[split])
        ]
        assert {float(row["pixel_value"]) for row in rows} == {pixel}
        train, test = (spread(rows, f"{part}_exact") for part in ("train", "test"))
        assert f"| {shape} | {pixel} | {split} | {train} | {test} |" in FINDINGS
    jumps = [
        abs(later - earlier)
        for row in rows_of("replication", variant="own_shape", split="uniform")
        for earlier, later in itertools.pairwise(shares_of(row))
    ]
    assert f"from one fifth epoch to the next by up to {100 * max(jumps):.0f} points:" in FINDINGS


def test_the_tutorials_painters() -> None:
    table = partial(rows_of, "replication", variant="table")
    uniform, quadrant = (table(model="two_stage_painter", split=split) for split in SPLITS)
    painted, dead = [], []
    for rows in (uniform, quadrant):
        ious = sorted(float(row["test_iou"]) for row in rows)
        assert len(ious) == 3
        dead.append(ious.count(0))
        painted += [" and ".join(f"{iou:.3f}" for iou in ious if iou), percent(best(rows))]
    assert dead == [2, 1]
    assert "With two of three seeds on uniform and one of three on quadrant it paints nothing at all." in FINDINGS
    said = "an IoU of {} on uniform, with {} of the squares exact, and {} in the unseen quadrant, with at most {}."
    assert said.format(*painted) in FINDINGS
    tried = partial(rows_of, "replication", model="two_stage_painter", split="uniform")
    ends, most = [], []
    for variant in ("better_schedule", "more_training"):
        rows = tried(variant=variant)
        ious = [f"{iou:.3f}" for iou in sorted(float(row["test_iou"]) for row in rows)]
        ends.append(" and ".join(filter(None, (", ".join(ious[:-1]), ious[-1]))))
        most.append(percent(best(rows)))
    assert f"end on uniform at {ends[0]}, with at most {most[0]} exact." in FINDINGS
    early, late = (tried(variant=variant, seed="0") for variant in ("table", "more_training"))
    assert [float(row["test_iou"]) for row in early] == [0]
    assert 3 * int(early[0]["epochs"]) == int(late[0]["epochs"])
    assert f"they end at {ends[1]}, with at most {most[1]} exact;" in FINDINGS
    assert f"the one of {float(late[0]['test_iou']):.3f} paints nothing yet after a third of that." in FINDINGS
    heart = table(model="deconv_painter", split="quadrant")
    said = (
        f"{spread(heart, 'train_exact')} of the squares that it is trained on exact, and {spread(heart)} of the others"
    )
    iou, blur = (
        span([float(row["test_iou"]) for row in rows], "{:.3f}".format)
        for rows in (heart, table(model="deconv_painter", split="uniform"))
    )
    assert f"{said}, an IoU of {iou}." in FINDINGS
    assert f"On uniform it leaves a blur, an IoU of {blur}," in FINDINGS


def test_what_the_baselines_get() -> None:
    uniform, quadrant = (
        spread([row for model in BASELINES for row in rows_of("seeds", model=model, split=split)]) for split in SPLITS
    )
    assert (
        f"baselines get {uniform} of the test set on the uniform split and {quadrant} of an unseen quadrant" in README
    )


# What the committed results say


def exact_on_test(split: str) -> dict[str, float]:
    """Return how much of the test set each committed baseline answers exactly, by its name."""
    rows = csv.DictReader(committed("reports/comparison.csv").splitlines())
    return {
        row["model"]: float(row["test_exact"]) for row in rows if row["split"] == split and row["model"] in BASELINES
    }


def test_the_networks_have_their_weights() -> None:
    page = (ROOT / "docs/departures.md").read_text("utf-8")
    for row in csv.DictReader(committed("reports/comparison.csv").splitlines()):
        (line,) = [each for each in page.splitlines() if each.startswith(f"| {MODELS[row['model']].title} |")]
        assert line.endswith(f"| {int(row['parameters']):,} |")


def test_what_the_baselines_are_given() -> None:
    cells = list(csv.DictReader(committed("reports/comparison.csv").splitlines()))
    weights, operations = [], []
    for own, other in itertools.product(cells, cells):
        alike = (own["task"], own["split"]) == (other["task"], other["split"])
        if alike and MODELS[own["model"]].coordinates and not MODELS[other["model"]].coordinates:
            weights.append(int(other["parameters"]) / int(own["parameters"]))
            operations.append(float(other["gflop"]) / float(own["gflop"]))
    assert f"{min(weights):.0f} to {max(weights):.0f} times as many weights and at least as much computation" in README
    assert min(operations) >= 1


def test_how_many_regressors_lose_what_they_had() -> None:
    rows = rows_of("seeds", model="coordconv_regressor")
    assert {row["measure_every"] for row in rows} == {"1"}
    lost = sum(min(shares_of(row)[int(float(row["epochs_to_perfect"])) :], default=1) < 1 for row in rows)
    assert (
        f"as {lost} of {len(rows)} runs of the CoordConv regressor do; after the last epoch all are perfect" in README
    )
    measured = [row["epoch"] for row in history_of("coordconv_regressor", "uniform")]
    assert measured[:3] == ["2", "4", "6"]
    assert "(the CoordConv regressor is measured after every second)" in README


def history_of(model: str, split: str) -> list[Row]:
    rows = csv.DictReader(committed("reports/history.csv").splitlines())
    return [row for row in rows if (row["model"], row["split"]) == (model, split)]


def test_another_kind_of_processor() -> None:
    (elsewhere,) = rows_of("seeds", model="deconv_painter", split="quadrant", seed="0")
    here = exact_on_test("quadrant")["deconv_painter"]
    said = f"ends at {percent(here)} of the unseen quadrant here, and at {percent(float(elsewhere['test_exact']))} in"
    assert said in README


def test_how_many_rows_are_of_the_earlier_training_loop() -> None:
    rows = rows_of("replication")
    earlier = sum(not row["training_operations"] for row in rows)
    assert f"Of the {len(rows)} rows with the tutorial's settings {earlier} are of an earlier training loop" in FINDINGS
    assert not any(row["training_operations"] for row in rows_of("paper_grid_subset"))


def test_the_baselines_lie_within_the_ranges_of_their_seeds() -> None:
    for split in SPLITS:
        for model, exact in exact_on_test(split).items():
            ends = [float(row["test_exact"]) for row in rows_of("seeds", model=model, split=split)]
            assert min(ends) - 5e-5 <= exact <= max(ends) + 5e-5  # the comparison has four digits
    assert "The cells in results/, of seed 0, lie within the ranges of the table above." in FINDINGS


def test_which_studies_are_incomplete() -> None:
    sections = committed("reports/studies.md").split("\n## ")
    counted = [re.match(r"(\w+)\n.* (\d+) of (\d+) experiments have run\.", part, re.DOTALL) for part in sections]
    incomplete = {found[1] for found in counted if found and found[2] != found[3]}
    (said,) = re.findall(
        r"`paper_grid` has not run; (.*) are incomplete\.", (ROOT / "docs/studies.md").read_text("utf-8")
    )
    assert set(re.findall(r"`(\w+)`", said)) == incomplete


def test_how_many_claims_hold() -> None:
    ledger = committed("reports/claims.md")
    counted = re.search(r"^(\d+ claims): (holds .*)\.$", ledger, re.MULTILINE)
    assert counted is not None
    assert f"{counted[1]} of the tutorial, the paper and its critics" in README
    assert f"judged by runs of our own: {counted[2].removesuffix(', not tested 0')}." in README


def test_which_claims_of_the_paper_hold() -> None:
    ledger = [row for row in csv.DictReader(committed("reports/claims.csv").splitlines()) if "paper:" in row["source"]]
    found = Counter(row["verdict"] for row in ledger)
    assert (
        f"{len(ledger)} claims.** {found['holds']} hold: what CoordConv can do, and that plain regressors fail"
        in README
    )
    assert f"{found['does not hold']} do not hold: that it is 150 times faster" in README
    assert [row["claim"] for row in ledger if row["verdict"] == "holds in part"] == [
        "CoordConv needs 10 to 100 times fewer weights than the baselines."
    ]
    shares = {split: percent(best(rows_of("seeds", model="deconv_classifier", split=split))) for split in SPLITS}
    overlaps = {
        split: quantity(METRICS["iou"], best(rows_of("seeds", model="deconv_painter", split=split), "test_iou"))
        for split in SPLITS
    }
    said = (
        f"86 % (here {shares['uniform']}, the best of 20 seeds) and an IoU of 0.83 ({overlaps['uniform']}) on uniform"
    )
    assert f"{said}, above almost nothing ({shares['quadrant']}) and an IoU of 0.36 ({overlaps['quadrant']})" in README


def test_how_much_faster_coordconv_is() -> None:
    (claim,) = [
        row for row in csv.DictReader(committed("reports/claims.csv").splitlines()) if "150 times" in row["claim"]
    ]
    found = re.search(r": ([\d.]+) times, needed", claim["measured"])
    assert found is not None
    said = f"To reach 86 % of the uniform test set, the deconv classifier needs {float(found[1]):.1f} times"
    assert f"{said} the floating-point operations of CoordConv's (medians over 20 seeds," in README
    half, almost = (operations_to("deconv", share) / operations_to("coordconv", share) for share in (0.5, 0.99))
    assert f"to reach half of it {half:.1f} times, to reach 99 % {almost:.1f} times." in README
    ends = []
    for split in SPLITS:
        quarter = partial(rows_of, "cost", settings="budget=0.25", split=split)
        plain, told = (quarter(model=f"{kind}_classifier") for kind in ("deconv", "coordconv"))
        ends += [spread(plain), spread(told)]
        costs = [float(row["training_operations"]) for row in (*plain, *told)]
        assert max(costs) < 1.02 * min(costs)
    assert "On uniform they then end at {} and {}, on quadrant at {} and {} (3 seeds).".format(*ends) in README


def operations_to(kind: str, share: float) -> float:
    """Return the median of the operations until a classifier first answers this share of uniform's test set."""
    costs = []
    for row in rows_of("seeds", model=f"{kind}_classifier", split="uniform"):
        first = next(number for number, exact in enumerate(shares_of(row), start=1) if exact >= share)
        epoch = min(first * int(row["measure_every"]), int(row["epochs"]))
        costs.append(epoch * float(row["training_operations"]) / int(row["epochs"]))
    return statistics.median(costs)


def test_how_long_the_main_job_takes() -> None:
    """The last `make repro` in the table is that of the newest commit."""
    seconds = [float(row["seconds"]) for row in read(ROOT / "benchmarks" / "repro.csv") if row["what"] == "make repro"]
    assert f"about {seconds[-1] / 60:.0f} minutes on two cores ([measured](benchmarks/repro.csv))" in README
