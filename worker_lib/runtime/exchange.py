"""What a machine tells Redis of its jobs while the child runs the next ones.

One command is under way at a time. What comes up meanwhile goes with the next one. A
command whose reply did not come is sent again as it was: it may have been carried out.
"""

from __future__ import annotations

import time

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime.budget import MOST_REPORTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import NamedTuple

    from worker_lib.runtime.outage import Outage
    from worker_lib.runtime.poller import Poller
    from worker_lib.runtime.reports import Reports
    from worker_lib.store.claims import Claim, ClaimedJob, Intent, Report
    from worker_lib.store.machine import MachineStore
else:
    from worker_lib.records import NamedTuple, deque

__all__ = ["Exchange"]

# As for any command.
_ANSWER_WITHIN = 10.0
_HURRIED = 2.0
# Of reports in one command, unless one is larger.
_MOST_BYTES = 1 << 20


class _Command(NamedTuple):
    """A command under way, or to be sent again."""

    reports: list[tuple[ClaimedJob, Report]]
    back: list[ClaimedJob]
    holds: list[ClaimedJob]
    want: int
    intent: Intent
    is_small: bool = False


class Exchange:
    """Reports what ended, gives back what did not begin, and claims more.

    Args:
        store: The verbs of this machine.
        outage: Says how long to go on trying.
        reports: Makes smaller reports for a Redis that is full.
        poller: Tells when Redis has answered.
        take: Is given what it answered.

    Attributes:
        oldest_at: When the oldest report came; infinity if there is none.
        is_patient: Whether to go on trying for as long as it takes: a job runs.
    """

    def __init__(
        self,
        store: MachineStore,
        outage: Outage,
        reports: Reports,
        poller: Poller,
        take: Callable[[Claim], None],
    ) -> None:
        self._store = store
        self._outage = outage
        self._reports = reports
        self._poller = poller
        self._take = take
        self._descriptor = -1
        self._waiting: deque[tuple[ClaimedJob, Report]] = deque()
        self._command: _Command | None = None
        self._most = MOST_REPORTS
        self._answer_by = float("inf")
        self._again_at = float("inf")
        self.oldest_at = float("inf")
        self.is_patient = False

    @property
    def is_free(self) -> bool:
        """Whether a command can be sent now."""
        return self._command is None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to be told, and nothing under way."""
        return not (self._command or self._waiting)

    @property
    def awaits_answer(self) -> bool:
        """Whether a command was sent, so that no other one may be."""
        return self._descriptor >= 0

    def __len__(self) -> int:
        """Return how many reports wait."""
        return len(self._waiting)

    @property
    def left_over(self) -> int:
        """How many reports will wait on, as the next command has no room for them."""
        return max(0, len(self._waiting) - self._most)

    def add(self, job: ClaimedJob, report: Report) -> None:
        """Have an outcome reported with the next command."""
        if not self._waiting:
            self.oldest_at = time.monotonic()
        self._waiting.append((job, report))

    def first(self) -> ClaimedJob | None:
        """Return a job whose report Redis does not have yet."""
        reports = self._command.reports if self._command else self._waiting
        return reports[0][0] if reports else None

    def drop(self, job: ClaimedJob) -> None:
        """Report an outcome no more: the job is somebody else's."""
        self._waiting = deque(one for one in self._waiting if one[0] != job)
        if self._command is not None:
            left = [one for one in self._command.reports if one[0] != job]
            self._command = self._command._replace(reports=left)

    def start(
        self,
        holds: list[ClaimedJob],
        *,
        back: list[ClaimedJob],
        want: int,
        intent: Intent,
    ) -> None:
        """Send what waits.

        Args:
            holds: The jobs that have not ended; those that wait here are added.
            back: Those that are given back.
            want: How many more to claim.
            intent: As for `MachineStore.claim`.
        """
        reports = self._next_reports()
        holds += [job for job, _ in self._waiting]
        self.oldest_at = time.monotonic() if self._waiting else float("inf")
        self._command = _Command(reports, back, holds, want, intent)
        self._send()

    def due_at(self) -> float:
        """Return when `act` has something to do."""
        return min(self._answer_by, self._again_at)

    def act(self, now: float) -> None:
        """Send a command again whose reply has not come.

        Raises:
            StoreError: Redis refuses us, or was away for too long.
        """
        if now >= self._answer_by:
            self.give_up()
            self._failed(StoreUnavailable("Redis does not answer"))
        elif now >= self._again_at:
            self._send()

    def hurry(self) -> None:
        """Wait for no answer longer than two seconds from now on."""
        self._store.hurry()
        if self.awaits_answer:
            self._answer_by = min(self._answer_by, time.monotonic() + _HURRIED)

    def give_up(self) -> None:
        """Wait for no answer any more, so that other verbs can be called."""
        if self.awaits_answer:
            self._stop_waiting()
            self._store.wire.close()

    def _next_reports(self) -> list[tuple[ClaimedJob, Report]]:
        chosen: list[tuple[ClaimedJob, Report]] = []
        size = 0
        while self._waiting and len(chosen) < self._most:
            size += _size(self._waiting[0])
            if chosen and size > _MOST_BYTES:
                break
            chosen.append(self._waiting.popleft())
        return chosen

    def _send(self) -> None:
        command = self._command
        if command is None:
            return
        self._again_at = float("inf")
        self._answer_by = time.monotonic() + min(
            _ANSWER_WITHIN, self._store.wire.longest
        )
        try:
            self._store.begin_finish(
                command.reports,
                intent=command.intent,
                want=command.want,
                holds=command.holds,
                back=command.back,
            )
        except StoreUnavailable as error:
            self._failed(error)
            return
        self._descriptor = self._store.wire.fileno()
        self._poller.watch(self._descriptor, self._hear)

    def _hear(self) -> None:
        try:
            if not self._store.wire.has_reply():
                return
            finished = self._store.end_finish()
        except StoreUnavailable as error:
            self._failed(error)
            return
        self._stop_waiting()
        self._outage.answered()
        self._command, self._most = None, MOST_REPORTS
        self._take(finished.claim)

    def _stop_waiting(self) -> None:
        self._poller.forget(self._descriptor)
        self._descriptor = -1
        self._answer_by = float("inf")

    def _failed(self, error: StoreUnavailable) -> None:
        self._stop_waiting()
        pause = 0.0
        try:
            pause = self._outage.failed(error, gives_up=not self.is_patient)
        except StoreUnavailable:
            if error.reason != "full" or not self._make_smaller():
                raise
        self._again_at = time.monotonic() + pause
        if error.reason == "full":
            self._take_apart()

    def _take_apart(self) -> None:
        """Report one outcome at a time: the smallest may fit, and nothing was done."""
        command, self._most = self._command, 1
        if command is None or len(command.reports) < 2:
            return
        first, *others = sorted(command.reports, key=_size)
        self._waiting.extendleft(reversed(others))
        holds = [*command.holds, *(job for job, _ in others)]
        self._command = command._replace(reports=[first], holds=holds)

    def _make_smaller(self) -> bool:
        """Replace an outcome by one that says why; False if that was done already."""
        command = self._command
        if command is None or command.is_small:
            return False
        smaller = [
            (job, self._reports.smaller(job, one)) for job, one in command.reports
        ]
        self._command = command._replace(reports=smaller, is_small=True)
        return True


def _size(told: tuple[ClaimedJob, Report]) -> int:
    return len(told[1].outcome) + len(told[1].output)
