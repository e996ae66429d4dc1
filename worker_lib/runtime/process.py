"""The child process from the supervisor's side: fork, send jobs, read output, kill."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from worker_lib.runtime.frames import Frames, Progress, pack
from worker_lib.runtime.output import Pipes
from worker_lib.runtime.usage import Baseline, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple

    from worker_lib.errors import FailureKind
else:
    from worker_lib.records import NamedTuple

__all__ = ["CHANNEL_LOST", "CLOSED", "NEW_OUTPUT", "ChildProcess", "Death"]

# Exit code of a child that could not answer: EX_PROTOCOL of sysexits.h.
CHANNEL_LOST = 76
# Tells the child, as a frame before the next job, to print to a pipe that was sent.
NEW_OUTPUT = b"new output"

_NEAR_LIMIT = 0.8


class Death(NamedTuple):
    """How the child ended.

    Attributes:
        kind: `exit`, `signal`, `out_of_memory` or `not_started`.
        error: One sentence.
        exit_code: Below zero the number of a signal; None if not known.
    """

    kind: FailureKind
    error: str
    exit_code: int | None = None


CLOSED = Death(
    "exit",
    "the task closed descriptors that it had not opened, as helpers for daemons do "
    "that close all above 2: its machine lost the connection to it, and ended it; let "
    "it close only what it opened",
)


class ChildProcess:
    """A forked process in a group of its own, with its output on a pipe.

    Args:
        serve: What the child does with its ends of the channels; it then exits.
        max_output_bytes: How much of what an attempt prints is kept.
        close_in_child: Descriptors that the child must not keep open.

    Attributes:
        has_run: Whether it has run a job to its end.
        output: The pipe that the child prints to, and what is kept of it.
        usage: What the last attempt used.
        end: Becomes readable when the child has ended.
    """

    def __init__(
        self,
        serve: Callable[[Frames, Progress], None],
        max_output_bytes: int,
        close_in_child: tuple[int, ...] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        reports, reporter = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output = Pipes(max_output_bytes)
        self.usage = Usage()
        self.has_run = False
        self._handed_over = False
        self._reaped = False
        self._ooms = _oom_kills()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            reports.close()
            os.close(self.output.reader)
            channels = Frames(theirs), Progress(reporter)
            _become_child(serve, channels, self.output.writer, close_in_child)
        theirs.close()
        reporter.close()
        self.output.close_writer()
        self._baseline = Baseline(self.pid, self.usage)
        self.frames = Frames(ours)
        self.progress = Progress(reports)
        # What the task forked may keep the channel open after the child has ended.
        self.end = os.pidfd_open(self.pid)

    def hand_over(self, *parts: bytes) -> bool:
        """Send the child a job; False if it has ended while it was idle."""
        self._handed_over = False
        poller = select.poll()
        for descriptor in (self.end, self.output.reader):
            poller.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in poller.poll(0)]
        if self.end in ready:  # its channel may still be open
            return False
        self._begin_output(has_more=self.output.reader in ready)
        self._baseline = Baseline(self.pid, self.usage)
        try:
            self._send(parts)
        except ConnectionError:
            return False
        self._handed_over = True
        return True

    def _begin_output(self, *, has_more: bool) -> None:
        """Pass on what belongs to no job: printed between the last one and the next."""
        if self.has_run:
            self.output.kept.clear()
        if has_more:
            self.output.read(keep=not self.has_run)

    def _send(self, parts: tuple[bytes, ...]) -> None:
        if not self.usage.left_processes:
            self.frames.send(*parts)
            return
        # What was left behind keeps the old pipe; it must not print into this job's.
        self.progress.send_descriptor(self.output.renew())
        self.output.close_writer()
        self.frames.channel.sendall(pack(NEW_OUTPUT) + pack(*parts))

    def interrupt(self, number: int) -> None:
        """Send the child alone a signal, for it to end its job."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the child and all that it started, and reap it; idempotent."""
        self._kill_group()
        if not self._reaped:
            # By its own id too: it may not have its own group yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def death(self) -> Death:
        """Reap a child that has ended, and say how."""
        began = self._handed_over and not self.frames.was_reset
        code = self._reap()
        self._kill_group()
        if not began:
            text = f"the process for the task {_ended_by(code)} before it took the job"
            return Death("not_started", text, code)
        if code == CHANNEL_LOST:
            return CLOSED
        if -code == signal.SIGKILL and self._is_out_of_memory():
            return Death("out_of_memory", self._out_of_memory(), code)
        if code < 0:
            return Death("signal", f"the task's process {_ended_by(code)}", code)
        text = f"the task ended its process with exit code {code}"
        return Death("exit", text, code)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> int:
        self._reaped = True
        _, status, usage = os.wait4(self.pid, 0)
        self.usage = self._baseline.of_ended(usage)
        self.frames.channel.close()
        self.progress.channel.close()
        self.output.close()
        os.close(self.end)
        return os.waitstatus_to_exitcode(status)

    def _is_out_of_memory(self) -> bool:
        if _oom_kills() > self._ooms:
            return True
        limit_mb = int(os.environ.get("FLY_VM_MEMORY_MB") or 0)
        return bool(limit_mb) and self._peak_mb() >= limit_mb * _NEAR_LIMIT

    def _out_of_memory(self) -> str:
        peak_mb = self._peak_mb()  # 0 if not known
        had = f": it had {peak_mb:.0f} MB when the kernel killed it" if peak_mb else ""
        return (
            f"the task ran out of memory{had}; give it more with memory_mb= or machine="
        )

    def _peak_mb(self) -> float:
        return self.usage.peak_kb / 1024


def _ended_by(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"was killed by signal {-code}"


def _become_child(
    serve: Callable[[Frames, Progress], None],
    channels: tuple[Frames, Progress],
    writer: int,
    close_in_child: tuple[int, ...],
) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        for descriptor in close_in_child:
            os.close(descriptor)
        _offer_to_oom_killer()
        serve(*channels)
        status = 0
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001 - nothing may unwind into the supervisor
        import traceback  # noqa: PLC0415 - only on the way out

        traceback.print_exc()
    finally:
        os._exit(status)


def _offer_to_oom_killer() -> None:
    """Have the kernel kill this process, not the supervisor, when memory is out."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass


def _oom_kills() -> int:
    """Return how many processes this machine or container lost for want of memory."""
    total = 0
    for path in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        try:
            with open(path, "rb") as file:
                for line in file:
                    if line.startswith(b"oom_kill "):
                        total += int(line.split()[1])
        except OSError:
            continue
    return total
