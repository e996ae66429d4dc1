"""One attempt, from handing the job to the child until the attempt has ended.

The child ends it by reporting an outcome, or by ending itself. The supervisor ends it
when the time is over, the job is no longer ours, or the machine must stop: it asks the
child to stop, and kills it after a grace period. Once it has decided so, nothing that
the child reports changes the decision.
"""

from __future__ import annotations

import select
import signal
import time

from worker_lib.errors import StoreError
from worker_lib.runtime.process import CLOSED
from worker_lib.runtime.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Literal, NamedTuple, TypeAlias

    from worker_lib.errors import FailureKind
    from worker_lib.runtime.process import ChildProcess, Death
    from worker_lib.store.machine import ClaimedJob, MachineStore

    Status: TypeAlias = Literal["succeeded", "failed", "dropped", "released"]
else:
    from worker_lib.records import NamedTuple

__all__ = ["Ended", "Watch", "died"]

# A job that takes longer is worth a second connection: on it a cancel is told.
_LISTEN_AFTER = 1.0
_PROGRESS_EVERY = 0.25
# From asking the child to stop to killing it.
_GRACE = 2.0
# While Redis is away.
_BEAT_AGAIN = 1.0
# From the end of the channel to that of the process, if the process is ending.
_EXIT_WITHIN = 1.0


class Ended(NamedTuple):
    """How an attempt ended.

    Attributes:
        status: `succeeded` or `failed`; `dropped` if the job is no longer ours,
            `released` if the machine must stop.
        kind: As `JobFailed.kind`; None if it did not fail.
        error: One line.
        retry: Whether the task's policy retries after this exception.
        envelope: Signed outcome; b"" if the child could not make it.
        code_kept: Whether the child keeps the code of this job's function.
        child_lives: Whether the child can take another job.
        exit_code: Of the child, if it ended: below zero the number of a signal.
        usage: What it used, if the child lives to tell.
    """

    status: Status
    kind: FailureKind | None = None
    error: str = ""
    retry: bool = False
    envelope: bytes = b""
    code_kept: bool = False
    child_lives: bool = False
    exit_code: int | None = None
    usage: Usage = Usage()


