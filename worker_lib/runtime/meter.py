"""Measures inside the child what each job uses; see `usage`.

The peak of memory is reset before a job only if the last one raised it by more than a
megabyte: that keeps the cost of a job that does nothing at a few microseconds.

Source: proc_pid_clear_refs(5), value 5; getrusage(2), `ru_maxrss` in KB.
"""

from __future__ import annotations

import os
import resource
import time

from worker_lib.runtime.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from worker_lib.records import NamedTuple

__all__ = ["Meter", "reset_peak"]

_MB = 1024


class Meter:
    """Measures the jobs of this process, one after the other."""

    def __init__(self) -> None:
        self._floor_kb = self._peak_kb = _peak_kb()
        self._cpu = self._began = 0.0
        self._children = _Children.now()

    def begin(self) -> None:
        """Start to measure a job."""
        if self._peak_kb > self._floor_kb + _MB:
            reset_peak()
            self._floor_kb = _peak_kb()
        self._cpu, self._began = time.process_time(), time.monotonic()

    def end(self) -> Usage:
        """Return what the job used."""
        ended_at, cpu = time.monotonic(), time.process_time()
        before, now = self._children, _Children.now()
        self._children = now
        self._peak_kb = _peak_kb()
        grown = now.peak_kb if now.peak_kb > before.peak_kb else 0
        return Usage(
            max(self._peak_kb, grown),
            int((cpu - self._cpu) * 1e6) + now.cpu_us - before.cpu_us,
            now.peak_kb,
            now.cpu_us,
            int(now != before or _has_children()),
            int(cpu * 1e6),
            ended_at,
            ended_at - self._began,
        )


class _Children(NamedTuple):
    """What all processes used that this one ever waited for."""

    peak_kb: int
    cpu_us: int
    faults: int

    @classmethod
    def now(cls) -> _Children:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_us = int((used.ru_utime + used.ru_stime) * 1e6)
        return cls(used.ru_maxrss, cpu_us, used.ru_minflt)


def reset_peak() -> None:
    """Have the kernel forget the peak of this process, if it can."""
    try:
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, b"5")
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _has_children() -> bool:
    """Whether this process has children, alive or not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
