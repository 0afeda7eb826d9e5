"""What went wrong with the store, in a line that says what can be done."""

from __future__ import annotations

import re
from textwrap import shorten

from notsoclevr.errors import StudyError

# By what a store says that refuses: what can be done.
REMEDIES = {
    "was deleted": "`mlflow experiments restore --experiment-id NUMBER` brings it back",
    "was moved": "move it back, or move mlflow.db away and run `notsoclevr track`",
    "database is locked": "another program writes to it; run the command again",
    "database schema": "`mlflow db upgrade URI` brings it up to date; copy it before",
}
OTHERWISE = "if it does so again, move it away or name another in MLFLOW_TRACKING_URI"


class StoreError(StudyError):
    """The tracking store does not answer, is none, or refuses what it is asked: the message says which.

    Args:
        uri: Address of the store.
        error: What MLflow raised.
    """

    def __init__(self, uri: str, error: Exception) -> None:
        from mlflow.store.db.db_types import DATABASE_ENGINES
        from sqlalchemy.exc import ArgumentError

        scheme = uri.partition(":")[0].partition("+")[0]
        reason: BaseException = error
        if lost := _lost_connection(error, scheme):
            reason = lost
            message = "does not answer: {}; start it, or unset MLFLOW_TRACKING_URI to use mlflow.db in the repository"
        elif scheme not in (*DATABASE_ENGINES, "http", "https") or isinstance(
            error, ArgumentError | ImportError | ValueError
        ):
            message = (
                "cannot be used: {}; MLFLOW_TRACKING_URI takes sqlite:///FILE or the address of an `mlflow server`"
            )
        else:
            remedy = next((remedy for sign, remedy in REMEDIES.items() if sign in str(error)), OTHERWISE)
            message = f"refuses: {{}}; {remedy}"
        # SQLAlchemy adds the statement and a link
        said = str(reason).partition("[SQL:")[0].partition("(Background on")[0]
        said = shorten(said, 200, placeholder=" ...") or type(reason).__name__
        line = f"MLflow store {uri} {message.format(said)}"
        super().__init__(re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1:***@", line), exit_status=1)  # no passwords


def _lost_connection(error: BaseException, scheme: str) -> BaseException | None:
    """Return the first cause of an error if a connection was refused, lost or too slow, else None."""
    import requests
    from sqlalchemy.exc import OperationalError

    lost, cause = False, error
    while True:
        lost |= isinstance(cause, requests.ConnectionError | requests.Timeout)
        lost |= isinstance(cause, OperationalError) and scheme != "sqlite"  # of SQLite, the file is broken or locked
        if (before := cause.__cause__ or cause.__context__) is None:
            return cause if lost else None
        cause = before
