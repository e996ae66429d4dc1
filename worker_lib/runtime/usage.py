"""What an attempt used: its peak of memory, and its CPU time.

A child runs many jobs, one after the other, and the kernel counts for the whole life of
a process. `meter` measures inside the child; of a child that ends during a job, the
supervisor takes what the kernel tells when it is reaped, less what it had used before.

The peak is that of the process that runs the task, or of the largest process which that
started and waited for, whichever is larger; memory that several had at the same time is
not added up. Where the kernel cannot reset the peak, it is that of the whole process.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from struct import Struct
    from typing import NamedTuple
else:
    from worker_lib.records import NamedTuple, Struct

__all__ = ["Baseline", "Usage"]

# The kernel's number for "CPU time of a process" in the id of a clock: see
# clock_getcpuclockid(3), which Python does not have.
_SCHED_CLOCK = 2
_PACKED = Struct("!6q2d")


class Usage(NamedTuple):
    """What an attempt used.

    Attributes:
        peak_kb: Peak of memory in KB; 0 if not known.
        cpu_us: Microseconds of CPU, of the process and those that it waited for.
        children_kb: Largest process that the child ever waited for.
        children_us: CPU of all processes that the child ever waited for.
        left_processes: 1 if the task may have left processes behind, else 0.
        own_us: CPU of the child itself, ever.
        ended_at: Monotonic seconds, the same in all processes; 0 if not known.
        ran: Seconds that it took; 0 if not known.
    """

    peak_kb: int = 0
    cpu_us: int = 0
    children_kb: int = 0
    children_us: int = 0
    left_processes: int = 0
    own_us: int = 0
    ended_at: float = 0.0
    ran: float = 0.0

    def packed(self) -> bytes:
        """Return it as one part of a frame."""
        return _PACKED.pack(*self)

    @classmethod
    def unpacked(cls, part: bytes) -> Usage:
        """Return what `packed` made a part of."""
        return cls(*_PACKED.unpack(part))


class Baseline:
    """What a child had used when it began a job; kept by the supervisor.

    Args:
        last: What it reported of its last job.
        pid: Of the child, if it begins a job now; 0 if it began one when it had ended
            the last.
    """

    def __init__(self, last: Usage, pid: int = 0) -> None:
        self._last = last
        self._cpu_us = last.children_us + (_cpu_us(pid) if pid else last.own_us)

    def of_ended(self, usage: resource.struct_rusage) -> Usage:
        """Return what the attempt used, from what the kernel told as it was reaped."""
        peak_kb, total_us = usage.ru_maxrss, usage.ru_utime + usage.ru_stime
        # That is the maximum over all the child ever waited for: maybe of another job.
        known = peak_kb > self._last.children_kb
        cpu_us = max(0, int(total_us * 1e6) - self._cpu_us)
        return Usage(peak_kb if known else 0, cpu_us)


def _cpu_us(pid: int) -> int:
    try:
        seconds = time.clock_gettime((~pid << 3) | _SCHED_CLOCK)
    except OSError:  # it has ended
        return 0
    return int(seconds * 1e6)
