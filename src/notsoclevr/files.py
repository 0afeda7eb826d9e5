"""Files that are whole or not there, and the formats they are written in.

What is not finished stands under a name of its own, `.<name>.<host>-<process>.part<suffix>`, which git and DVC ignore.
A process that is killed cannot take it away; the next one that works in the same folder does.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import getnode


def unfinished_path(folder: Path, name: str, suffix: str = "") -> Path:
    """Return a path in `folder` for what this process has not finished, and clear what dead processes left there."""
    _clear(folder)
    return folder / f".{name}.{host()}-{os.getpid()}.part{suffix}"


def _clear(folder: Path) -> None:
    """Remove what dead processes of this host left unfinished in a folder; what cannot be removed stays."""
    ours = re.compile(rf"\..*\.{re.escape(host())}-(\d+)\.part.*", re.DOTALL)
    for path in folder.glob(".*.part*"):
        if (found := ours.fullmatch(path.name)) and not is_alive(int(found[1])):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def host() -> str:
    """Return the name of this machine with the number of its network card: others may have the name, too."""
    card = getnode()
    made_up = card >> 40 & 1  # by Python, another one in each process, where there is no card
    return socket.gethostname() if made_up else f"{socket.gethostname()}-{card:012x}"


def is_alive(process: int) -> bool:
    """Return whether this machine has a process of this number."""
    from psutil import pid_exists  # only here, since `--help` should come at once

    return bool(pid_exists(process))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place when the block ends well.

    Args:
        path: The file to write. Its folder is made if need be.

    Yields:
        The path to write to, with the suffix of `path`.

    Raises:
        OSError: The folder or the file cannot be written. `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished_path(path.parent, path.stem, path.suffix)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # that of a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staging(directory: Path, root: Path) -> Iterator[Path]:
    """Yield an empty folder outside results/; what is in it when the block ends well moves to `directory`.

    A training that is killed then leaves nothing in results/, which the stage `evaluate` depends on. What it leaves at
    the root is ignored by git and DVC, and cleared by the next training.

    Args:
        directory: Where the results go.
        root: The repository, to stage in; for a `directory` that is elsewhere, the folder around it serves.

    Raises:
        OSError: One of the folders cannot be written. `directory` then has what it had, or lacks files. It never has
            files of two trainings.
    """
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished_path(root if directory.is_relative_to(root) else directory.parent, directory.name)
    shutil.rmtree(temporary, ignore_errors=True)  # of a dead process that had this one's number
    temporary.mkdir()
    try:
        yield temporary
        with _alone(temporary.with_name(f".{directory.name}.part.lock")):
            directory.mkdir(exist_ok=True)
            made = list(temporary.iterdir())
            for old in (directory / new.name for new in made):
                if old.is_dir():
                    shutil.rmtree(old)
                else:
                    old.unlink(missing_ok=True)
            for new in made:
                shutil.move(new, directory / new.name)  # a rename, but where a file system is mounted in between
    except OSError as error:
        error.filename = error.filename or str(directory)  # that of a full disk names no file
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in a block with the same lock file, and leave none behind."""
    from filelock import FileLock  # only here, since `--help` should come at once

    with FileLock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held; who waits for it finds it gone, and makes a new one


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a CSV file whose columns are the keys of the first row, if there is one; None is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that a person can read and git can compare."""
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
