"""Where experiments run: Dask workers, started here for one study or by somebody else on many machines."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Client, Future, LocalCluster
from filelock import FileLock, Timeout

from notsoclevr.errors import StudyError, describe

CONNECT_TIMEOUT = 15  # seconds that a scheduler has to answer
SETTINGS: dict[str, Any] = {  # of Dask, for workers on this machine
    "distributed.scheduler.worker-saturation": 1.0,  # one experiment at a time: a second would die with its worker, too
    "distributed.scheduler.worker-ttl": None,  # a clock that was set forward makes no worker dead
    "distributed.deploy.lost-worker-timeout": "24 h",  # on a busy machine a new process takes longer than the 15 s
    "distributed.scheduler.no-workers-timeout": "10 m",  # when none comes back the study ends, and does not hang
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.preload": ["notsoclevr.studies.worker"],  # for its dask_setup
    # Dask's own but for MALLOC_TRIM_THRESHOLD_, with which every large tensor is new memory, which takes time
    "distributed.nanny.pre-spawn-environ": dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1
    ),
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
        address: The address of its scheduler, as tcp://host:8786.

    Yields:
        A client.

    Raises:
        StudyError: No scheduler answers.
    """
    _silence()
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT)
    except (OSError, ValueError, TypeError) as error:  # a TypeError: an address of TLS, whose settings are missing
        raise StudyError(f"--scheduler {address}: no scheduler answers: {describe(error)}", exit_status=1) from None
    with client:
        yield client


@contextmanager
def alone(folder: Path, doing: str) -> Iterator[Callable[[], None]]:
    """Keep other processes from working in a folder, and defer Ctrl-C and SIGTERM.

    Args:
        folder: Of a study or of the search for a recipe.
        doing: What the other process is doing, for the message.

    Yields:
        A function that raises what was asked for in the meantime, see `deferred_stop`.

    Raises:
        StudyError: Another process works in it.
    """
    try:
        lock = FileLock(folder / ".study.lock", timeout=0).acquire()
    except Timeout:
        raise StudyError(f"{folder}: another process is {doing}", exit_status=1) from None
    with lock, deferred_stop() as stop:
        yield stop


@contextmanager
def deferred_stop() -> Iterator[Callable[[], None]]:
    """Hold back Ctrl-C and SIGTERM until the caller asks for them, so that they interrupt nothing half done.

    A signal that raises wherever this process happens to be may leave a lock behind that the threads of Dask wait for.

    Yields:
        A function that raises what was asked for in the meantime: KeyboardInterrupt, or SystemExit.
    """
    asked: list[int] = []

    def stop() -> None:
        if asked:
            raise KeyboardInterrupt if asked[0] == signal.SIGINT else SystemExit(128 + asked[0])

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class Pending:
    """Futures that are waited for; more may be added while others run.

    Args:
        stop: Raises what the user asked for in the meantime; called before each that ended, and every second.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._left = 0
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def add(self, future: Future[Any]) -> None:
        """Wait for another future too."""
        self._left += 1
        future.add_done_callback(self._ended.put)

    def __iter__(self) -> Iterator[Future[Any]]:
        """Yield futures as they end, until none is left or the user wants to stop: then those that have ended."""
        while self._left:
            try:
                self._stop()
            except BaseException:
                for _ in range(self._ended.qsize()):
                    yield self._ended.get()
                raise
            try:
                future = self._ended.get(timeout=1)
            except Empty:
                continue
            self._left -= 1
            yield future
