"""The machine's main loop: claim, hand to the child, watch, report, take the next."""

from __future__ import annotations

import select
import signal
import socket
import sys
import time

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime.process import ChildProcess
from worker_lib.runtime.watch import Ended, Watch
from worker_lib.store.worker import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.runtime.frames import Frames
    from worker_lib.store.worker import ClaimedJob, MachineStore, Mood

__all__ = ["Supervisor"]

# How long an outcome is kept while Redis is away, before the machine gives up.
_REPORT_FOR = 900.0


class Supervisor:
    """Runs the jobs of one slot until there is none, or the machine must stop.

    Args:
        store: The verbs of this machine.
        child: Forked already, so that it loads what it needs meanwhile.
        serve: What a child does; called in each child forked later.
        seal: Makes the signed outcome of a job whose child could not.
        lease_ttl: Seconds.
        max_lifetime: Seconds after which no further job is taken.
    """

    def __init__(
        self,
        store: MachineStore,
        child: ChildProcess,
        serve: Callable[[Frames], None],
        seal: Callable[[ClaimedJob, Ended, str], bytes],
        *,
        lease_ttl: float,
        max_lifetime: float,
    ) -> None:
        self._store = store
        self._serve = serve
        self._seal = seal
        self._lease_ttl = lease_ttl
        self._leave_at = time.monotonic() + max_lifetime
        self._stopping = False
        self._wakeup, self._wake_writer = socket.socketpair()
        self._child: ChildProcess | None = child

    def run(self) -> int:
        """Work until the pool is empty or the machine is stopped; return exit code."""
        self._catch_signals()
        claim = self._claim_again()
        while claim.verdict in {"job", "idle"}:
            claim = self._work(claim.job) if claim.job else self._rest(claim.wait)
        if claim.job:
            text = "the machine was restarted while the task ran"
            self._release(claim.job, text, charge=True)
        if self._child is not None:
            self._child.kill()
        self._store.close()
        return 0

    def _work(self, job: ClaimedJob) -> Claim:
        child = self._child or self._fork()
        self._child = child
        if job.code:
            self._store.known_code = job.code_hash
        try:
            child.frames.send(*_words(job))
        except ConnectionError:  # it died while it had nothing to do
            self._discard(child)
            return self._claim_again()
        ended = self._watch(child, job)
        if ended.status == "dropped":
            return self._claim_again()
        if ended.status == "released":
            self._release(job, "the machine was stopped while the task ran")
            return Claim("empty")
        return self._report(job, ended, child.take_tail())

    def _release(self, job: ClaimedJob, text: str, *, charge: bool = False) -> None:
        ended = Ended("failed", "lost", text)
        outcome = self._seal(job, ended, "")
        self._store.release(
            job, outcome=outcome, error=text, kind=ended.kind, charge=charge
        )

    def _watch(self, child: ChildProcess, job: ClaimedJob) -> Ended:
        watch = Watch(child, self._store, job, lease_ttl=self._lease_ttl)
        ended = watch.until_ended(self._wakeup, lambda: self._stopping)
        if not ended.child_lives:
            self._discard(child)
        return ended

    def _discard(self, child: ChildProcess) -> None:
        child.kill()
        self._child = None
        self._store.known_code = ""

    def _report(self, job: ClaimedJob, ended: Ended, output: str) -> Claim:
        status, retry_in = ended.status, 0.0
        if status == "failed":
            retry_in = _retry_in(job, ended)
            status = "failed" if retry_in < 0 else "retrying"
        envelope = b""
        if status != "retrying":
            envelope = ended.envelope or self._seal(job, ended, output)
        _, claim = self._persist(
            lambda: self._store.finish(
                job,
                status,
                outcome=envelope,
                error=ended.error,
                kind=ended.kind,
                output="" if status == "succeeded" else output,
                retry_in=max(0.0, retry_in),
                mood=self._mood("stay"),
            )
        )
        return claim

    def _claim_again(self, mood: Mood = "stay") -> Claim:
        _, claim = self._persist(lambda: (True, self._store.claim(self._mood(mood))))
        return claim

    def _persist(self, step: Callable[[], tuple[bool, Claim]]) -> tuple[bool, Claim]:
        """Repeat an idempotent step while Redis is away, within reason."""
        give_up = time.monotonic() + _REPORT_FOR
        longest = 0.1
        while True:
            try:
                return step()
            except StoreUnavailable as error:
                import random  # noqa: PLC0415 - only then

                _say(f"redis is away: {error}")
                if time.monotonic() > give_up:
                    raise
                time.sleep(random.uniform(longest / 2, longest))
                longest = min(2.0, 2 * longest)

    def _rest(self, wait: float) -> Claim:
        """Wait for a word that there is work, then ask; a word before this is kept."""
        try:
            bell = self._store.listen()
            poller = select.poll()
            poller.register(bell, select.POLLIN)
            poller.register(self._wakeup, select.POLLIN)
            ready = [descriptor for descriptor, _ in poller.poll(wait * 1000)]
            if bell in ready:
                self._store.heard()
        except StoreUnavailable as error:
            _say(f"redis is away: {error}")
            return self._claim_again()
        return self._claim_again("stay" if ready else "rested")

    def _mood(self, mood: Mood) -> Mood:
        over = self._stopping or time.monotonic() > self._leave_at
        return "leave" if over else mood

    def _fork(self) -> ChildProcess:
        self._store.known_code = ""
        ours = (
            self._store.wire.fileno(),
            self._wakeup.fileno(),
            self._wake_writer.fileno(),
        )
        return ChildProcess(self._serve, tuple(one for one in ours if one >= 0))

    def _catch_signals(self) -> None:
        self._wake_writer.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True


def _words(job: ClaimedJob) -> tuple[bytes, ...]:
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


def _retry_in(job: ClaimedJob, ended: Ended) -> float:
    """Return the seconds until the next attempt, or -1 if there is none."""
    import json  # noqa: PLC0415 - only after a failure, as the next

    from worker_lib.retry import Retry  # noqa: PLC0415

    policy = json.loads(job.policy)
    wanted = ended.retry or ended.kind in policy["retry_kinds"]
    if not wanted or job.attempt >= policy["max_attempts"]:
        return -1.0
    retry = Retry(
        max_attempts=policy["max_attempts"],
        backoff=policy["backoff"],
        factor=policy["factor"],
        max_backoff=policy["max_backoff"],
        jitter=policy["jitter"],
    )
    return retry.delay(job.attempt)


def _say(text: str) -> None:
    print(f"worker_lib: {text}", file=sys.stderr, flush=True)
