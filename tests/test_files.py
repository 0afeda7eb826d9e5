"""What a process that is killed leaves behind, and who clears it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from notsoclevr.files import atomic_write, host, staging, unfinished_path

from .conftest import ROOT

WRITES_A_FILE = """
from notsoclevr.files import atomic_write
context = atomic_write(folder / "reports" / "comparison.md")
with context as path:
    path.write_text("half")
    wait()
"""
STAGES_A_CELL = """
from notsoclevr.files import staging
with staging(folder / "results" / "deconv_painter-quadrant", folder) as path:
    (path / "metrics.json").write_text("{")
    wait()
"""
MOVES_A_CELL = """
import shutil
from notsoclevr.files import staging
move = shutil.move
def move_and_wait(*paths):
    move(*paths)
    wait()
shutil.move = move_and_wait
with staging(folder / "results" / "cell", folder) as path:
    for name in "ab":
        (path / name).write_text("first")
"""


@contextmanager
def at_work(program: str, folder: Path) -> Iterator[None]:
    """Run a program up to its `wait()`; it is killed when the block ends."""
    prelude = (
        "import pathlib, sys, time\nfolder = pathlib.Path(sys.argv[1])\n"
        "def wait():\n    print('there', flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", prelude + program, str(folder)]
    with subprocess.Popen(command, cwd=ROOT / "src", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "there\n"
            yield
        finally:
            process.kill()


def parts(folder: Path) -> list[Path]:
    """List what is unfinished anywhere below a folder."""
    return sorted(folder.rglob(".*"))


def test_a_file_that_was_not_finished_is_cleared_when_the_next_is_written(tmp_path: Path) -> None:
    with at_work(WRITES_A_FILE, tmp_path):
        (left,) = parts(tmp_path)
        with atomic_write(tmp_path / "reports" / "claims.md") as path:
            path.write_text("whole")
        assert left.read_text() == "half"  # its process is alive
    assert parts(tmp_path) == [left]
    elsewhere = left.with_name(left.name.replace(host(), "another-host"))
    elsewhere.write_text("of a process that cannot be looked for here")
    with atomic_write(tmp_path / "reports" / "claims.md") as path:
        path.write_text("whole")
    assert parts(tmp_path) == [elsewhere]
    assert not (tmp_path / "reports" / "comparison.md").exists()


def test_results_that_were_not_finished_are_cleared_by_the_next_training(tmp_path: Path) -> None:
    another = tmp_path / "results" / "coordconv_painter-uniform"
    with at_work(STAGES_A_CELL, tmp_path):
        (left,) = parts(tmp_path)
        assert left.parent == tmp_path  # in results/ it would be in the way of the stage `evaluate`
        with staging(another, tmp_path) as folder:
            (folder / "metrics.json").write_text("{}")
        assert (left / "metrics.json").read_text() == "{"  # its process is alive
    with staging(another, tmp_path) as folder:
        (folder / "metrics.json").write_text("{}")
    assert parts(tmp_path) == []
    assert not (tmp_path / "results" / "deconv_painter-quadrant").exists()


def test_a_cell_has_the_files_of_one_training_when_two_end_at_once(tmp_path: Path) -> None:
    cell = tmp_path / "results" / "cell"

    def save() -> None:
        with staging(cell, tmp_path) as folder:
            for name in "ab":
                (folder / name).write_text("second")

    other = Thread(target=save)
    with at_work(MOVES_A_CELL, tmp_path):
        other.start()
        other.join(0.5)
        assert [path.read_text() for path in cell.iterdir()] == ["first"]  # the second waits
    other.join()
    assert [path.read_text() for path in cell.iterdir()] == ["second"] * 2
    assert list(tmp_path.glob(".*.lock")) == []


def test_a_file_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    """Who has it open, or another name for it, keeps the old one whole."""
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("old")
    other.hardlink_to(path)
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert (path.read_text(), other.read_text()) == ("new", "old")


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"device: '.*table.csv'"), atomic_write(tmp_path / "table.csv"):
        raise OSError(28, "No space left on device")


def test_what_a_process_of_the_same_number_left_is_not_taken_over(tmp_path: Path) -> None:
    """In containers numbers repeat."""
    (unfinished_path(tmp_path, "cell") / "old").mkdir(parents=True)
    with staging(tmp_path / "cell", tmp_path) as folder:
        assert [*folder.iterdir()] == []


def test_a_folder_of_the_results_before_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        with staging(tmp_path / "cell", tmp_path) as folder:
            (folder / "figures").mkdir()
            (folder / "figures" / name).write_text("")
    assert [path.name for path in (tmp_path / "cell" / "figures").iterdir()] == ["second.png"]


def test_results_elsewhere_are_staged_beside_them(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    with staging(tmp_path / "disk" / "cell", tmp_path / "repository") as folder:
        (folder / "metrics.json").write_text("{}")
        assert folder.parent == tmp_path / "disk"
    assert [path.name for path in (tmp_path / "disk").rglob("*")] == ["cell", "metrics.json"]


@pytest.mark.parametrize("program", [WRITES_A_FILE, STAGES_A_CELL])
def test_git_and_dvc_look_away(program: str, tmp_path: Path) -> None:
    with at_work(program, tmp_path):
        (left,) = parts(tmp_path)
    name = left.relative_to(tmp_path)
    for tool in (["git"], [sys.executable, "-m", "dvc"]):
        shown = subprocess.run(
            [*tool, "check-ignore", str(name)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert shown.stdout.split() == [str(name)], shown.stderr
