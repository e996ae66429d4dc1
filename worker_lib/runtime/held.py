"""The jobs that a machine holds, and has not yet sent to its child."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from worker_lib.store.claims import ClaimedJob
else:
    from worker_lib.records import deque

__all__ = ["Held"]

# Several times what a machine holds at once.
_MOST_SEEN = 256


class Held:
    """Jobs in the order in which they were claimed, each of them once.

    A job may come twice: with the word that wakes the machine, and with an answer that
    Redis gives because the machine did not know of it yet.

    Attributes:
        waiting: Those that were not sent to the child.
    """

    __slots__ = ("_seen", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[ClaimedJob] = deque()
        self._seen: dict[tuple[str, str], None] = {}

    def add(self, jobs: Iterable[ClaimedJob]) -> None:
        """Add those that have not come before."""
        for job in jobs:
            place = (job.id, job.fence)
            if place not in self._seen:
                self._seen[place] = None
                self.waiting.append(job)
        while len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]

    def take_all(self) -> list[ClaimedJob]:
        """Return the waiting ones, and hold them no more."""
        jobs = list(self.waiting)
        self.waiting.clear()
        return jobs
