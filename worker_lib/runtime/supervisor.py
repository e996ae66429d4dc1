"""The machine's main loop: claim, run, report; one wait for all that can happen.

While the child runs a job, the outcomes of earlier ones are reported and more jobs are
fetched, so the child does not wait for Redis. How the child runs its jobs is the
business of `runner`, what Redis is told that of `exchange`, and how many jobs are held
that of `budget`.
"""

from __future__ import annotations

import time

from worker_lib import context
from worker_lib.runtime.budget import BUDGET, Pace
from worker_lib.runtime.control import ControlChannel
from worker_lib.runtime.ended import Ended
from worker_lib.runtime.exchange import Exchange
from worker_lib.runtime.held import Held
from worker_lib.runtime.lease import NOTHING_PRINTED, Lease
from worker_lib.runtime.outage import GRACE_FOR_JOBS
from worker_lib.runtime.poller import Poller
from worker_lib.runtime.release import Release
from worker_lib.runtime.runner import Runner
from worker_lib.store.claims import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker_lib.runtime.following import Following
    from worker_lib.runtime.outage import Outage
    from worker_lib.runtime.park import Parking
    from worker_lib.runtime.process import ChildProcess
    from worker_lib.runtime.reports import Reports
    from worker_lib.runtime.stop import Stop
    from worker_lib.store.claims import ClaimedJob, Intent, Word
    from worker_lib.store.machine import MachineStore

__all__ = ["Supervisor"]

# A job that takes longer is worth a second connection: on it a cancel is told. Where
# there is one, a job that takes longer is worth a command.
_LISTEN_AFTER, _LISTEN_AGAIN_AFTER = 1.0, 0.005
_NEVER = float("inf")
# What a renewed lease answers if somebody follows what the job prints.
_FOLLOWED = 2


