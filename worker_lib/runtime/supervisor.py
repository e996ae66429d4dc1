"""The machine's main loop: claim, hand to the child, watch, report, take the next."""

from __future__ import annotations

import math
import select
import time

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.runtime.outage import GRACE_FOR_JOBS
from worker_lib.runtime.watch import Ended, Watch, died
from worker_lib.store.backoff import Backoff
from worker_lib.store.machine import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.runtime.outage import Outage
    from worker_lib.runtime.park import Parking
    from worker_lib.runtime.process import ChildProcess
    from worker_lib.runtime.reports import Reports
    from worker_lib.runtime.stop import Stop
    from worker_lib.store.machine import ClaimedJob, Intent, MachineStore, Report

__all__ = ["Supervisor"]


class Supervisor:
    """Runs the jobs of one slot until there is none, or the machine must stop.

    Args:
        store: The verbs of this machine.
        child: Forked already, so that it loads what it needs meanwhile.
        fork: Makes another one; takes the descriptors that it must not keep open.
        reports: Makes what is reported of attempts.
        stop: Whether the machine was asked to stop.
        outage: Sees steps through that need Redis.
        lease_ttl: Seconds.
        max_lifetime: Seconds after which no further job is taken; from a wake-up on, if
            the machine was parked.
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
        self._lease_ttl = lease_ttl
        self._max_lifetime = max_lifetime
        self._leave_at = time.monotonic() + max_lifetime
        self._parking = parking
        self._idle_until = math.inf
        self._listening = Backoff()
        self._child: ChildProcess | None = child

    def run(self) -> None:
        """Work until the pool is empty or the machine is stopped.

        Raises:
            StoreError: Redis refuses us, or was away for too long.
        """
        self._stop.catch_signals()
        try:
            claim = self._claim("stay")
            while claim.verdict in {"jobs", "idle", "park"}:
                if claim.verdict == "park":
                    claim = self._park()
                elif claim.job:
                    claim = self._work(claim.job)
                else:
                    claim = self._idle(claim.wait)
            if claim.job:
                text = "the machine was restarted while the task ran"
                ended = Ended("failed", "lost", text)
                report = self._reports.released(claim.job, ended, None)
                self._release(claim.job, report, charge=True, back=claim.jobs[1:])
        finally:
            if self._child is not None:
                self._child.kill()
            self._store.close()

    def _claim(self, intent: Intent) -> Claim:
        step = lambda: self._store.claim(self._intent(intent))  # noqa: E731 - typed
        return self._outage.retry(step) or Claim("empty")

    def _work(self, job: ClaimedJob) -> Claim:
        self._idle_until = math.inf
        if self._parking is not None:
            self._parking.worked()
        try:
            child = self._child = self._child or self._fork()
        except OSError as error:
            text = f"the machine cannot start a process for the task: {error}"
            return self._not_started(job, Ended("failed", "not_started", text), None)
        ended = self._watch(child, job)
        if ended.kind == "not_started":
            if child.has_run:  # it ended while it was idle; a new one can run the job
                return self._claim("stay")
            return self._not_started(job, ended, child)
        if ended.status == "dropped":
            return self._dropped(job, child)
        if ended.status == "released":
            return self._leave(job, child)
        return self._report(job, ended, child)

    def _not_started(
        self, job: ClaimedJob, ended: Ended, child: ChildProcess | None
    ) -> Claim:
        """Report it and leave: the next job could not be started here either."""
        self._leave_at = 0.0
        return self._report(job, ended, child)

    def _dropped(self, job: ClaimedJob, child: ChildProcess) -> Claim:
        """Report what was printed, though the job is not ours any more."""
        if not child.output.kept:
            return self._claim("stay")
        ended = Ended("failed", "lost", "the job was taken from its machine")
        return self._deliver(job, self._reports.released(job, ended, child), child)

    def _leave(self, job: ClaimedJob, child: ChildProcess | None) -> Claim:
        ended = Ended("failed", "lost", "the machine was stopped while the task ran")
        self._release(job, self._reports.released(job, ended, child))
        return Claim("empty")

    def _release(
        self,
        job: ClaimedJob,
        report: Report,
        *,
        charge: bool = False,
        back: tuple[ClaimedJob, ...] = (),
    ) -> None:
        step = lambda: self._store.release(job, report, charge=charge, back=back)  # noqa: E731 - typed
        try:
            self._outage.retry(step, grace=GRACE_FOR_JOBS)
        except StoreUnavailable as error:
            if error.reason != "full" or not report.output:
                raise
            smaller = report._replace(output=b"")
            self._release(job, smaller, charge=charge, back=back)

    def _watch(self, child: ChildProcess, job: ClaimedJob) -> Ended:
        if child.hand_over(*_parts(job)):
            watch = Watch(child, self._store, job, lease_ttl=self._lease_ttl)
            ended = watch.until_ended(self._stop.wakeup, lambda: self._stop.asked)
        else:
            ended = died(child.death())
        if not ended.child_lives:
            self._discard(child)
            return ended
        child.has_run, child.usage = True, ended.usage
        if job.code_hash:
            # Only what the child says it has: it may have failed before it loaded it.
            self._store.known_code = job.code_hash if ended.code_kept else ""
        return ended

    def _discard(self, child: ChildProcess) -> None:
        child.kill()
        self._child = None
        self._store.known_code = ""

    def _report(
        self, job: ClaimedJob, ended: Ended, child: ChildProcess | None
    ) -> Claim:
        return self._deliver(job, self._reports.of(job, ended, child), child)

    def _deliver(
        self, job: ClaimedJob, report: Report, child: ChildProcess | None
    ) -> Claim:
        try:
            claim = self._finish(job, report)
        except StoreUnavailable as error:
            if error.reason != "full" or not (report.output or report.outcome):
                raise
            claim = self._finish(job, self._reports.smaller(job, report))
        if claim is not None:
            return claim
        return self._leave(job, child) if self._stop.asked else self._claim("stay")

    def _finish(self, job: ClaimedJob, report: Report) -> Claim | None:
        """Report an outcome; None if there was no time, or the job is not ours."""
        done = self._outage.retry(
            lambda: self._store.finish([(job, report)], intent=self._intent("stay")),
            grace=GRACE_FOR_JOBS,
            meanwhile=self._renewal(job),
        )
        return None if done is None else done.claim

    def _renewal(self, job: ClaimedJob) -> Callable[[], bool]:
        """Return what renews the lease when it is due; False if the job is not ours."""
        renew_at = time.monotonic() + self._lease_ttl / 3

        def renew() -> bool:
            nonlocal renew_at
            now = time.monotonic()
            if now < renew_at:
                return True
            try:
                ours = self._store.heartbeat(job)
            except StoreError:
                return True
            renew_at = now + self._lease_ttl / 3
            return ours

        return renew

    def _idle(self, wait: float) -> Claim:
        """Wait on the control channel until there is work, then claim it.

        A message that came before this call is not missed. However often it is woken
        for nothing, or its connection is cut: it waits no longer than Redis said after
        the last job.
        """
        self._idle_until = min(self._idle_until, time.monotonic() + wait)
        try:
            woken = self._is_woken(min(self._idle_until, self._leave_at))
            self._listening = Backoff()
        except StoreUnavailable:  # a message may be lost with the connection
            self._stop.wait(self._listening.pause())
            woken = True
        if woken or time.monotonic() < self._idle_until:
            return self._claim("stay")
        self._idle_until = math.inf
        return self._claim("leave_if_idle")

    def _is_woken(self, until: float) -> bool:
        while (left := until - time.monotonic()) > 0 and not self._stop.asked:
            control_channel = self._store.listen()
            poller = select.poll()
            poller.register(control_channel, select.POLLIN)
            poller.register(self._stop.wakeup, select.POLLIN)
            ready = [descriptor for descriptor, _ in poller.poll(left * 1000)]
            if control_channel in ready and self._store.heard().kind:
                return True
        return False

    def _park(self) -> Claim:
        """Stand still until this machine is needed again, then claim as one new."""
        if self._parking is None or not self._parking.park(self._stop):
            return Claim("empty")
        self._store.wake()
        self._leave_at = time.monotonic() + self._max_lifetime
        self._idle_until = math.inf
        return self._claim("stay")

    def _intent(self, intent: Intent) -> Intent:
        over = self._stop.asked or time.monotonic() > self._leave_at
        return "leave" if over else intent

    def _fork(self) -> ChildProcess:
        self._store.known_code = ""
        ours = (*self._store.descriptors(), *self._stop.descriptors())
        return self._make_child(ours)


def _parts(job: ClaimedJob) -> tuple[bytes, ...]:
    """Return a job as the child takes it."""
    return (
        job.id.encode(),
        job.fence.encode(),
        b"%d" % job.attempt,
        job.task.encode(),
        job.code_hash.encode(),
        job.code,
        job.call,
        b"%r" % job.timeout,
        job.policy,
    )
