"""Reading the input of a map, in the caller's thread or on its event loop.

What was read in a twentieth of a second is stored, then results are looked for. In a
thread, a source that blocks holds up both meanwhile; on an event loop it holds up none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from worker_lib.client.mapping import Mapping
    from worker_lib.errors import WaitTimeout

    Args = Sequence[Any]

__all__ = ["Fed", "Feed", "each", "zipped"]

# Seconds of reading after which what was read is stored.
_READ_FOR = 0.05
# An asynchronous source has so long for the next call before results are looked for.
_PATIENCE = 0.005


class Fed:
    """The steps of a map that reads its input along the way.

    Args:
        mapping: Takes the calls.
        calls: Their arguments.
    """

    def __init__(self, mapping: Mapping, calls: Iterator[Args]) -> None:
        self._mapping = mapping
        self._calls = calls
        self.waiter = mapping.waiter

    @property
    def is_over(self) -> bool:
        """Whether every call was read and has its outcome."""
        return self._mapping.is_over

    @property
    def pause(self) -> float:
        """Seconds to wait for a wake-up after a step without a find."""
        return self._mapping.pause

    def take(self) -> list[Any] | None:
        """Read and store calls, and return outcomes; see `Mapping.take`."""
        # The next call may come much later than the first: that one is not to wait.
        read_for = _READ_FOR if self._mapping.has_jobs else 0.0
        until = time.monotonic() + read_for
        while self._mapping.wants_more:
            try:
                self._mapping.put(next(self._calls))
            except StopIteration:
                self._mapping.end()
            if time.monotonic() >= until:
                break
        return self._mapping.take()

    def late(self, timeout: float) -> WaitTimeout:
        """Return what tells that the time of the caller is over."""
        return self._mapping.late(timeout)


class Feed:
    """Feeds a map that is awaited.

    Args:
        mapping: Takes the calls.
        calls: The arguments of each, as the caller gave them.
        check: Returns all arguments of a call, given its index and these.

    Attributes:
        task: Reads the next call; None if none is being read.
    """

    def __init__(
        self,
        mapping: Mapping,
        calls: AsyncIterator[Args],
        check: Callable[[tuple[int, Any]], Args],
    ) -> None:
        self.task: asyncio.Task[Args] | None = None
        self._mapping = mapping
        self._calls = calls
        self._check = check
        self._count = 0

    async def fill(self) -> None:
        """Read calls while the map wants more and they come at once."""
        import asyncio  # noqa: PLC0415 - costly, and only async code needs it

        until = time.monotonic() + _READ_FOR
        while self._mapping.wants_more and time.monotonic() < until:
            if self.task is None:
                self.task = asyncio.ensure_future(_next(self._calls))
            await asyncio.wait({self.task}, timeout=_PATIENCE)
            if not self.task.done():
                return
            task, self.task = self.task, None
            try:
                self._mapping.put(self._check((self._count, task.result())))
                self._count += 1
            except StopAsyncIteration:
                self._mapping.end()

    async def close(self) -> None:
        """Read no more."""
        import asyncio  # noqa: PLC0415 - as above

        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})


async def _next(calls: AsyncIterator[Args]) -> Args:
    return await anext(calls)


async def each(calls: Iterable[Args]) -> AsyncIterator[Args]:
    """Yield these calls."""
    for args in calls:
        yield args


async def zipped(*sources: Any) -> AsyncIterator[tuple[Any, ...]]:
    """Yield what `zip` would, of iterables and asynchronous ones."""
    every = [aiter(one) if hasattr(one, "__aiter__") else iter(one) for one in sources]
    while True:
        row = []
        for one in every:
            try:
                row.append(await anext(one) if hasattr(one, "__anext__") else next(one))
            except (StopIteration, StopAsyncIteration):
                return
        yield tuple(row)
