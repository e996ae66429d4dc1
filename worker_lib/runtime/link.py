"""The jobs that a child was sent, and how each of them ends."""

from __future__ import annotations

import os
import time

from worker_lib.runtime.ended import died, told
from worker_lib.runtime.frames import pack
from worker_lib.runtime.process import AWAKE, CLOSED, KNOWN
from worker_lib.runtime.usage import Baseline, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from worker_lib.runtime.ended import Ended
    from worker_lib.runtime.poller import Poller
    from worker_lib.runtime.process import ChildProcess, Death
    from worker_lib.store.claims import ClaimedJob
else:
    from worker_lib.records import deque

__all__ = ["ChildLink"]

# Of jobs that wait in the child; a larger one waits in the supervisor.
_AHEAD_BYTES = 1 << 16
# What a job prints is read when it ends, or if it takes longer than this: what the
# child writes at the end of each would else wake the supervisor once more.
_HEAR_OUTPUT_AFTER = 0.002
# From the end of the channel to that of the process, if the process is ending.
_EXIT_WITHIN = 1.0
_NEVER = float("inf")


class ChildLink:
    """Sends jobs to a child ahead, takes them back, and hears how they end.

    Args:
        process: The child.
        poller: Tells when it has said something.

    Attributes:
        sent: Jobs that have not ended, in the order in which they run. The first one
            has begun, unless it is taken back.
        ended: Those that have, oldest first; whoever reads it empties it.
        began_at: When the first of `sent` began, or was sent.
        progress: What jobs of `sent` reported last, by id and fence.
        hear_output_at: When `hear_output` is to be called.
        kill_at: When it must be killed, since it closed the channel.
        death: How the process ended; None while it lives.
    """

    def __init__(self, process: ChildProcess, poller: Poller) -> None:
        self.process = process
        self.sent: deque[ClaimedJob] = deque()
        self.ended: deque[tuple[ClaimedJob, Ended]] = deque()
        self.began_at = 0.0
        self.progress: dict[tuple[str, str], str] = {}
        self.hear_output_at = _NEVER
        self.kill_at = _NEVER
        self.death: Death | None = None
        self._poller = poller
        self._baseline: Baseline | None = None
        self._usage = Usage()
        # Of jobs whose code the child was thought to have, and had not.
        self._asked_again = ""
        self._watch_frames()
        poller.watch(process.progress.channel.fileno(), self._hear_progress)
        self.hear_output()
        poller.watch(process.end, self._hear_end)

    def send(self, waiting: deque[ClaimedJob]) -> None:
        """Send jobs, as many as may wait in the child, and take them off `waiting`."""
        jobs = self._next_to_send(waiting)
        if not jobs:
            return
        begins = not self.sent
        if begins:
            self._begin_anew()
        self.sent.extend(jobs)
        for job in jobs:
            self.progress[job.id, job.fence] = ""
        self.process.permits.give(len(jobs))
        self._post(b"".join([pack(*self._parts(job)) for job in jobs]))
        if begins:
            self._baseline = Baseline(self._usage, self.process.pid)
            self._leave_output()

    def hear_output(self) -> None:
        """Read what is printed, as it comes."""
        self.hear_output_at = _NEVER
        reader = self.process.output.reader
        self._poller.watch(reader, self._hear_output, can_wait=True)

    def _leave_output(self) -> None:
        self.hear_output_at = self.began_at + _HEAR_OUTPUT_AFTER
        self._poller.forget(self.process.output.reader)

    def wake(self) -> None:
        """Tell the child that the machine was suspended, before its next job."""
        if self.death is None:
            self._post(pack(AWAKE))

    def take_back(self, *, but_one: bool = False) -> list[ClaimedJob]:
        """Return the jobs that have not begun, and now never will.

        Args:
            but_one: Leave one to a child that has not begun any yet.
        """
        keep = len(self.sent) if but_one else 0
        count = self.process.permits.take_back(keep_one_of=keep)
        taken = [self.sent.pop() for _ in range(count)]
        for job in taken:
            del self.progress[job.id, job.fence]
        return taken[::-1]

    def look(self) -> None:
        """Hear what the child has said so far."""
        if self.death is None:
            self._hear_frames()

    def kill(self) -> None:
        """End the child, and with it the job that had begun; idempotent."""
        if self.death is not None:
            return
        not_begun = self._leave()
        usage = self.process.kill(self._baseline if self.sent else None)
        self._end(CLOSED._replace(usage=usage), not_begun)

    def _next_to_send(self, waiting: deque[ClaimedJob]) -> list[ClaimedJob]:
        jobs: list[ClaimedJob] = []
        ahead = sum(len(job.call) + len(job.code) for job in self.sent)
        while waiting:
            ahead += len(waiting[0].call) + len(waiting[0].code)
            if ahead > _AHEAD_BYTES and (jobs or self.sent):
                break
            jobs.append(waiting.popleft())
        return jobs

    def _begin_anew(self) -> None:
        """Pass on what belongs to no job: printed since the last one has ended."""
        process = self.process
        process.output.read(keep=not process.has_run)
        self.began_at = time.monotonic()

    def _post(self, frames: bytes) -> None:
        process = self.process
        try:
            process.frames.post(frames)
        except ConnectionError:  # its end will be heard
            return
        if process.frames.unsent():
            self._watch_frames(to_write=True)

    def _watch_frames(self, *, to_write: bool = False) -> None:
        channel = self.process.frames.channel.fileno()
        # They can wait while the child has enough to do.
        self._poller.watch(channel, self._hear_frames, to_write=to_write, can_wait=True)

    def _parts(self, job: ClaimedJob) -> tuple[bytes, ...]:
        code = job.code
        if job.code_hash and not code and job.id != self._asked_again:
            code = KNOWN
        return (
            job.id.encode(),
            job.fence.encode(),
            b"%d" % job.attempt,
            job.task.encode(),
            job.code_hash.encode(),
            code,
            job.call,
            b"%r" % job.timeout,
            job.policy,
        )

    def _hear_frames(self) -> None:
        frames = self.process.frames
        if frames.unsent():
            self._post(b"")
            if not frames.unsent():
                self._watch_frames()
        is_open = frames.drain()
        while (frame := frames.take()) is not None:
            self._conclude(frame)
        if not is_open:
            # A process that ends closes the channel first, so wait a bit.
            self._poller.forget(frames.channel.fileno())
            self.kill_at = min(self.kill_at, time.monotonic() + _EXIT_WITHIN)

    def _conclude(self, frame: list[bytes]) -> None:
        process, job = self.process, self.sent.popleft()
        ended = told(frame, process.output.of_next_job())
        usage = self._usage = ended.usage
        process.has_run = True
        if usage.left_processes:
            self._follow_output()
        if ended.status == "forgotten":
            self._asked_again = job.id
        self.began_at = usage.ended_at
        self._baseline = Baseline(usage)
        if self.sent:
            self._leave_output()
        else:
            self.hear_output()
        del self.progress[job.id, job.fence]
        self.ended.append((job, ended))

    def _follow_output(self) -> None:
        progress, output = self.process.progress, self.process.output
        progress.hear(self.progress)  # it was sent before the frame
        if not progress.files:  # the task has closed the channel
            return
        old, reader = output.reader, progress.files.pop(0)
        output.follow(reader)
        self._poller.watch(old, lambda: self._hear_older(old), can_wait=True)

    def _hear_output(self) -> None:
        output = self.process.output
        if not output.read(keep=bool(self.sent) or not self.process.has_run):
            self._poller.forget(output.reader)

    def _hear_older(self, descriptor: int) -> None:
        if not self.process.output.read_older(descriptor):
            self._poller.forget(descriptor)

    def _hear_progress(self) -> None:
        progress = self.process.progress
        if not progress.hear(self.progress):
            self._poller.forget(progress.channel.fileno())

    def _hear_end(self) -> None:
        self._hear_frames()
        not_begun = self._leave()
        death = self.process.death(self._baseline if self.sent else None)
        self._end(death, not_begun)

    def _leave(self) -> list[ClaimedJob]:
        """Watch the child no more; return the jobs that it has not begun."""
        process = self.process
        for descriptor in (
            *(process.frames.channel.fileno(), process.progress.channel.fileno()),
            *process.output.descriptors(),
            process.end,
        ):
            self._poller.forget(descriptor)
        for file in process.progress.files:  # of a child that died before it told why
            os.close(file)
        return self.take_back()

    def _end(self, death: Death, not_begun: list[ClaimedJob]) -> None:
        self.death = death
        if self.sent:
            job = self.sent.popleft()
            self.ended.append((job, died(death, self.process.output.taken())))
        self.sent.extend(not_begun)
