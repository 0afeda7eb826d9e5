"""What MLflow remembers: the only package that imports mlflow.

It takes plain records, of runs (`Run`) and of what came of them (`Outcome`), and knows nothing of who makes them.
"""

from notsoclevr.tracking.artifacts import check_files
from notsoclevr.tracking.errors import StoreError
from notsoclevr.tracking.feed import Feed
from notsoclevr.tracking.records import Data, Network, Outcome, Point, Run
from notsoclevr.tracking.store import Store, connect, status_after

__all__ = [
    "Data",
    "Feed",
    "Network",
    "Outcome",
    "Point",
    "Run",
    "Store",
    "StoreError",
    "check_files",
    "connect",
    "status_after",
]
