"""Files that are whole or not there.

What is not finished stands under a name of its own, `.<name>.<host>-<process>.part<suffix>`, which git and DVC ignore.
A process that is killed cannot take it away; the next one that works in the same folder does.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def part(folder: Path, name: str, suffix: str = "") -> Path:
    """Return a path in `folder` for what this process has not finished, and clear what dead processes left there."""
    _clear(folder)
    return folder / f".{name}.{socket.gethostname()}-{os.getpid()}.part{suffix}"


def _clear(folder: Path) -> None:
    """Remove from a folder what processes of this host that are no more left unfinished there, as far as we may."""
    ours = re.compile(rf"\..*\.{re.escape(socket.gethostname())}-(\d+)\.part.*", re.DOTALL)
    for path in folder.glob(".*.part*"):
        if (found := ours.fullmatch(path.name)) and not _is_alive(int(found[1])):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_alive(process: int) -> bool:
    from psutil import pid_exists  # only here, since `--help` should come at once

    return bool(pid_exists(process))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place when the block ends well.

    Args:
        path: The file to write. Its folder is made if need be.

    Yields:
        The path to write to, with the suffix of `path`.

    Raises:
        OSError: The folder or the file cannot be written. `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = part(path.parent, path.stem, path.suffix)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
