"""Where experiments run: Dask workers, started here for one study or by somebody else on many machines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Client, LocalCluster

from notsoclevr.errors import StudyError, describe

CONNECT_TIMEOUT = 15  # seconds that a scheduler has to answer
SETTINGS: dict[str, Any] = {  # of Dask, for workers on this machine
    "distributed.scheduler.worker-saturation": 1.0,  # none holds another experiment, which would die with its own
    "distributed.scheduler.worker-ttl": None,  # a clock that was set forward makes no worker dead
    "distributed.deploy.lost-worker-timeout": "24 h",  # on a busy machine a new process takes longer than the 15 s
    "distributed.scheduler.no-workers-timeout": "10 m",  # when none comes back the study ends, and does not hang
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": ["notsoclevr.studies.trial"],  # for its dask_setup
}


def _silence() -> None:
    """Keep Dask from writing pages of a worker or a connection that was lost; a row or the line of an error says it."""
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Start workers on this machine, processes of one thread; one that dies is started again.

    Args:
        workers: How many.

    Yields:
        A client. When the block is left they are stopped, whatever they are working on. They end with this process
        too, however it ends.
    """
    _silence()
    with (
        TemporaryDirectory(prefix="notsoclevr-study-") as scratch,
        dask.config.set(SETTINGS | {"temporary-directory": scratch}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # what is too much, the system decides
            security=True,  # else other users of the machine could have the workers run anything
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else 8787, with a warning if it is taken
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_cluster(address: str) -> Iterator[Client]:
    """Connect to a running cluster.

    Args:
        address: Of its scheduler, as tcp://host:8786.

    Yields:
        A client.

    Raises:
        StudyError: No scheduler answers.
    """
    _silence()
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:
        raise StudyError(f"--scheduler {address}: no scheduler answers: {describe(error)}", exit_status=1) from None
    with client:
        yield client
