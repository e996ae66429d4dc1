"""`Task.map`: calls are read, stored and yielded as a stream, with bounded memory.

A map keeps a window of calls under way: it reads more of them as results are taken out.
Short calls travel in chunks. Input is read in the caller's thread, between results.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from worker_lib.calls import chunks
from worker_lib.checks import optional, whole
from worker_lib.client import progress
from worker_lib.client.batch import is_collecting
from worker_lib.client.bulk import Calls, Writer, length_of
from worker_lib.client.chunking import LARGEST, ChunkSize
from worker_lib.client.feeding import Fed, Feed, each
from worker_lib.client.fleet import FleetMeter
from worker_lib.client.reading import Limit, Reader, aread, read
from worker_lib.client.waiters import in_thread
from worker_lib.errors import (
    ConfigError,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PayloadTooLarge,
    Problem,
    StoreError,
    WaitTimeout,
)
from worker_lib.logs import get_logger
from worker_lib.store.keys import member_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Sequence

    from worker_lib.client.batch_waits import Waits
    from worker_lib.client.batches import Batches
    from worker_lib.client.reading import Item
    from worker_lib.store.store import Store
    from worker_lib.task import Task

    Args = Sequence[Any]

__all__ = ["MapKeywords", "MapOptions", "Mapping", "amap_calls", "map_calls"]

log = get_logger("map")

_open_maps: list[Mapping] = []

# Jobs under way before anything is known of how long one runs.
_PROBES = 16
# Jobs under way at most, of one call each and of several; and bytes of their calls.
_MOST_JOBS = 1000
_MOST_CHUNKS = 64
_MOST_BYTES = 16_000_000
# With a known number of calls, each machine gets some jobs: they may differ in length.
_JOBS_A_MACHINE = 4
# Seconds after which a call that runs is known to be no short one.
_SLOW = 1.0


class MapKeywords(TypedDict, total=False):
    """What `Task.map` takes besides its iterables and `errors`; see there."""

    ordered: bool
    chunksize: int | None
    window: int | None
    progress: bool


class MapOptions(NamedTuple):
    """How calls are mapped; every value checked.

    Attributes:
        total: How many calls there are; None if that is not known.
    """

    collects: bool
    ordered: bool
    chunksize: int | None
    window: int | None
    progress: bool
    total: int | None

    @classmethod
    def of(
        cls,
        errors: str,
        iterables: Sequence[Any],
        *,
        ordered: bool = True,
        chunksize: int | None = None,
        window: int | None = None,
        progress: bool = False,
    ) -> MapOptions:
        """Return the options, each checked.

        Raises:
            ConfigError: one of them cannot be.
            TypeError: there are no iterables.
        """
        collects = is_collecting(errors)
        optional(whole(1))(chunksize, "chunksize")
        optional(whole(1))(window, "window")
        if window is not None and chunksize is not None and window < chunksize:
            raise ConfigError(
                Problem(
                    f"window={window} is less than chunksize={chunksize}",
                    "the calls of at least one chunk must be under way",
                    "window",
                )
            )
        if not iterables:
            raise TypeError("map takes an iterable for each argument of the function")
        total = _shortest([length_of(one) for one in iterables])
        return cls(collects, ordered, chunksize, window, progress, total)


class _Job(NamedTuple):
    """A job under way: how many calls (0: one, without a chunk), and its size."""

    items: int
    size_bytes: int


class _Again(NamedTuple):
    """Calls of a chunk that failed as a whole; each is to run by itself."""

    calls: Sequence[Args]


class Mapping:
    """One map: what is under way, and what comes next. To be read by steps.

    Args:
        batches: Of the client.
        task: Whose calls are made.
        options: How.

    Attributes:
        waiter: On which it is woken.
    """

    def __init__(
        self, batches: Batches, task: Task[..., Any], options: MapOptions
    ) -> None:
        self.options = options
        self._task = task
        self._batches = batches
        self._calls = Calls(batches.parts, task)
        self._writer = Writer(batches.parts, self._calls.shared)
        self._reader = Reader(
            batches.sources,
            self._writer.id,
            ordered=options.ordered,
            forget=True,
            is_fresh=True,
        )
        self.waiter = self._reader.waiter
        self._sizes = self._chunk_size()
        self._gathered: list[Args] = []
        self._jobs: dict[int, _Job] = {}
        self._items = self._bytes = 0
        self._ended = self._closed = False
        self._running_since = 0.0
        self._pid = 0

    @property
    def name(self) -> str:
        """Of its task."""
        return self._task.name

    def bar(self) -> progress.Bar:
        """Return what shows how far it is, if the caller asked for that."""
        options, pool = self.options, str(self._calls.shared.record["pool"])
        look = FleetMeter(self.store.views, pool).read
        return progress.bar(options.progress, self.name, options.total, look)

    @property
    def store(self) -> Store:
        """To wait in."""
        return self._batches.parts.store

    @property
    def waits(self) -> Waits:
        """To await in."""
        return self._batches.waits

    @property
    def wants_more(self) -> bool:
        """Whether calls are to be read now."""
        if self._ended or self._writer.is_full or self._bytes >= _MOST_BYTES:
            return False
        window = self.options.window
        if window is not None and self._items + len(self._gathered) >= window:
            return False
        return len(self._jobs) < self._most_jobs

    @property
    def has_jobs(self) -> bool:
        """Whether any job is under way."""
        return bool(self._jobs)

    @property
    def is_over(self) -> bool:
        """Whether every call was read and has its outcome."""
        return self._ended and not self._gathered and not self._jobs

    @property
    def pause(self) -> float:
        """Seconds to wait for a wake-up after a step without a find."""
        pause = self._reader.pause
        return pause if self._sizes.is_known else min(pause, _SLOW)

    def start(self) -> None:
        """Have it be left, at the latest, when the program ends."""
        self._pid = os.getpid()
        _open_maps.append(self)
        if len(_open_maps) == 1:
            # After the client's own, so that it is called before that.
            atexit.unregister(_leave_all)
            atexit.register(_leave_all)

    def put(self, args: Args) -> None:
        """Take a call.

        Raises:
            ArgumentsNotEncodable: an argument of it, or its chunk, cannot be pickled.
            PayloadTooLarge: it is too large.
        """
        self._gathered.append(args)
        if len(self._gathered) >= self._sizes.size:
            self._seal()

    def end(self) -> None:
        """Note that there are no further calls."""
        self._ended = True

    def take(self) -> list[Any] | None:
        """Store what was put, and return outcomes; None to be asked again at once.

        Raises:
            StoreUnavailable: Redis cannot be reached; it may be called again.
        """
        self._store()
        self._reader.waiter = self.waiter
        items = self._reader.take() if self._writer.stored else []
        self._learn(items)
        found = [one for item in items for one in self._opened(item)]
        return None if not found and self.wants_more else found

    def late(self, timeout: float) -> WaitTimeout:
        """Return what tells that the time of the caller is over."""
        return self._reader.late(timeout)

    def apart(self, total: int) -> Mapping:
        """Return a map of the same task without chunks."""
        options = self.options._replace(chunksize=1, window=None, total=total)
        return Mapping(self._batches, self._task, options)

    def finish(self) -> None:
        """Cancel what is under way, if anything; never raises. Once is enough."""
        if self._pid != os.getpid() or self not in _open_maps:
            return  # a fork's copy of it: the map goes on elsewhere
        _open_maps.remove(self)
        if self._sizes.seconds is not None:
            self._batches.remember(self._task.name, self._sizes.seconds)
        if not self.is_over:
            self._writer.abandon(JobCancelled("the map was left before its end"))
            self._cancel()
        self._batches.parts.sweeper.forget(self._writer.id)

    def _cancel(self) -> None:
        try:
            self._batches.cancel(self._writer.id)
            self._batches.close(self._writer.id)
        except JobNotFound:
            return  # nothing was stored
        except StoreError as error:
            log.warning(
                "map_not_cancelled",
                extra={"batch_id": self._writer.id, "error": str(error)},
            )

    def _store(self) -> None:
        if self._ended or self._sizes.is_automatic:
            self._seal()
        writer = self._writer
        if writer.count > writer.stored:
            writer.store(writer.count if self._ended else None)
            self._closed = self._ended
        if self._ended:
            self._reader.total = writer.stored
            if not self._closed and writer.stored:
                self._batches.parts.store.batches.close(writer.id, writer.stored)
            self._closed = True

    def _seal(self) -> None:
        if self._gathered:
            self._seal_chunk(self._gathered)
            self._gathered = []

    def _seal_chunk(self, calls: list[Args]) -> None:
        if len(calls) == 1:
            self._add(calls[0], 0)
            return
        try:
            self._add(calls, len(calls))
        except PayloadTooLarge:
            if not self._sizes.is_automatic:
                raise
            half = len(calls) // 2
            self._seal_chunk(calls[:half])
            self._seal_chunk(calls[half:])

    def _add(self, args: Args, items: int) -> None:
        index = self._writer.count
        seal = self._calls.seal
        size = self._writer.add(
            lambda job_id, headers: seal(job_id, args, headers, items)
        )
        self._sizes.sealed(max(1, items), size)
        self._jobs[index] = _Job(items, size)
        self._items += max(1, items)
        self._bytes += size

    def _opened(self, item: Item) -> Iterator[tuple[bool, Any] | _Again]:
        job = self._jobs.pop(item.at)
        self._items -= max(1, job.items)
        self._bytes -= job.size_bytes
        job_id = member_id(self._writer.id, item.at)
        if not job.items:
            yield item.good, item.value
        elif item.good:
            yield from chunks.load_value(item.value, job_id)
        elif self._sizes.is_automatic and _is_failure(item.value):
            # That they ran together was not the caller's wish.
            yield _Again(self._batches.call(job_id).args)
        else:
            yield from [(False, item.value)] * job.items

    def _learn(self, items: Sequence[Item]) -> None:
        for item in items:
            calls = max(1, self._jobs[item.at].items)
            if item.good:
                self._sizes.ended(calls, item.ran, item.size_bytes)
        if self._sizes.is_known:
            return
        if not self._reader.counts.get("running"):
            self._running_since = 0.0
        elif not self._running_since:
            self._running_since = time.monotonic()
        elif time.monotonic() - self._running_since >= _SLOW:
            self._sizes.is_slow()

    @property
    def _most_jobs(self) -> int:
        if not self._sizes.is_known:
            return _PROBES
        if self._sizes.size == 1:
            return _MOST_JOBS
        return max(_MOST_CHUNKS, _JOBS_A_MACHINE * self._calls.shared.max_machines)

    def _chunk_size(self) -> ChunkSize:
        options, spec = self.options, self._task.spec
        fixed = options.chunksize
        if fixed is None and (spec.retry.max_attempts > 1 or spec.on_lost == "fail"):
            fixed = 1
        most = options.window // 4 if options.window is not None else LARGEST
        if options.total is not None:
            jobs = _JOBS_A_MACHINE * self._calls.shared.max_machines
            most = min(most, -(-options.total // jobs))
        known = self._batches.remembered(self._task.name)
        return ChunkSize(fixed, timeout=spec.timeout, most=most, seconds=known)


def map_calls(mapping: Mapping, calls: Iterator[Args]) -> Generator[Any, None, None]:
    """Yield the value of each call; see `Task.map`."""
    options, shown = mapping.options, mapping.bar()
    with contextlib.closing(_outcomes(mapping, calls)) as outcomes:
        try:
            for good, value in outcomes:
                shown.update(1, not good)
                if not (good or options.collects):
                    raise value
                yield value
        finally:
            shown.close()


async def amap_calls(mapping: Mapping, feed: Feed) -> AsyncGenerator[Any, None]:
    """Do as `map_calls` does, without blocking the event loop."""
    options, shown = mapping.options, mapping.bar()
    async with contextlib.aclosing(_aoutcomes(mapping, feed)) as outcomes:
        try:
            async for good, value in outcomes:
                shown.update(1, not good)
                if not (good or options.collects):
                    raise value
                yield value
        finally:
            shown.close()


def _outcomes(
    mapping: Mapping, calls: Iterator[Args]
) -> Generator[tuple[bool, Any], None, None]:
    mapping.start()
    try:
        for found in read(mapping.store, Fed(mapping, calls), Limit()):
            for one in found:
                if isinstance(one, _Again):
                    apart = mapping.apart(len(one.calls))
                    yield from _outcomes(apart, iter(one.calls))
                else:
                    yield one
    finally:
        mapping.finish()


async def _aoutcomes(
    mapping: Mapping, feed: Feed
) -> AsyncGenerator[tuple[bool, Any], None]:
    mapping.start()
    try:
        async for found in aread(mapping.waits, mapping, Limit(), feed):
            for one in found:
                if not isinstance(one, _Again):
                    yield one
                    continue
                apart = mapping.apart(len(one.calls))
                feed_apart = Feed(apart, each(one.calls), _as_it_is)
                async for outcome in _aoutcomes(apart, feed_apart):
                    yield outcome
    finally:
        await feed.close()
        # Cancelled in the middle, the task may still await this.
        await in_thread(mapping.finish)


def _leave_all() -> None:
    """Leave maps that the program did not read to their end, while that is possible."""
    for mapping in tuple(_open_maps):
        mapping.finish()


def _shortest(lengths: Sequence[int | None]) -> int | None:
    known = [one for one in lengths if one is not None]
    return min(known) if len(known) == len(lengths) else None


def _is_failure(error: object) -> bool:
    cause = getattr(error, "__cause__", None)
    return isinstance(error, JobFailed) or isinstance(cause, JobFailed)


def _as_it_is(call: tuple[int, Args]) -> Args:
    return call[1]
