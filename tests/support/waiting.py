"""Waiting for what must come, with a deadline instead of luck."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from worker_lib.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.client.handle import Job

T = TypeVar("T")
_LONGEST_PAUSE = 0.02


def until(condition: Callable[[], T], within: float = 15.0) -> T:
    """Return the first true value of `condition`; fail after `within` seconds.

    Looks often at first, then every 20 ms.
    """
    deadline = time.monotonic() + within
    pause = 0.001
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found!r} after {within:g} s")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return found


def result_of(job: Job[T], within: float = 50.0) -> T:
    """Return a job's result as a patient caller: ask again whenever Redis was away."""
    deadline = time.monotonic() + within
    while True:
        try:
            return job.result(timeout=max(0.1, deadline - time.monotonic()))
        except StoreUnavailable:
            time.sleep(0.05)


def text_of(path: Path | str, within: float = 15.0) -> str:
    """Return what a file holds, as soon as it holds anything."""
    file = Path(path)
    return until(lambda: file.read_text() if file.exists() else "", within)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not just waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def parent_of(pid: int) -> int:
    """Return the parent's pid: that of the supervisor, for a machine's child."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
