"""The rows of a study: results.csv beside the study file has one an experiment, summary.csv one over its seeds.

What decides an experiment is its key, so a row stays good for as long as the study asks for the same thing, whatever
the study calls it. Where rows are written they are text, so that a number that was read is written again as it was; who
looks at them gets numbers, see `load_table`.
"""

from __future__ import annotations

import csv
import math
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from notsoclevr.config import setting_names
from notsoclevr.errors import StudyError, why
from notsoclevr.files import atomic_write
from notsoclevr.splits import argument_names
from notsoclevr.studies.spec import Study, Training, fingerprint, text
from notsoclevr.tasks import METRICS, Metric

Row = dict[str, str]

NAMES = ("variant", "settings")
CONTENT = ("model", "split", *(f"split_{name}" for name in argument_names()), "seed", *setting_names(), "measure_every")
BECAME_PERFECT = ("epochs_to_perfect", "seconds_to_perfect")  # empty where a network never was
SCORES = tuple(f"{part}_{name}" for name in METRICS for part in ("train", "test"))
NUMBERS = ("parameters", "training_operations", *BECAME_PERFECT, "train_seconds", "train_loss", "test_loss", *SCORES)
SQUARES = "squares"  # of a row that a worker sends: a picture, base64; it is kept beside results.csv, not in it
BY_EPOCH = "test_exact_by_epoch"  # one number per measured epoch, with blanks between them
MEASURED = (*NUMBERS, BY_EPOCH)
COLUMNS = ("key", *NAMES, *CONTENT, "error", *MEASURED)
SUMMED_UP = ("train_exact", *(f"test_{name}" for name in METRICS), *BECAME_PERFECT)
REMEDY = "take it back from git, or remove the line to have it run again"


def metric_of(column: str) -> Metric | None:
    """Return the metric that a column holds, of the training set, the test set or others; None if it holds none."""
    return METRICS.get(column) or METRICS.get(column.partition("_")[2])


def make_row(training: Training, measured: Mapping[str, Any], error: str = "") -> Row:
    """Return the row of an experiment.

    Args:
        training: The experiment.
        measured: Values by the names of MEASURED; those that do not apply are left out.
        error: Why there are none, in one line.
    """
    own = {"key": training.key, "variant": training.variant, "settings": training.settings, "error": error}
    return dict.fromkeys(COLUMNS, "") | own | training.content | {name: text(value) for name, value in measured.items()}


def to_frame(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Return rows as a frame of text with their keys as its index."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS), dtype=str).set_index("key", drop=False)


def load_rows(path: Path) -> pd.DataFrame:
    """Load results.csv as it was written.

    Returns:
        All its rows, as `to_frame` has them; none if there is no file.

    Raises:
        StudyError: The file was cut, or holds an unknown column, a row twice, or a value that is no number.
    """
    if not path.exists():
        return to_frame([])
    header, lines = load_csv(path)
    used = {name for line in lines for name, value in line.items() if value}
    # a setting of a model that is not here says nothing where it is empty
    if unknown := [name for name in header if (name in used and name not in COLUMNS) or header.count(name) > 1]:
        raise StudyError(f"{path}: {unknown[0]} is no column of a study, or there twice; take the file back from git")
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, start=2):
        row = {name: line.get(name, "") for name in COLUMNS}
        problem = number_problem(row, MEASURED) or (None if row["error"] else _share_problem(row))
        if fingerprint({name: row[name] for name in CONTENT}) != row["key"]:
            problem = "was edited: its key is not that of its settings"
        elif row["key"] in rows:
            problem = "its experiment has a row already"
        if problem:
            raise StudyError(f"{path}, line {number}: {problem}; {REMEDY}")
        rows[row["key"]] = row
    return to_frame(rows.values())


