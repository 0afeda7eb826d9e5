from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from notsoclevr.errors import StudyError
from notsoclevr.studies.search.rows import Chosen
from notsoclevr.studies.search.space import Space

from .toy import MODEL, SPACE, Workers, write_space


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


def test_a_table_of_cheaper_trainings_is_another_search(
    home: Path, searched: Space, run: Callable[..., Chosen]
) -> None:
    table = searched.trials_file.read_text("utf-8")
    write_space(home, ceiling={name: 10 * ceiling for name, ceiling in SPACE["ceiling"].items()})
    searched.journal_file.unlink()
    with pytest.raises(StudyError, match=r"trials.csv: gflop of trial 0 is "):
        run(Workers())
    assert searched.trials_file.read_text("utf-8") == table


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[:-5], "trials.csv, line 15: "),
        (lambda text: text.rstrip("\n"), "trials.csv, line 15: was cut"),
        (lambda text: text.replace("complete", "com,plete", 1), "was cut or edited"),
        (lambda text: text.replace("learning_rate", "rate"), "has other columns than its space"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "line 16: its trial has a row already"),
        (
            lambda text: text.replace("\n0,1000", "\nx,1000"),
            "line 2: trial 'x' and seed '1000' are not both whole numbers",
        ),
        (lambda text: "", "is empty"),
        (
            lambda text: text.replace("complete", "done", 1),
            "line 2: state is 'done'; it takes complete, pruned, failed",
        ),
        (lambda text: re.sub(r"(0,1000,\w+,,[^,]*,)[^,]+", r"\1", text, count=1), "line 2: gflop is empty"),
        (
            lambda text: re.sub(r"(\n0,1000.*,).+", r"\1", text),
            "line 2: quadrant has some of train_exact, validation_exact, validation_loss; it takes all or none",
        ),
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
