"""Keeps the lease of a machine's jobs, and tells what the one that runs reports."""

from __future__ import annotations

import time

from worker_lib.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from worker_lib.runtime.reports import SentPiece
    from worker_lib.store.claims import ClaimedJob
    from worker_lib.store.machine import MachineStore

__all__ = ["Lease"]

NOTHING_PRINTED = (0, 0, b"")
_PROGRESS_EVERY = 0.25
# While Redis is away, and while a command is under way.
_AGAIN_IN = 1.0
_SOON = 0.05
# A job that was handed over with a word counts as taken only once it is renewed.
_HANDED_OVER = 2.0


class Lease:
    """When it is to be renewed.

    Args:
        store: To renew it through.
        ttl: Seconds; renewed after a third of it.
    """

    def __init__(self, store: MachineStore, ttl: float) -> None:
        self._store = store
        self._every = ttl / 3
        self._due_at = time.monotonic() + self._every
        self._progress_at = 0.0

    def due_at(self, progress: str) -> float:
        """Return when to renew, or to tell this progress."""
        return min(self._due_at, self._progress_at) if progress else self._due_at

    def renewed(self) -> None:
        """Note that another command has renewed it."""
        self._due_at = time.monotonic() + self._every

    def handed_over(self) -> None:
        """Note that a job came with a word, which did not renew it for long."""
        self._due_at = min(self._due_at, time.monotonic() + _HANDED_OVER)

    def ask(self) -> None:
        """Renew at once: the reply says whether the job is still ours."""
        self._due_at = 0.0

    def postpone(self, seconds: float = _SOON) -> None:
        """Wait a moment: a command is under way."""
        self._due_at = self._progress_at = time.monotonic() + seconds

    def renew(
        self, job: ClaimedJob, progress: str, piece: SentPiece = NOTHING_PRINTED
    ) -> int | None:
        """Renew it; return what `heartbeat` does, None if nobody knows."""
        try:
            told = self._store.heartbeat(job, progress, piece)
        except StoreError:
            self.postpone(min(_AGAIN_IN, self._every))
            return None
        now = time.monotonic()
        self._due_at, self._progress_at = now + self._every, now + _PROGRESS_EVERY
        return told