def load_csv(path: Path) -> tuple[list[str], list[Row]]:
    """Load a CSV file as text, as it was written; pandas would fill up what was cut.

    Returns:
        The names of its columns, and its lines by these names.

    Raises:
        StudyError: The file cannot be read or is empty, or a line of it was cut.
    """
    try:
        content = path.read_text("utf-8")
        lines = list(csv.reader(StringIO(content, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path}: cannot be read: {why(error)}; {REMEDY}") from None
    if not lines:
        raise StudyError(f"{path}: is empty; take it back from git, or remove it to begin anew")
    header, *lines = lines
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise StudyError(f"{path}, line {number}: was cut or edited; {REMEDY}")
    if not content.endswith("\n"):
        raise StudyError(f"{path}, line {1 + len(lines)}: was cut; {REMEDY}")
    return header, [dict(zip(header, line, strict=True)) for line in lines]


def number_problem(row: Row, names: Iterable[str]) -> str | None:
    """Return what is wrong with the first of these columns that holds no number; None if all do, or are empty."""
    for name in names:
        try:
            for value in row[name].split() if name == BY_EPOCH else filter(None, [row[name]]):
                float(value)
        except ValueError:
            return f"{name} is {row[name]!r}, which is no number"
    return None


def _share_problem(row: Row) -> str | None:
    """Return what is wrong with the shares of exact answers, which every row without an error has; None if nothing."""
    for name in ("train_exact", "test_exact"):
        if not row[name] or not 0 <= float(row[name]) <= 1:
            return f"{name} is {row[name]!r}, which is no share"
    return None


def own_rows(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the study's own experiments, in its order and under the names that it has for them now."""
    trainings = [training for training in study.trainings if training.key in rows.index]
    names = {name: [getattr(training, name) for training in trainings] for name in NAMES}
    return rows.loc[[training.key for training in trainings]].assign(**names)


def save_rows(study: Study, rows: pd.DataFrame) -> None:
    """Write results.csv, in the order of the study, whatever order its experiments ended in.

    Rows of experiments that the study no longer asks for come last: they cost too much to be thrown away. A setting
    that no row has gets no column, so that a new model changes no file that it is not in.
    """
    own = own_rows(study, rows)
    empty = [name for name in CONTENT if (rows[name] == "").all()]
    with atomic_write(study.results) as path:
        pd.concat([own, rows.drop(index=own.index)]).drop(columns=empty).to_csv(path, index=False, lineterminator="\n")


def save_squares(study: Study, row: Row) -> None:
    """Write the picture that a row came with, if it did."""
    if picture := row.pop(SQUARES, None):
        with atomic_write(study.squares(row["key"])) as path:
            path.write_bytes(b64decode(picture))


def to_table(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the study's own experiments, with numbers for what was measured.

    Args:
        study: The study.
        rows: The rows of its results.csv, as text.

    Returns:
        One row per experiment that has run or failed, in the order of the study and under the names that it has for
        them now. The columns are those of results.csv: NUMBERS as float64, NaN where there is none, all others as text.
    """
    own = own_rows(study, rows).reset_index(drop=True)
    return own.assign(**own[list(NUMBERS)].map(lambda value: float(value or "nan")).astype(float))


def load_table(study: Study) -> pd.DataFrame:
    """Load the rows of a study's own experiments, see `to_table`.

    Raises:
        StudyError: results.csv is not as it was written.
    """
    return to_table(study, load_rows(study.results))


def spread(name: str, values: pd.Series[float]) -> str:
    """Return the median of the values of a column, and in brackets the lowest and the highest if they differ.

    Args:
        name: The name of the column.
        values: The values, at least one.
    """
    numbers = (values.median(), values.min(), values.max())
    median, lowest, highest = ("never" if number == math.inf else f"{number:.4g}" for number in numbers)
    return median if lowest == highest else f"{median} ({lowest} to {highest})"


def summarise(table: pd.DataFrame, sum_up: Callable[[str, pd.Series[float]], str] = spread) -> pd.DataFrame:
    """Compute a row for the experiments that differ by nothing but the seed.

    Args:
        table: Rows as `load_table` returns them.
        sum_up: The name of a column and its values, at least one and no NaN, to text. Epochs and seconds until a
            network was perfect are infinite where it never was.

    Returns:
        Their number, how many failed, how many ended perfect, and the median of each metric with its lowest and highest
        value: text, as a table for people has it.
    """
    kinds = [name for name in (*NAMES, *CONTENT) if name != "seed"]
    return pd.DataFrame([_summary(alike, sum_up) for _, alike in table.groupby(kinds, sort=False)])


def _summary(alike: pd.DataFrame, sum_up: Callable[[str, pd.Series[float]], str]) -> Row:
    first, ended = alike.iloc[0], alike[alike["error"] == ""]
    line = {name: first[name] for name in ("variant", "model", "split", "settings")}
    line |= {"seeds": str(len(alike)), "failed": str(len(alike) - len(ended))}
    line |= {"perfect": str(is_perfect(ended).sum())}
    for name in SUMMED_UP:
        known = ended[name].fillna(math.inf) if name in BECAME_PERFECT else ended[name].dropna()
        line[name] = sum_up(name, known) if (known < math.inf).any() else ""
    if int(first["measure_every"]) >= int(first["epochs"]):  # measured at the end alone: when is not known
        line |= dict.fromkeys(BECAME_PERFECT, "")
    return line


def is_perfect(table: pd.DataFrame) -> pd.Series[bool]:
    """Return whether every example of both sets was answered exactly after the last epoch, of each row of a table."""
    return (table["train_exact"] == 1) & (table["test_exact"] == 1)


def save_summary(study: Study, rows: pd.DataFrame) -> None:
    """Write summary.csv, if there is anything to sum up."""
    table = to_table(study, rows)
    if not table.empty:
        with atomic_write(study.summary) as path:
            summarise(table).to_csv(path, index=False, lineterminator="\n")
