"""What `Task.delay_many` and `Batch` do with Redis."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib import hooks
from worker_lib.client import progress
from worker_lib.client.batch import Batch
from worker_lib.client.bulk import Calls, Parts, Writer, length_of
from worker_lib.client.fleet import FleetMeter
from worker_lib.client.reading import (
    Limit,
    Reader,
    Sources,
    Watcher,
    aread,
    batch_not_found,
    read,
)
from worker_lib.errors import JobError, PartlyStored, StoreError
from worker_lib.store.keys import member_id, new_slot_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from worker_lib.calls import pickling
    from worker_lib.client.batch_waits import Waits
    from worker_lib.client.bulk import Headers
    from worker_lib.client.client import Client
    from worker_lib.client.reading import Item
    from worker_lib.store.new_job import NewJob
    from worker_lib.store.replies import BatchSeen
    from worker_lib.task import Task

__all__ = ["Batches", "Parts", "Sources"]

_MOST_REMEMBERED = 1000
_RUN_AGAIN = {"failed", "expired"}


class Batches:
    """Batches of one client.

    Args:
        client: Whose batches they are.
        parts: To store calls.
        sources: To read outcomes.
    """

    def __init__(self, client: Client, parts: Parts, sources: Sources) -> None:
        self.parts = parts
        self.sources = sources
        self._client = client
        self._store = parts.store
        self._waits: Waits | None = None
        self._seconds: dict[str, float] = {}

    @property
    def waits(self) -> Waits:
        """Everyone in this process who awaits a batch."""
        if self._waits is None:
            # It imports asyncio, which is costly.
            from worker_lib.client.batch_waits import Waits  # noqa: PLC0415

            self._waits = Waits(self._store)
        return self._waits

    def store(
        self,
        task: Task[..., Any],
        calls: Iterable[Sequence[Any]],
        given: Iterable[object],
    ) -> Batch[Any]:
        """Store calls; see `Task.delay_many`.

        Args:
            task: With the options of the calls.
            calls: The arguments of each.
            given: As the caller gave them: it may know how many there are.
        """
        sealer = Calls(self.parts, task)
        writer = Writer(self.parts, sealer.shared)
        seals = (partial(_seal, sealer, args) for args in calls)
        return self._stored(writer, seals, length_of(given))

    def look(self, batch_id: str) -> BatchSeen:
        """Return a batch as it is now.

        Raises:
            BatchNotFound: Redis has none of this id.
        """
        news = self._store.batches.news(batch_id, limit=0)
        if news is None:
            raise batch_not_found(batch_id)
        return news.seen

    def results(
        self, reader: Reader, limit: Limit, *, collects: bool, bar: bool
    ) -> Iterator[Any]:
        """Yield values; see `Batch.results`."""
        shown = self._bar(bar, reader.id)
        try:
            for found in read(self._store, reader, limit):
                for item in found:
                    shown.update(1, not item.good)
                    yield _value_of(item, collects=collects)
        finally:
            reader.end()
            shown.close()

    async def aresults(
        self, reader: Reader, limit: Limit, *, collects: bool, bar: bool
    ) -> AsyncIterator[Any]:
        """Yield values; see `Batch.aresults`."""
        shown = self._bar(bar, reader.id)
        try:
            async for found in aread(self.waits, reader, limit):
                for item in found:
                    shown.update(1, not item.good)
                    yield _value_of(item, collects=collects)
        finally:
            reader.end()
            shown.close()

    def wait(self, watcher: Watcher, limit: Limit) -> None:
        """Wait for the end of all jobs; see `Batch.wait`."""
        try:
            for _ in read(self._store, watcher, limit):
                pass
        finally:
            watcher.end()

    def cancel(self, batch_id: str) -> int:
        """Cancel what has not ended; return how many jobs that were."""
        position = self.look(batch_id).ended if hooks.on_end else 0
        canceller, count = new_slot_id(), 0
        start: int | None = 0
        while start is not None:
            done = self._store.batches.cancel(batch_id, start, canceller)
            if done is None:
                raise batch_not_found(batch_id)
            cancelled, start = done
            count += cancelled
        self.parts.sweeper.forget(batch_id)
        if hooks.on_end:
            self.sources.ends.tell_many(
                (member_id(batch_id, index), status, None)
                for index, status in self._ended(batch_id, position)
                if status == "cancelled"
            )
        return count

    def close(self, batch_id: str) -> None:
        """Have a batch be complete with what is stored of it."""
        self._store.batches.close(batch_id, self.look(batch_id).stored)

    def retry_failed(self, batch_id: str) -> Batch[Any]:
        """Run again what failed or expired; see `Batch.retry_failed`."""
        self.look(batch_id)
        failed = sorted(
            index for index, status in self._ended(batch_id) if status in _RUN_AGAIN
        )
        if not failed:
            raise JobError(f"no job of batch {batch_id} has failed", job_id=batch_id)
        again = partial(self._client.edits.again, may_launch=self.parts.may_launch)
        records = self._records([member_id(batch_id, index) for index in failed])
        first_id, record = next(records)
        shared = dataclasses.replace(again(first_id, record=record), retry_of="")
        every = itertools.chain([(first_id, record)], records)
        seals = (partial(_resealed, again, shared, *one) for one in every)
        self.parts.nesting.admit(str(shared.of("task")), 0)
        return self._stored(Writer(self.parts, shared), seals, len(failed))

    def call(self, job_id: str) -> pickling.Call:
        """Return what a job that failed was called with."""
        return self._client.edits.call(job_id)

    def remembered(self, task: str) -> float | None:
        """Return how many seconds a call took at last; None if that is not known."""
        return self._seconds.get(task)

    def remember(self, task: str, seconds: float) -> None:
        """Keep how many seconds a call of a task takes, for its next map."""
        if len(self._seconds) >= _MOST_REMEMBERED:
            self._seconds.clear()
        self._seconds[task] = seconds

    def _stored(
        self,
        writer: Writer,
        seals: Iterable[Callable[[str, Headers], bytes]],
        total: int | None,
    ) -> Batch[Any]:
        try:
            for seal in seals:
                if writer.is_full:
                    writer.begin()
                writer.add(seal)
            writer.store(writer.count)
        except BaseException as error:
            with contextlib.suppress(StoreError):  # the first error counts
                writer.wait()
            writer.abandon(error)
            if not writer.stored or not isinstance(error, Exception):
                raise
            raise self._partly(writer, total, error) from error
        return Batch(writer.id, self._client, is_fresh=not writer.has_trouble)

    def _partly(
        self, writer: Writer, total: int | None, error: Exception
    ) -> PartlyStored:
        stored = writer.stored
        of = "" if total is None else f" of {total:,}"
        return PartlyStored(
            f"only the first {stored:,}{of} calls are stored, as batch {writer.id}, "
            f"since {error}; this error's batch waits for them, or cancels them",
            batch=Batch(writer.id, self._client, is_partial=True),
            stored=stored,
            total=total,
        )

    def _records(self, job_ids: list[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield each of these jobs with its record."""
        while job_ids:
            found = self._store.records(job_ids)
            yield from zip(job_ids, found, strict=False)
            job_ids = job_ids[len(found) :]

    def _ended(self, batch_id: str, position: int = 0) -> Iterator[tuple[int, str]]:
        """Yield index and status of the jobs that have ended since a position."""
        while news := self._store.batches.news(batch_id, position):
            if not news.ended:
                return
            position += len(news.ended)
            yield from news.ended

    def _bar(self, wanted: bool, batch_id: str) -> progress.Bar:
        if not wanted:
            return progress.bar(False, "", None)
        seen = self.look(batch_id)
        look = FleetMeter(self._store.views, seen.pool, seen.created_at).read
        return progress.bar(True, seen.task, seen.total, look)


def _value_of(item: Item, *, collects: bool) -> Any:
    """Return a value; or an error in its place, or raise that."""
    if not (item.good or collects):
        raise item.value
    return item.value


def _seal(sealer: Calls, args: Sequence[Any], job_id: str, headers: Headers) -> bytes:
    return sealer.seal(job_id, args, headers)


def _resealed(
    again: Callable[..., NewJob],
    shared: NewJob,
    old_id: str,
    record: dict[str, bytes],
    job_id: str,
    _: Headers,
) -> bytes:
    """Return the call of a job signed for a new one that has all else of `shared`."""
    new = again(old_id, new_id=job_id, record=record)
    if {**new.record, "call": b""} != {**shared.record, "call": b""}:
        raise JobError(
            f"job {old_id} is of another task than the first that failed, or has other "
            "options: run the jobs of such a batch again one by one, by Job.retry()",
            job_id=old_id,
        )
    call: bytes = new.record["call"]  # type: ignore[assignment]  # as it is sealed
    return call