class Watch:
    """Watches over one attempt.

    Args:
        child: Has been handed the job.
        store: To renew the lease through.
        job: What it runs.
        lease_ttl: Seconds; renewed after a third of it.
    """

    def __init__(
        self,
        child: ChildProcess,
        store: MachineStore,
        job: ClaimedJob,
        *,
        lease_ttl: float,
    ) -> None:
        now = time.monotonic()
        self._child = child
        self._store = store
        self._job = job
        self._beat_every = lease_ttl / 3
        self._beat_at = now + self._beat_every
        self._out_of_time_at = now + job.timeout
        self._listen_at = now + _LISTEN_AFTER
        self._kill_at = float("inf")
        self._decided: Ended | None = None
        self._progress = ""
        self._progress_at = 0.0
        self._control_channel = -1
        self._poller = select.poll()

    def until_ended(self, wakeup: socket.socket, stopping: Callable[[], bool]) -> Ended:
        """Block until the attempt has ended; return how.

        Args:
            wakeup: Becomes readable at a signal to this process.
            stopping: Whether such a signal asked this machine to stop.
        """
        child = self._child
        for one in (child.frames.channel, child.progress.channel, wakeup):
            self._poller.register(one, select.POLLIN)
        # After the channels: when a report is seen, so is what was printed before it.
        for descriptor in (*child.output.descriptors(), child.end):
            self._poller.register(descriptor, select.POLLIN)
        while True:
            ready = {one for one, _ in self._poller.poll(self._patience() * 1000)}
            ended = self._hear(ready)
            if ended is not None:
                return ended
            if wakeup.fileno() in ready:
                wakeup.recv(4096)
            if stopping():
                self._decide(Ended("released"), signal.SIGTERM)
            if self._act_on_time():
                return self._decided or died(CLOSED)

    def _patience(self) -> float:
        moments = [self._beat_at, self._listen_at, self._kill_at]
        if self._decided is None:
            moments.append(self._out_of_time_at)
        if self._progress:
            moments.append(self._progress_at)
        return max(0.0, min(moments) - time.monotonic())

    def _hear(self, ready: set[int]) -> Ended | None:
        child = self._child
        for descriptor in ready.intersection(child.output.descriptors()):
            self._hear_output(descriptor)
        if child.progress.channel.fileno() in ready:
            self._hear_progress()
        if self._control_channel in ready:
            self._hear_control_channel()
        readable, dead = child.frames.channel.fileno() in ready, child.end in ready
        if readable or dead:
            return self._hear_child(readable=readable, dead=dead)
        return None

    def _hear_output(self, descriptor: int) -> None:
        output = self._child.output
        if descriptor == output.reader:
            goes_on = output.read()
        else:
            goes_on = output.read_older(descriptor)
        if not goes_on:
            self._poller.unregister(descriptor)

    def _hear_progress(self) -> None:
        report = self._child.progress.latest(self._job.id, self._job.fence)
        if report is None:
            self._poller.unregister(self._child.progress.channel)
        self._progress = report or self._progress

    def _hear_child(self, *, readable: bool, dead: bool) -> Ended | None:
        more = readable and self._child.frames.fill()
        frame = self._child.frames.take()
        if frame is not None:
            return self._concluded(_ended(frame))
        if dead and not more:
            return self._concluded(died(self._child.death()))
        if not more:
            # The channel is closed. A process that ends closes it first, so wait a bit.
            self._poller.unregister(self._child.frames.channel)
            self._kill_at = min(self._kill_at, time.monotonic() + _EXIT_WITHIN)
        return None

    def _concluded(self, ended: Ended) -> Ended:
        if self._decided is None:
            return ended
        # What the child itself reports of a time-out has the traceback.
        if ended.kind == self._decided.kind == "timeout":
            return self._decided._replace(envelope=ended.envelope)
        return self._decided

    def _hear_control_channel(self) -> None:
        try:
            if self._store.heard().kind:
                self._beat_at = 0.0  # the reply says whether the job is still ours
        except StoreError:
            self._poller.unregister(self._control_channel)
            self._control_channel = -1
            self._listen_at = time.monotonic() + _BEAT_AGAIN

    def _act_on_time(self) -> bool:
        """Do what is due; True once the child had to be killed."""
        now = time.monotonic()
        if now >= self._kill_at:
            self._child.kill()
            return True
        if now >= self._out_of_time_at and self._decided is None:
            text = f"the attempt ran longer than its timeout of {self._job.timeout:g} s"
            ended = Ended("failed", "timeout", text)
            self._decide(ended, signal.SIGXCPU)
        if now >= self._beat_at or (self._progress and now >= self._progress_at):
            self._beat(now)
        if now >= self._listen_at:
            self._listen()
        return False

    def _beat(self, now: float) -> None:
        progress, self._progress = self._progress, ""
        self._progress_at = now + _PROGRESS_EVERY
        try:
            ours = self._store.heartbeat(self._job, progress)
            self._beat_at = now + self._beat_every
        except StoreError:
            self._progress = self._progress or progress
            self._progress_at = self._beat_at = time.monotonic() + _BEAT_AGAIN
            return
        if not ours:
            self._decide(Ended("dropped"), signal.SIGTERM)

    def _listen(self) -> None:
        try:
            self._control_channel = self._store.listen()
            self._poller.register(self._control_channel, select.POLLIN)
            self._listen_at = float("inf")
        except StoreError:
            self._listen_at = time.monotonic() + _BEAT_AGAIN

    def _decide(self, ended: Ended, number: int) -> None:
        if self._decided is None:
            self._decided = ended
            self._kill_at = min(self._kill_at, time.monotonic() + _GRACE)
            self._child.interrupt(number)


def died(death: Death) -> Ended:
    """Return the end of an attempt whose process has ended."""
    return Ended("failed", death.kind, death.error, exit_code=death.exit_code)


def _ended(frame: list[bytes]) -> Ended:
    _, status, kind, error, retry, envelope, usage, kept = frame
    told: dict[str, Any] = {"status": status.decode(), "kind": kind.decode() or None}
    return Ended(
        **told,
        error=error.decode(),
        retry=bool(retry),
        envelope=envelope,
        usage=Usage.unpacked(usage),
        code_kept=bool(kept),
        child_lives=True,
    )
