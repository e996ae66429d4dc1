"""`Queue`: pause, resume, empty and look at a queue, from any process."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

from worker_lib import checks, labels
from worker_lib.client.client import default_client
from worker_lib.job import WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from worker_lib.store.replies import QueueSeen

__all__ = ["Queue", "queues"]

# Nobody else is served by Redis meanwhile.
_CANCELLED_AT_ONCE = 200


class Queue:
    """A queue of this namespace, of all tasks and pools together.

    Attributes:
        name: As tasks and calls give it.
    """

    def __init__(self, name: str) -> None:
        """Name a queue, whether or not anything waits in it.

        Raises:
            ConfigError: it is no name of a queue.
        """
        self.name = labels.queue_name(name, "queue")

    def __repr__(self) -> str:
        """Name the queue."""
        return f"<Queue {self.name}>"

    def __eq__(self, other: object) -> bool:
        """Two handles on one queue are equal."""
        return isinstance(other, Queue) and other.name == self.name

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.name)

    def pause(self) -> None:
        """Have machines take no job of this queue, until `resume`; idempotent.

        Jobs that run go on. Calls are stored and wait; their time to wait runs on
        (`expires`, `WORKER_LIB_PENDING_TTL`).

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        default_client().store.pause(self.name)

    def resume(self) -> None:
        """Have machines take jobs of this queue again; idempotent.

        Machines are asked for in the background, as by `delay`.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        default_client().resume(self.name)

    def purge(self, *, within: float | str | timedelta | None = None) -> int:
        """Cancel every job that waits in it; return how many those were.

        What runs goes on; what is stored meanwhile may stay. The cancelled jobs are
        kept as long as an outcome is, so `Job.retry` can run them again.

        Args:
            within: Stop after this time, in seconds or as `"20s"`; what is left goes on
                to wait. None: do not stop before the end.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        store = default_client().store.batches
        ends = math.inf if within is None else checks.seconds(within, "within")
        began, count, waiting = time.monotonic(), 0, self._all_waiting()
        while part := [*itertools.islice(waiting, _CANCELLED_AT_ONCE)]:
            count += sum(store.cancel_waiting(part))
            if time.monotonic() - began >= ends:
                break
        return count

    def _all_waiting(self) -> Iterator[str]:
        """Yield the ids of jobs that wait, last those that others become meanwhile."""
        from worker_lib.client.inspection import iter_jobs  # noqa: PLC0415 - it is for people

        for status in sorted(WAITING, key=lambda one: (one == "queued", one)):
            yield from (job.id for job in iter_jobs(queue=self.name, status=status))

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        seen = self._seen()
        return seen is not None and seen.paused_at is not None

    @property
    def waiting(self) -> int:
        """How many jobs could run now, were there machines and no pause."""
        seen = self._seen()
        return 0 if seen is None else seen.waiting

    def _seen(self) -> QueueSeen | None:
        return next((one for one in queues() if one.name == self.name), None)


def queues() -> list[QueueSeen]:
    """Return every queue that has jobs waiting or is paused, by name.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    return default_client().store.queues()
