"""A job's changes as Server-Sent Events, for as many viewers as threads allow.

Each stream holds a thread of the server. So there is a cap on their number (a page
that gets none asks every other second instead), and each ends after a minute: the
browser comes back by itself, and one that has gone frees its place.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker_lib import Job
    from worker_lib.job import JobInfo

__all__ = ["StreamSlots", "events"]

_STREAM_SECONDS = 60.0
# Only writing shows that a browser has gone, so write this often.
_SLICE_SECONDS = 15.0
_RECONNECT_MS = 1000


class StreamSlots:
    """How many streams may be open at the same time."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def take(self) -> Callable[[], None] | None:
        """Return what gives the place back, once or twice; None if all are taken."""
        if not self._free.acquire(blocking=False):
            return None
        return _Once(self._free.release)


class _Once:
    """Calls a function at its first call only."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._called = False

    def __call__(self) -> None:
        with self._lock:
            if self._called:
                return
            self._called = True
        self._function()


def events(
    job: Job[Any],
    document: Callable[[JobInfo], dict[str, Any]],
    settle: Callable[[JobInfo], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """Yield the job's document now and after each change, until it is final.

    Between changes it waits inside Redis, without polling. The last event of a final
    job is named `end`, so that the browser does not come back for more. If the job can
    no longer be read, the stream just ends: the browser comes back and is told why.

    Args:
        document: Has `settled`, False for a final job of which there is more to tell.
        settle: Waits for that, which is its machine's end.
    """
    yield f"retry: {_RECONNECT_MS}\n\n"
    with suppress(WorkerLibError):
        yield from _changes(job, document, settle, clock)


def _changes(
    job: Job[Any],
    document: Callable[[JobInfo], dict[str, Any]],
    settle: Callable[[JobInfo], None],
    clock: Callable[[], float],
) -> Iterator[str]:
    deadline = clock() + _STREAM_SECONDS
    last: JobInfo | None = None
    told: dict[str, Any] = {}
    while (left := deadline - clock()) > 0:
        for info in job.watch(timeout=min(_SLICE_SECONDS, left)):
            if info == last:
                yield ": still here\n\n"
                continue
            last, told = info, document(info)
            yield _event("job", told)
        if last is not None and last.final:
            if not told["settled"]:
                settle(last)
                yield _event("job", document(last))
            yield _event("end", {})
            return


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
