"""Has the child run the jobs that a machine holds, and sees to it that they end.

The child ends an attempt by reporting an outcome, or by ending itself. The supervisor
ends it when the time is over, the job is no longer ours, or the machine must stop: the
child is asked to stop, and killed then, or after a grace period. Once that is decided,
nothing that the child reports changes it.

Jobs that have not begun can be given back at any time. They are when the child ends, so
that a crash is held against the job that ran and no other.
"""

from __future__ import annotations

import time

from worker_lib.runtime.budget import BUDGET
from worker_lib.runtime.ended import Ended, died
from worker_lib.runtime.link import ChildLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from typing import NamedTuple

    from worker_lib.runtime.held import Held
    from worker_lib.runtime.output import Kept
    from worker_lib.runtime.poller import Poller
    from worker_lib.runtime.process import ChildProcess, Death
    from worker_lib.store.claims import ClaimedJob
else:
    import _signal as signal  # see `process`

    from worker_lib.records import NamedTuple

__all__ = ["Runner"]

# From asking the child to end its job to killing it.
_GRACE = 2.0
_NEVER = float("inf")


class _Decision(NamedTuple):
    """How the job that runs is to end."""

    job: ClaimedJob
    ended: Ended
    kill_at: float


class Runner:
    """The jobs of one machine, and the child that runs them.

    Args:
        child: Forked already, so that it loads what it needs meanwhile.
        fork: Makes another one.
        held: Where jobs wait that come in.
        poller: Tells when the child has said something.

    Attributes:
        back: Jobs that did not begin, to be given back.
    """

    def __init__(
        self,
        child: ChildProcess,
        fork: Callable[[], ChildProcess],
        held: Held,
        poller: Poller,
    ) -> None:
        self._fork = fork
        self._held = held
        self._poller = poller
        self._link = ChildLink(child, poller)
        self._decision: _Decision | None = None
        # Whether the end of the child has had its consequences.
        self._buried = False
        # Ended without a child.
        self._ended: list[tuple[ClaimedJob, Ended]] = []
        self.back: list[ClaimedJob] = []

    @property
    def running(self) -> ClaimedJob | None:
        """The job that runs, or is the next to run."""
        return self._link.sent[0] if self._link.sent else None

    @property
    def unfinished(self) -> int:
        """How many jobs have not ended."""
        return len(self._link.sent) + len(self._held.waiting)

    @property
    def is_proven(self) -> bool:
        """Whether the child has run a job, and lives."""
        return self._link.death is None and self._link.process.has_run

    @property
    def has_news(self) -> bool:
        """Whether jobs have ended, or are to be given back or sent to the child."""
        link = self._link
        unburied = link.death is not None and not self._buried
        waits = self._held.waiting or self.back
        return bool(link.ended or self._ended or waits or unburied)

    def jobs(self) -> list[ClaimedJob]:
        """Return the jobs that have not ended."""
        return [*self._link.sent, *self._held.waiting]

    def feed(self) -> None:
        """Send the child what waits, as far as it should have it."""
        waiting = self._held.waiting
        if not waiting or self._decision is not None:
            return
        death = self._link.death
        if death is not None and not self._never_began(death):
            try:
                self._link = ChildLink(self._fork(), self._poller)
                self._buried = False
            except OSError as error:
                text = f"the machine cannot start a process for the task: {error}"
                self._fail_next(Ended("failed", "not_started", text))
                return
        if self._link.death is not None:
            self._fail_next(died(self._link.death))
            return
        self._link.send(waiting)

    def wake(self) -> None:
        """Note that the machine was suspended."""
        self._link.wake()

    def concluded(self) -> Iterator[tuple[ClaimedJob, Ended]]:
        """Yield the jobs that have ended since the last time, and how."""
        link = self._link
        while link.ended:
            job, ended = link.ended.popleft()
            yield job, self._as_decided(job, ended)
        if link.death is not None and not self._buried:
            self._buried = True
            self._conclude_rest(link)
        while self._ended:
            yield self._ended.pop(0)

    def give_back(self, *, but_one: bool = False) -> None:
        """Give back what has not begun.

        Args:
            but_one: Leave one to a child that has not begun any yet.
        """
        if self._link.death is None:
            self.back += self._link.take_back(but_one=but_one)
        self.back += self._held.take_all()

    def stop(self, ended: Ended) -> None:
        """Give back what has not begun, and end the job that runs."""
        self.give_back()
        self._link.look()  # it may have ended by itself
        job = self.running
        if job is None or self._decision is not None:
            return
        self._decision = _Decision(job, ended, time.monotonic() + _GRACE)
        number = signal.SIGXCPU if ended.kind == "timeout" else signal.SIGTERM
        self._link.process.interrupt(number)

    def progress(self) -> str:
        """Return what the job that runs has reported since the last time."""
        job = self.running
        if job is None:
            return ""
        return self._link.progress.get((job.id, job.fence), "")

    def told_progress(self, text: str) -> None:
        """Note that this was told."""
        job, progress = self.running, self._link.progress
        if job is not None and progress.get((job.id, job.fence)) == text:
            progress[job.id, job.fence] = ""

    def printed(self) -> Kept:
        """Return what the job that runs has printed so far."""
        return self._link.process.output.so_far()

    def ran_for(self, now: float) -> float:
        """Return for how many seconds the running job has run; 0 without one."""
        return now - self._link.began_at if self._link.sent else 0.0

    def due_at(self) -> float:
        """Return when `act` has something to do."""
        link = self._link
        if not link.sent:
            return link.kill_at if link.death is None else _NEVER
        moments = link.kill_at, link.hear_output_at
        if self._decision is not None:
            return min(self._decision.kill_at, *moments)
        ends_at = link.began_at + link.sent[0].timeout
        tired_at = self._tired_at() if self.unfinished > 1 else _NEVER
        return min(ends_at, tired_at, *moments)

    def act(self, now: float) -> None:
        """Do what is due: end what takes too long."""
        link, decision = self._link, self._decision
        if link.death is not None:
            return
        if now >= link.hear_output_at:
            link.hear_output()
        if now >= link.kill_at or (decision is not None and now >= decision.kill_at):
            link.kill()
        elif not link.sent:
            return
        elif decision is None and now >= link.began_at + link.sent[0].timeout:
            self._out_of_time(link.sent[0])
        elif now >= self._tired_at() and self.unfinished > 1:
            self.give_back(but_one=True)

    def close(self) -> None:
        """Kill the child."""
        self._link.kill()

    def _tired_at(self) -> float:
        """Return when other machines should have what waits behind the running job."""
        return self._link.began_at + BUDGET

    def _out_of_time(self, job: ClaimedJob) -> None:
        text = f"the attempt ran longer than its timeout of {job.timeout:g} s"
        ended = Ended("failed", "timeout", text)
        self.stop(ended)
        if job in self.back:  # the child has not even come so far as to begin it
            self.back.remove(job)
            self._ended.append((job, ended))
            self._link.kill()

    def _as_decided(self, job: ClaimedJob, ended: Ended) -> Ended:
        decision = self._decision
        if decision is None or decision.job is not job:
            return ended
        self._decision = None
        # What it was doing, and what it started, ends with it.
        self._link.kill()
        decided = decision.ended._replace(usage=ended.usage, printed=ended.printed)
        # What the child itself reports of a time-out has the traceback.
        if ended.kind == decided.kind == "timeout":
            return decided._replace(envelope=ended.envelope)
        return decided

    def _conclude_rest(self, link: ChildLink) -> None:
        """The child has ended: what it did not begin is for others."""
        rest = [*link.sent, *self._held.take_all()]
        link.sent.clear()
        if link.death is not None and self._never_began(link.death) and rest:
            self._ended.append((rest.pop(0), died(link.death)))
        self.back += rest

    def _never_began(self, death: Death) -> bool:
        """Whether the child could not run any job: another one could not, either."""
        return death.kind == "not_started" and not self._link.process.has_run

    def _fail_next(self, ended: Ended) -> None:
        first, *others = self._held.take_all()
        self._ended.append((first, ended))
        self.back += others
