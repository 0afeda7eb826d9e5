"""The one error a person is meant to read."""


class StudyError(Exception):
    """Something a person can mend, said in one line: what it is, where, and what is allowed.

    Args:
        message: The line.
        exit_status: 2 for wrong use (a setting, an argument, a file of the wrong kind), 1 for a world that does
            not cooperate (a full disk, a server that is down).
    """

    def __init__(self, message: str, *, exit_status: int = 2) -> None:
        super().__init__(message)
        self.exit_status = exit_status
