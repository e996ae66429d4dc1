"""Sends what the job that runs prints, while somebody follows it.

It goes with the lease's renewal, once a second at most. The first piece of an attempt
is all that is kept so far, and so is one after many others: Redis then drops those.
"""

from __future__ import annotations

import time

from worker_lib.runtime.lease import NOTHING_PRINTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from worker_lib.runtime.output import Kept
    from worker_lib.runtime.reports import Reports, SentPiece
    from worker_lib.store.claims import ClaimedJob

__all__ = ["Following"]

# A little less than a second, of which the way to the reader is a part.
_EVERY = 0.95
# What is printed right after belongs to the same piece: the end of a line, for one.
_GATHER = 0.02
# While a command is under way, and after one that failed.
_SOON, _LATER = 0.05, 3.0
# Of pieces since the last one that was all so far.
_MOST_BYTES = 1 << 19
_MOST_PLACES = 64
_NEVER = float("inf")


class Following:
    """What somebody follows, and up to where it was sent.

    Args:
        reports: Seals the pieces.
    """

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        # Jobs and fences that were named, and do not run yet.
        self._places: set[str] = set()
        self._running = ""
        self._is_followed = self._has_more = False
        self._at = self._sent_bytes = 0
        self._due_at = 0.0

    def begin(self, place: str) -> None:
        """Follow a job: its id and fence, with a colon between them."""
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places.add(place)

    def due_at(self, job: ClaimedJob | None, printed: Kept) -> float:
        """Return when there is something to send of the job that runs."""
        if job is None:
            return _NEVER
        self._turn_to(f"{job.id}:{job.fence}")
        if not self._is_followed or not printed or len(printed) <= self._at:
            return _NEVER
        if not self._has_more:
            self._has_more = True
            self.postpone(_GATHER)
        return self._due_at

    def piece(self, job: ClaimedJob, printed: Kept) -> SentPiece:
        """Return what is to be sent now, if anything is due."""
        if time.monotonic() < self.due_at(job, printed):
            return NOTHING_PRINTED
        if self._sent_bytes > _MOST_BYTES:
            self._at = self._sent_bytes = 0
        return self._reports.sent(job, printed, self._at)

    def postpone(self, seconds: float = _SOON) -> None:
        """Send nothing sooner than so many seconds from now."""
        self._due_at = max(self._due_at, time.monotonic() + seconds)

    def told(self, job: ClaimedJob, piece: SentPiece, answer: int | None) -> None:
        """Note what came of sending a piece, or of telling nothing.

        Args:
            job: The one that runs.
            piece: What was sent.
            answer: Of `Lease.renew`.
        """
        place = f"{job.id}:{job.fence}"
        if place != self._running:  # it has ended, and waits to be reported
            return
        if answer is None:
            self.postpone(_LATER)
        elif answer == 1:
            self._is_followed = False
        elif not self._is_followed:
            self.begin(place)
        if answer and piece[2]:
            self._at, self._sent_bytes = piece[1], self._sent_bytes + len(piece[2])
            self._due_at, self._has_more = time.monotonic() + _EVERY, False

    def _turn_to(self, place: str) -> None:
        if place != self._running:
            self._running, self._is_followed = place, False
        if place in self._places:
            self._places.discard(place)
            self._is_followed, self._has_more = True, False
            self._at = self._sent_bytes = 0
            self._due_at = 0.0
