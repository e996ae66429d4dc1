"""The child process from the supervisor's side: fork, send jobs, read output, kill."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from worker_lib.runtime.frames import Frames, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple

    from worker_lib.errors import FailureKind
else:
    from worker_lib.records import NamedTuple

__all__ = ["CHANNEL_LOST", "CLOSED", "ChildProcess", "Death"]

# Exit code of a child that could not answer: EX_PROTOCOL of sysexits.h.
CHANNEL_LOST = 76

_TAIL_BYTES = 4096
_READ_BYTES = 1 << 16
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
        close_in_child: Descriptors that the child must not keep open.

    Attributes:
        has_run: Whether it has run a job to its end.
        end: Becomes readable when the child has ended.
    """

    def __init__(
        self,
        serve: Callable[[Frames, Progress], None],
        close_in_child: tuple[int, ...] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        reports, reporter = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output, writer = os.pipe()
        self.has_run = False
        self._handed_over = False
        self._tail = bytearray()
        self._reaped = False
        self._ooms = _oom_kills()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            reports.close()
            os.close(self.output)
            channels = Frames(theirs), Progress(reporter)
            _become_child(serve, channels, writer, close_in_child)
        theirs.close()
        reporter.close()
        os.close(writer)
        self.frames = Frames(ours)
        self.progress = Progress(reports)
        # What the task forked may keep the channel open after the child has ended.
        self.end = os.pidfd_open(self.pid)

    def hand_over(self, *parts: bytes) -> bool:
        """Send the child a job; False if it died while it had nothing to do."""
        self._handed_over = False
        poller = select.poll()
        poller.register(self.end, select.POLLIN)
        if poller.poll(0):  # its channel may still be open
            return False
        try:
            self.frames.send(*parts)
        except ConnectionError:
            return False
        self._handed_over = True
        return True

    def relay(self) -> bool:
        """Pass on what the child printed, keeping the end; False at its end."""
        data = os.read(self.output, _READ_BYTES)
        self._tail += data
        del self._tail[:-_TAIL_BYTES]
        with contextlib.suppress(OSError):  # a full disk must not fail the job
            os.write(1, data)
        return bool(data)

    def take_tail(self) -> str:
        """Return the last of what was printed since the last call, as text."""
        text = self._tail.decode("utf-8", "replace")
        self._tail.clear()
        return text

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
        code, peak_mb = self._reap()
        self._kill_group()
        if not began:
            text = f"the process for the task {_ended_by(code)} before it took the job"
            return Death("not_started", text, code)
        if code == CHANNEL_LOST:
            return CLOSED
        if -code == signal.SIGKILL and self._out_of_memory(peak_mb):
            return Death(
                "out_of_memory",
                f"the task ran out of memory: it had {peak_mb:.0f} MB when the kernel "
                "killed it; give it more with memory_mb= or machine=",
                code,
            )
        if code < 0:
            return Death("signal", f"the task's process {_ended_by(code)}", code)
        text = f"the task ended its process with exit code {code}"
        return Death("exit", text, code)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> tuple[int, float]:
        self._reaped = True
        _, status, usage = os.wait4(self.pid, 0)
        self.frames.channel.close()
        self.progress.channel.close()
        self._drain()
        os.close(self.output)
        os.close(self.end)
        return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024

    def _drain(self) -> None:
        # A process that escaped the group may hold the pipe open for ever.
        os.set_blocking(self.output, False)
        try:
            while self.relay():
                pass
        except BlockingIOError:
            pass

    def _out_of_memory(self, peak_mb: float) -> bool:
        if _oom_kills() > self._ooms:
            return True
        limit_mb = int(os.environ.get("FLY_VM_MEMORY_MB") or 0)
        return bool(limit_mb) and peak_mb >= limit_mb * _NEAR_LIMIT


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
