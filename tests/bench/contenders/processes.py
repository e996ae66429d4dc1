"""The processes of a worker: its first one and all that this one has started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["frozen", "memory"]


@contextlib.contextmanager
def frozen(roots: Sequence[int]) -> Iterator[None]:
    """Stop these workers for a while, and let them go on at once."""
    pids = list(_family(roots))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        while _state(pid) not in "TZX":
            time.sleep(0.001)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def memory(roots: Sequence[int]) -> float:
    """Return the megabytes of these processes; pages that they share count once.

    Shared pages are those of the process that has the most of them: processes that
    have nothing to do with the worker may share some, too, so the kernel's own
    proportional figure would depend on who else is there.
    """
    private, shared = 0, 0
    for pid in _family(roots):
        with contextlib.suppress(OSError):
            sizes = _sizes(pid)
            private += sizes["Private_Clean"] + sizes["Private_Dirty"]
            shared = max(shared, sizes["Shared_Clean"] + sizes["Shared_Dirty"])
    return (private + shared) / 1024


def _family(roots: Sequence[int]) -> Iterator[int]:
    for pid in roots:
        yield pid
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                path = f"/proc/{pid}/task/{task}/children"
                with open(path, encoding="ascii") as file:
                    yield from _family([int(word) for word in file.read().split()])


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _sizes(pid: int) -> dict[str, int]:
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        next(file)
        for line in file:
            name, _, rest = line.partition(":")
            found[name] = int(rest.split()[0])
    return found
