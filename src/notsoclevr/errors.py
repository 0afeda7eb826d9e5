"""The one error a person is meant to read."""

from __future__ import annotations

import sys

TAKE_BACK = "train it again; what is in results/ also comes back with `dvc checkout`, `dvc pull` or `dvc repro`"
PREFIX = "notsoclevr: "  # of what goes wrong, on stderr
LONGEST = 500  # characters of a message; the middle of a longer one is some value that was given


class StudyError(Exception):
    """Something a person can mend, said in one line: what it is, where, and what is allowed.

    Args:
        message: What to say; `one_line` makes one line of it.
        exit_status: 2 for wrong use (a setting, an argument, a file of the wrong kind), 1 for a world that does
            not cooperate (a full disk, a server that is down).
    """

    def __init__(self, message: str, *, exit_status: int = 2) -> None:
        super().__init__(one_line(message))
        self.exit_status = exit_status


def describe(error: BaseException) -> str:
    """Return what an error of somebody else's code says, in one line."""
    return one_line(f"{type(error).__name__}: {error}")


def why(error: BaseException) -> str:
    """Return why something failed, without the number and the path that an OSError adds to it."""
    return str(getattr(error, "strerror", None) or error)


def one_line(message: str) -> str:
    """Return a message as a line that a person can read, whatever a value in it holds.

    White space becomes single spaces, and what cannot be printed is escaped as Python writes it. Of a long message the
    beginning and the end are kept, since they say where the mistake is and what is allowed.
    """
    words = " ".join(message.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    if len(line) <= LONGEST:
        return line
    head, tail = LONGEST * 3 // 5, LONGEST * 2 // 5 - 5
    return f"{line[:head]} ... {line[-tail:]}"


def warn(message: str) -> None:
    """Say something on stderr, in one line, with the name of the program."""
    print(f"{PREFIX}{one_line(message)}", file=sys.stderr)
