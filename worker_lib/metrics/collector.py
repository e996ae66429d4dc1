"""Reads Redis for a scrape; scrapes at about the same time share one reading."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker_lib.errors import WorkerLibError
from worker_lib.inspection import counted, machines, overview
from worker_lib.logs import get_logger
from worker_lib.metrics.families import Room, counted_families, present_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from worker_lib.inspection import MachineSeen, Overview, Tally

__all__ = ["JobsCollector", "Reading", "read"]

log = get_logger("metrics")

# Seconds for which a reading is good; Prometheus asks every 15 unless told otherwise.
_KEEP = 10.0


class Reading(NamedTuple):
    """What Redis told for one scrape.

    Attributes:
        counts: Since the first job.
    """

    overview: Overview
    machines: Sequence[MachineSeen]
    counts: Tally


def read() -> Reading:
    """Return what there is now.

    Raises:
        StoreUnavailable: Redis cannot be reached.
        ConfigError: this process is not set up.
    """
    return Reading(overview(), machines(), counted().of_all_time())


class JobsCollector(Collector):
    """The metrics of this process's namespace, for a registry of prometheus-client.

    Args:
        reading: Reads Redis.
        keep: Seconds for which a reading is told to all who ask.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        reading: Callable[[], Reading] = read,
        *,
        keep: float = _KEEP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._families: list[Metric] = []
        self._good_until = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that no registry asks Redis when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; only `worker_lib_up 0` while Redis cannot be read."""
        with self._lock:
            if self._clock() >= self._good_until:
                self._families = self._read()
                self._good_until = self._clock() + self._keep
            families = self._families
        yield from families

    def _read(self) -> list[Metric]:
        try:
            seen = self._reading()
        except WorkerLibError as error:
            log.warning("metrics_unread", extra={"reason": str(error)})
            return [_up(0)]
        room = Room()
        return [
            _up(1),
            *counted_families(seen.counts, room),
            *present_families(seen.overview, seen.machines, room),
            room.family(),
        ]


def _up(value: int) -> GaugeMetricFamily:
    text = "1 if Redis could be read; nothing else is told if it could not."
    return GaugeMetricFamily("worker_lib_up", text, value=value)
