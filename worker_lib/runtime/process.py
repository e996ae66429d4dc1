"""The child process from the supervisor's side: fork, read output, kill."""

from __future__ import annotations

import os

from worker_lib.runtime.frames import Channels, Frames, Progress
from worker_lib.runtime.output import Pipes
from worker_lib.runtime.permits import Permits
from worker_lib.runtime.usage import Baseline, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable
    from contextlib import suppress
    from typing import NamedTuple

    from worker_lib.errors import FailureKind
else:
    # The parts in C of `signal` and `socket`, which make enumerations of their numbers:
    # together 4 ms of a machine's cold start.
    import _signal as signal
    import _socket as socket

    from worker_lib.records import NamedTuple, suppress

__all__ = ["AWAKE", "CHANNEL_LOST", "CLOSED", "KNOWN", "ChildProcess", "Death"]

# Exit code of a child that could not answer: EX_PROTOCOL of sysexits.h.
CHANNEL_LOST = 76
# Stands for the code of a function that the child should have.
KNOWN = b"known"
# Tells the child, as a frame of its own, that the machine was suspended.
AWAKE = b"awake"

_NEAR_LIMIT = 0.8


class Death(NamedTuple):
    """How the child ended.

    Attributes:
        kind: `exit`, `signal`, `out_of_memory` or `not_started`.
        error: One sentence.
        exit_code: Below zero the number of a signal; None if not known.
        usage: Of the job that it had begun.
    """

    kind: FailureKind
    error: str
    exit_code: int | None = None
    usage: Usage = Usage()


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
        frames: Jobs and outcomes.
        progress: What jobs report while they run.
        permits: For the jobs that it was sent.
        output: What it prints.
        has_run: Whether it has run a job to its end.
        end: Becomes readable when the child has ended.
    """

    def __init__(
        self,
        serve: Callable[[Channels], None],
        max_output_bytes: int,
        close_in_child: tuple[int, ...] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        reports, reporter = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.output, self.permits = Pipes(max_output_bytes), Permits()
        self.has_run = False
        self._reaped = False
        self._ooms = _oom_kills()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            reports.close()
            self.permits.close_ours()
            os.close(self.output.reader)
            told = self.permits.child, self.output.marker
            channels = Channels(Frames(theirs), Progress(reporter), *told)
            _become_child(serve, channels, self.output.writer, close_in_child)
        theirs.close()
        reporter.close()
        self.output.close_writer()
        self.frames, self.progress = Frames(ours), Progress(reports)
        # What the task forked may keep the channel open after the child has ended.
        self.end = os.pidfd_open(self.pid)

    def interrupt(self, number: int) -> None:
        """Send the child alone a signal, for it to end its job."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self, baseline: Baseline | None = None) -> Usage:
        """Kill the child and all that it started, and reap it; idempotent.

        Args:
            baseline: Of the job that it had begun, whose usage is returned.
        """
        self._kill_group()
        if self._reaped:
            return Usage()
        # By its own id too: it may not have its own group yet.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)
        return self._reap(baseline)[1]

    def death(self, baseline: Baseline | None) -> Death:
        """Reap a child that has ended, and say how.

        Args:
            baseline: Of the job that it had begun; None for none.
        """
        code, used = self._reap(baseline)
        self._kill_group()
        if baseline is None:
            text = f"the process for the task {_ended_by(code)} before it took the job"
            return Death("not_started", text, code)
        if code == CHANNEL_LOST:
            return CLOSED._replace(usage=used)
        if -code == signal.SIGKILL and self._is_out_of_memory(used):
            return Death("out_of_memory", _out_of_memory(used), code, used)
        if code < 0:
            return Death("signal", f"the task's process {_ended_by(code)}", code, used)
        text = f"the task ended its process with exit code {code}"
        return Death("exit", text, code, used)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self, baseline: Baseline | None = None) -> tuple[int, Usage]:
        self._reaped = True
        _, status, used = os.wait4(self.pid, 0)
        self.frames.channel.close()
        self.progress.channel.close()
        self.permits.close()
        self.output.close()
        os.close(self.end)
        usage = Usage() if baseline is None else baseline.of_ended(used)
        return os.waitstatus_to_exitcode(status), usage

    def _is_out_of_memory(self, used: Usage) -> bool:
        if _oom_kills() > self._ooms:
            return True
        limit_mb = int(os.environ.get("FLY_VM_MEMORY_MB") or 0)
        return bool(limit_mb) and used.peak_kb / 1024 >= limit_mb * _NEAR_LIMIT


def _out_of_memory(used: Usage) -> str:
    peak_mb = used.peak_kb / 1024  # 0 if not known
    had = f": it had {peak_mb:.0f} MB when the kernel killed it" if peak_mb else ""
    return f"the task ran out of memory{had}; give it more with memory_mb= or machine="


def _ended_by(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    from signal import Signals  # noqa: PLC0415 - only then

    try:
        return f"was killed by {Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"was killed by signal {-code}"


def _become_child(
    serve: Callable[[Channels], None],
    channels: Channels,
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
        serve(channels)
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