class Supervisor:
    """Runs the jobs of one slot until there is none, or the machine must stop.

    Args:
        store: The verbs of this machine.
        child: Forked already, so that it loads what it needs meanwhile.
        fork: Makes another one; takes the descriptors that it must not keep open.
        reports: Makes what is reported of attempts.
        stop: Whether the machine was asked to stop.
        outage: Says how long to go on trying while Redis is away.
        lease_ttl: Seconds.
        max_lifetime: Seconds from its start, or wake-up, until it takes no further job.
        parking: How it parks; None if it may not.
    """

    def __init__(
        self,
        store: MachineStore,
        child: ChildProcess,
        fork: Callable[[tuple[int, ...]], ChildProcess],
        reports: Reports,
        *,
        stop: Stop,
        outage: Outage,
        lease_ttl: float,
        max_lifetime: float,
        parking: Parking | None = None,
    ) -> None:
        self._store = store
        self._make_child = fork
        self._reports = reports
        self._stop = stop
        self._outage = outage
        self._poller = Poller()
        self._held = Held()
        self._runner = Runner(child, self._fork, self._held, self._poller)
        self._exchange = Exchange(store, outage, reports, self._poller, self._take)
        self._is_called = False
        self._control = ControlChannel(store, self._poller, self._hear_word)
        self._lease = Lease(store, lease_ttl)
        # Made when somebody follows what a job prints.
        self._following: Following | None = None
        self._release = Release(store, outage, reports)
        self._pace = Pace()
        self._parking = parking
        self._max_lifetime = max_lifetime
        self._leave_at = time.monotonic() + max_lifetime
        self._idle_until = _NEVER
        # Whether the slot is given back, or somebody else's.
        self._has_left = False
        self._is_stopping = False

    def run(self) -> None:
        """Work until the pool is empty or the machine is stopped.

        Raises:
            StoreError: Redis refuses us, or was away for too long.
        """
        self._stop.catch_signals()
        self._poller.watch(self._stop.wakeup.fileno(), self._stop.heard)
        try:
            self._claim("stay")
            self._pass_on()
            self._store.prepare()
            while not self._is_over():
                self._turn()
            self._leave()
        finally:
            self._runner.close()
            self._store.close()

    def _turn(self) -> None:
        seconds = self._due_at() - time.monotonic()
        patience = self._pace.patience(self._runner.unfinished)
        self._poller.handle(self._poller.wait(seconds, patience))
        if self._stop.asked and not self._is_stopping:
            self._begin_to_stop()
        self._pass_on()
        self._act_on_time(time.monotonic())
        if self._runner.has_news:  # by that
            self._pass_on()

    def _pass_on(self) -> None:
        """Tell Redis of jobs that have ended, and the child of new ones.

        Somebody may wait for it, so all else comes after it.
        """
        for job, ended in self._runner.concluded():
            self._conclude(job, ended)
        self._runner.feed()
        self._talk()

    def _is_over(self) -> bool:
        if self._runner.unfinished or not (self._has_left or self._stop.asked):
            return False
        return self._exchange.is_done or not self._outage.has_time()

    def _begin_to_stop(self) -> None:
        self._is_stopping = True
        self._idle_until = _NEVER
        self._exchange.hurry()
        self._runner.stop(Ended("released"))

    def _leave(self) -> None:
        """Give back the slot, and with it what did not end."""
        self._exchange.give_up()
        if not self._release.all(self._runner.back) and not self._has_left:
            self._claim("leave")

    def _due_at(self) -> float:
        runner, exchange, now = self._runner, self._exchange, time.monotonic()
        moments = [runner.due_at(), exchange.due_at(), self._listen_at(now)]
        if runner.unfinished or not exchange.is_done:
            moments.append(self._tell_at())
        elif self._idle_until < _NEVER:
            moments += (self._idle_until, self._leave_at)
        if exchange.is_free:
            moments.append(exchange.oldest_at + self._pace.gather())
        if self._stop.asked_at is not None:
            moments.append(self._stop.asked_at + GRACE_FOR_JOBS)
        return min(moments)

    def _act_on_time(self, now: float) -> None:
        runner, exchange = self._runner, self._exchange
        exchange.is_patient = runner.unfinished > 0
        runner.act(now)
        exchange.act(now)
        self._renew(now)
        # However often it is woken for nothing, or its connection is cut: it waits no
        # longer than Redis said after the last job.
        if self._idle_until < _NEVER and now >= min(self._idle_until, self._leave_at):
            self._idle_until = _NEVER
            self._claim("leave_if_idle")
        elif now >= self._listen_at(now):
            self._control.act()

    def _listen_at(self, now: float) -> float:
        if self._runner.unfinished:
            began_at = now - self._runner.ran_for(now)
            first_at, again_at = (
                began_at + _LISTEN_AFTER,
                began_at + _LISTEN_AGAIN_AFTER,
            )
        else:  # while the last job is reported, it goes on as if there were no other
            first_at, again_at = (0.0 if self._idle_until < _NEVER else _NEVER), 0.0
        return self._control.listen_from(first_at, again_at)

    def _hear_word(self, word: Word) -> None:
        if word.kind == "f":
            self._follow(word.place)
        elif word.job is not None:
            self._idle_until = _NEVER
            self._lease.handed_over()
            self._hold([word.job])
        elif self._idle_until < _NEVER:
            self._claim("stay")
        elif not self._runner.unfinished:
            self._is_called = True  # before the answer came that it is to wait
        elif word.kind != "w":
            self._runner.give_back()  # it may be one of those that has not begun
            self._lease.ask()

    def _renew(self, now: float) -> None:
        runner, following = self._runner, self._following
        if now < self._tell_at():
            return
        job, progress = runner.running or self._exchange.first(), runner.progress()
        if job is None or self._exchange.awaits_answer:
            self._lease.postpone()
            if following is not None:
                following.postpone()
            return
        piece = NOTHING_PRINTED
        if following is not None and job is runner.running:
            piece = following.piece(job, runner.printed())
        answer = self._lease.renew(job, progress, piece)
        if following is not None:
            following.told(job, piece, answer)
        elif answer == _FOLLOWED:
            self._follow(f"{job.id}:{job.fence}")
        self._renewed(job, progress, answer)

    def _renewed(self, job: ClaimedJob, progress: str, answer: int | None) -> None:
        """Do what follows from the answer."""
        if answer:
            self._runner.told_progress(progress)
        elif answer == 0 and job is self._runner.running:
            self._runner.stop(Ended("dropped"))
        elif answer == 0:
            self._exchange.drop(job)

    def _tell_at(self) -> float:
        """Return when to renew the lease, or to tell what the job reports or prints."""
        runner = self._runner
        due_at = self._lease.due_at(runner.progress())
        if self._following is None:
            return due_at
        return min(due_at, self._following.due_at(runner.running, runner.printed()))

    def _follow(self, place: str) -> None:
        """Send what a job prints from now on: somebody follows it."""
        if self._following is None:
            from worker_lib.runtime.following import Following  # noqa: PLC0415 - few are

            self._following = Following(self._reports)
        self._following.begin(place)

    def _talk(self) -> None:
        """Tell Redis what it should know now, and ask for more jobs."""
        runner, exchange = self._runner, self._exchange
        if not exchange.is_free:
            return
        if self._has_left:
            runner.back.clear()  # they are not ours any more
        unfinished = runner.unfinished
        if not (runner.back or exchange or self._has_nothing(unfinished)):
            return
        want = self._want(unfinished)
        if exchange and not runner.back and not self._is_due(unfinished, want):
            return
        holds = runner.jobs()
        if self._release.job is not None:
            holds.append(self._release.job)
        back, runner.back = runner.back, []
        intent = "stay" if holds else self._intent("stay")
        exchange.start(holds, back=back, want=want, intent=intent)

    def _has_nothing(self, unfinished: int) -> bool:
        """Whether it has neither a job nor leave to wait for one."""
        if unfinished or self._idle_until < _NEVER:
            return False
        return not (self._has_left or self._stop.asked)

    def _is_due(self, unfinished: int, want: int) -> bool:
        exchange = self._exchange
        waited = time.monotonic() - exchange.oldest_at
        return self._pace.is_due(len(exchange), waited, unfinished, want)

    def _want(self, unfinished: int) -> int:
        now = time.monotonic()
        if self._has_left or self._stop.asked or now > self._leave_at:
            return 0
        if self._runner.ran_for(now) > BUDGET:
            return 0
        if not self._runner.is_proven:
            return max(0, 1 - unfinished)
        return self._pace.want(unfinished + self._exchange.left_over)

    def _intent(self, intent: Intent) -> Intent:
        over = self._stop.asked or time.monotonic() > self._leave_at
        return "leave" if over else intent

    def _claim(self, intent: Intent) -> None:
        want = max(1, self._want(0))
        step = lambda: self._store.claim(self._intent(intent), want=want)  # noqa: E731 - typed
        self._take(self._outage.retry(step) or Claim("empty"))

    def _take(self, claim: Claim) -> None:
        self._lease.renewed()
        if claim.verdict == "jobs":
            self._idle_until, self._is_called = _NEVER, False
            self._hold(claim.jobs)
        elif claim.verdict == "idle" and self._is_called:
            self._is_called = False
            self._claim("stay")
        elif claim.verdict == "idle":
            if not self._runner.unfinished:  # else it was given a job since
                until = time.monotonic() + claim.wait
                self._idle_until = min(self._idle_until, until)
        elif claim.verdict == "interrupted":
            self._release.interrupted(claim.jobs)
            self._has_left = True
        elif claim.verdict == "park":
            self._park()
        elif claim.verdict != "none":
            self._has_left = True
            self._runner.stop(Ended("dropped"))

    def _hold(self, jobs: Sequence[ClaimedJob]) -> None:
        self._held.add(jobs)
        for job in jobs:
            if job.followed:
                self._follow(f"{job.id}:{job.fence}")
        if self._parking is not None:
            self._parking.worked()
        if self._stop.asked:
            self._runner.give_back()

    def _park(self) -> None:
        """Stand still until this machine is needed again, then claim as one new."""
        if self._parking is None or not self._parking.park(self._stop):
            self._has_left = True
            return
        context.woken()
        self._runner.wake()
        self._control.forget()
        self._store.wake()
        self._leave_at = time.monotonic() + self._max_lifetime
        self._idle_until = _NEVER
        self._claim("stay")

    def _conclude(self, job: ClaimedJob, ended: Ended) -> None:
        if ended.usage.ran:
            self._pace.note(ended.usage.ran)
        if job.code_hash or not self._runner.is_proven:
            # Only what the child says it has: it may have failed before it loaded it.
            self._store.known_code = job.code_hash if ended.code_kept else ""
        if ended.status == "forgotten":
            self._runner.back.append(job)
        elif ended.status == "released":
            self._release.stopped(job, ended)
        elif ended.status == "dropped":
            if ended.printed:  # it is kept, though the job is not ours any more
                text = "the job was taken from its machine"
                ended = ended._replace(kind="lost", error=text)
                self._exchange.add(job, self._reports.released(job, ended))
        else:
            if ended.kind == "not_started":
                self._leave_at = 0.0  # the next job could not be started here either
            self._exchange.add(job, self._reports.of(job, ended))

    def _fork(self) -> ChildProcess:
        return self._make_child((*self._store.descriptors(), *self._stop.descriptors()))
