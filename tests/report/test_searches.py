from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from notsoclevr.report import searches
from notsoclevr.studies.search.rows import TrialRow, save_lines, to_line
from notsoclevr.studies.search.space import Space, load_space

from ..conftest import ROOT

# trial, seed, share of exact answers on both validation splits
TRIALS = [(0, 1000, (1.0, 1.0)), (1, 1000, (1.0, 0.5)), (2, 1000, (0.25,)), (0, 2001, (1.0, 0.75))]
AGAIN = [(0, 1001, (1.0, 0.5)), *((1, seed, (1.0, 1.0)) for seed in range(1001, 1010)), (1, 1010, (1.0, 0.75))]


def make_row(space: Space, trial: int, seed: int, exact: Sequence[float]) -> TrialRow:
    outcomes = {
        split: {"train_exact": "1.0", "test_exact": f"{share}", "test_loss": "0.1"}
        for split, share in zip(space.splits, exact, strict=False)
    }
    return TrialRow(
        trial=trial,
        seed=seed,
        state="complete" if len(exact) == 2 else "pruned",
        error="",
        values={setting.name: setting.choices[0] if setting.choices else setting.low for setting in space.settings},
        recipe=space.base,
        operations=(trial + 1) * 10**12,
        outcomes=outcomes,
    )


def make_search(root: Path, trials: Sequence[tuple[int, int, Sequence[float]]], of: int = 64) -> Space:
    folder = root / "studies" / "search"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(ROOT / "studies" / "search" / "space.yaml", folder)
    text = (folder / "space.yaml").read_text("utf-8")
    (folder / "space.yaml").write_text(text.replace("trials: 64", f"trials: {of}"), "utf-8")
    space = load_space(folder / "deconv_painter", root)
    rows = [make_row(space, *trial) for trial in trials]
    save_lines(space, {(row.trial, row.seed): to_line(space, row) for row in rows})
    return space


def section(root: Path) -> list[str]:
    return searches.section(root / "reports", searches.load(root))


def test_where_nothing_was_searched_nothing_is_said(tmp_path: Path) -> None:
    assert section(tmp_path) == []
    assert not (tmp_path / "reports").exists()


def test_trials_are_counted_and_the_recipe_is_that_of_the_protocol(tmp_path: Path) -> None:
    space = make_search(tmp_path, TRIALS, of=3)
    page = section(tmp_path)
    start = "| deconv painter | 3 of 3 | 1 | 0 | 1 of 3 | 0 of 1"
    assert f"{start} | – | – | – | – |" in page  # noqa: RUF001
    assert (tmp_path / "reports" / "figures" / "search.png").stat().st_size > 5000

    make_search(tmp_path, TRIALS + AGAIN, of=3)
    space.recipe_file.write_text("models: {}", "utf-8")
    page = section(tmp_path)
    assert f"{start} | 9 of 11 | 1 | 75 % | 2,000 |" in page
    # a seed that is asked no more counts no more
    path = space.folder.parent / "space.yaml"
    text = path.read_text("utf-8")
    path.write_text(re.sub(r"^seeds: .*", "seeds: [1001]", text, flags=re.MULTILINE), "utf-8")
    assert f"{start} | 1 of 2 | 0 | 75 % | 1,000 |" in section(tmp_path)
    path.write_text(text, "utf-8")
    # with more trials nothing is chosen before they have run
    make_search(tmp_path, TRIALS + AGAIN, of=8)
    assert "| deconv painter | 3 of 8 | 1 | 0 | 1 of 3 | 0 of 1 | 9 of 11 | – | – | – |" in section(tmp_path)  # noqa: RUF001
    # nor after it, if it is no longer one of the best
    make_search(tmp_path, [*TRIALS, *AGAIN, *((trial, 1000, (1.0, 0.9)) for trial in range(3, 8))], of=8)
    page = section(tmp_path)
    assert "| deconv painter | 8 of 8 | 1 | 0 | 1 of 8 | 0 of 1 | 0 of 1 | – | – | – |" in page  # noqa: RUF001
