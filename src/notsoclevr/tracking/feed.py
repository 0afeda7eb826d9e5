"""Metrics on their way to a run that is under way, and what MLflow takes them as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from notsoclevr.tracking.records import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

GRACE = 10  # seconds that a call under way has to end


def to_metrics(
    points: Sequence[Point], begun: int, model_id: str | None = None, digests: Mapping[str, str] | None = None
) -> list[Metric]:
    """Return points as MLflow takes them: the same points always give the same metrics, and the store keeps each once.

    Args:
        points: The points.
        begun: When their run began, in milliseconds.
        model_id: The id of the network that the run ends with, if it is logged already.
        digests: MLflow's fingerprints of datasets, by name.
    """
    from mlflow.entities import Metric

    metrics = []
    for point in points:
        link = {}
        if point.of_network and model_id:
            link["model_id"] = model_id
            if digests and point.data in digests:
                link |= {"dataset_name": point.data, "dataset_digest": digests[point.data]}
        metrics.append(Metric(point.name, point.value, begun + round(1000 * point.seconds), point.step, **link))
    return metrics


class Feed:
    """Sends the metrics of a run that is under way, in a thread: `add` returns at once.

    At the first failure it stops, and when it is closed it leaves what has not been sent. Nothing is lost by that,
    since `Store.finish` sends all of it again.

    MLflow's own `log_batch(synchronous=False)` is not used: with a store that is down, it tries again for as long as
    there is anything to send, and the process cannot end before that.

    Args:
        client: The client of the store.
        run_id: The id of the run.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._added: SimpleQueue[Sequence[Point]] = SimpleQueue()
        self._closed = False
        self._thread: Thread | None = None

    def add(self, points: Sequence[Point]) -> None:
        """Take what was measured, and return at once."""
        self._added.put(points)
        if not self._thread:
            # not earlier: a call to a server draws from `random`, as Keras does for the first weights
            self._thread = Thread(target=self._send, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop sending, and wait some seconds for the call that is under way."""
        self._closed = True
        self._added.put(())
        if self._thread:
            self._thread.join(GRACE)

    def _send(self) -> None:
        with suppress(Exception):
            begun = self._client.get_run(self._run_id).info.start_time
            while (points := self._added.get()) and not self._closed:
                self._client.log_batch(self._run_id, metrics=to_metrics(points, begun))
