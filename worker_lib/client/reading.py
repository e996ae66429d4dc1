"""Reading the outcomes of a batch, as they come or in order.

A `Reader` sends short commands only, so that a thread that serves several of them is
never held up; who waits does so between its steps, and is woken once for each step
however many jobs have ended.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from worker_lib.client.marks import Marks, Pace
from worker_lib.client.outage import Outage
from worker_lib.client.outcomes import load
from worker_lib.errors import (
    BatchNotFound,
    JobError,
    JobLost,
    PayloadError,
    ResultExpired,
    StoreUnavailable,
    WaitTimeout,
)
from worker_lib.job import FINAL
from worker_lib.store.keys import member_id, new_slot_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from worker_lib.calls.codec import Codec
    from worker_lib.client.batch_waits import Waits
    from worker_lib.client.events import Ends
    from worker_lib.client.feeding import Feed
    from worker_lib.store.replies import BatchSeen, Ended, Seen
    from worker_lib.store.store import Store
    from worker_lib.sweeper import Sweeper

__all__ = [
    "Item",
    "Limit",
    "Reader",
    "Sources",
    "Steps",
    "Watcher",
    "aread",
    "batch_not_found",
    "read",
]

# Of one command; Redis stops sooner where outcomes are large.
_NEWS = 1000
_OUTCOMES = 500
# What keeps jobs from running is looked for so soon, then less and less often.
_FIRST_LOOK = 1.0
_LONGEST_PAUSE = 20.0
# How long one wait may block; 0 would have no end.
_SHORTEST = 0.01
_BLOCK = 20.0


class Item(NamedTuple):
    """The outcome of a job of a batch.

    Attributes:
        at: Its index in the batch.
        value: What the task returned, or if not `good` the exception to raise.
        ran: Seconds; None if it did not run, or that is not known.
        size_bytes: Of the sealed outcome.
    """

    at: int
    good: bool
    value: Any
    ran: float | None = None
    size_bytes: int = 0


class Sources(NamedTuple):
    """What reading needs of a client.

    Attributes:
        judge: Raises what keeps a job from ever ending, from what a look has found.
    """

    store: Store
    codec: Codec
    ends: Ends
    sweeper: Sweeper
    judge: Callable[[str, Seen | None, bool], object]


class Steps(Protocol):
    """What is read by steps, none of which blocks for long."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to read."""
        ...

    @property
    def pause(self) -> float:
        """Seconds to wait for a wake-up after a step without a find."""
        ...

    waiter: str

    def take(self) -> Sequence[Any] | None:
        """Return what there is now; nothing if it must be waited for.

        None asks to be called again at once.
        """
        ...

    def late(self, timeout: float) -> WaitTimeout:
        """Return what tells that the time of the caller is over."""
        ...


class Limit(NamedTuple):
    """How long a caller waits, in seconds, and until when; None: without a limit."""

    timeout: float | None = None
    deadline: float | None = None

    @classmethod
    def of(cls, timeout: float | None) -> Limit:
        """Return the limit for so many seconds from now."""
        return cls(timeout, None if timeout is None else time.monotonic() + timeout)


class Reader:
    """Reads the outcomes of one batch.

    Args:
        sources: Of the client.
        batch_id: The batch.
        ordered: In the order of the calls, else as they end.
        forget: Let Redis forget soon what has been read.
        is_fresh: Stored a moment ago without trouble: there is nothing to look for.
        is_partial: Nobody stores what is missing of it: it is closed at once.

    Attributes:
        id: Of the batch.
        waiter: On which it is woken.
        total: How many jobs the batch has; None while more may come.
        counts: Jobs by status, as last seen.
    """

    def __init__(
        self,
        sources: Sources,
        batch_id: str,
        *,
        ordered: bool = True,
        forget: bool = False,
        is_fresh: bool = False,
        is_partial: bool = False,
    ) -> None:
        self.id = batch_id
        self.waiter = new_slot_id()
        self.total: int | None = None
        self.counts: dict[str, int] = {}
        self._sources = sources
        self._ordered = ordered
        self._forget = forget
        self._is_partial = is_partial
        self._known = is_fresh
        self._marks, self._pace = Marks(), Pace()
        self._position = self._read = self._stored = 0
        self._as_ended: deque[int] = deque()
        self._holds = False
        self._wait = _FIRST_LOOK
        self._look_at = time.monotonic() + (_FIRST_LOOK if is_fresh else 0.0)
        self._has_asked = False

    @property
    def is_over(self) -> bool:
        """Whether every job of a batch that gets no more has been read."""
        return self.total is not None and self._read >= self.total

    @property
    def pause(self) -> float:
        """Seconds to wait for a wake-up after a step without a find."""
        until_look = max(0.0, self._look_at - time.monotonic())
        return min(self._pace.patience(self._left), until_look)

    def take(self) -> list[Item]:
        """Return some outcomes; none if it must be waited for.

        Raises:
            BatchNotFound: Redis has no such batch; `JobLost` if it was there before.
            MachineError: its jobs wait for a machine that only a person can bring.
            StoreUnavailable: Redis cannot be reached; it may be called again.
        """
        if (self._holds or not self._ready(1)) and not self._look_for_more():
            return []
        return self._fetch(self._ready(_OUTCOMES))

    def late(self, timeout: float) -> WaitTimeout:
        """Return what tells that the time of the caller is over."""
        return WaitTimeout(
            f"batch {self.id} is not done after {timeout:g} s: {self._position} of "
            f"{self._stored} jobs have ended; the others go on, and "
            f"Batch.get({self.id!r}) waits for them again"
        )

    def end(self) -> None:
        """Note that nobody reads any more, and whether there is nothing to attend."""
        if self.is_over:
            self._sources.sweeper.forget(self.id)

    def _look_for_more(self) -> bool:
        """Ask what has ended; say whether there is enough of it to be fetched."""
        waited, self._holds = self._holds, False
        while (is_enough := self._ask()) and not self._ready(1):
            pass
        # The rest of what it waits for is about to come: it is fetched with that, or
        # after one wait whatever has come by then.
        self._holds = not (is_enough or waited or self._position >= self._stored)
        return not self._holds and bool(self._ready(1))

    def _ready(self, most: int) -> Sequence[int]:
        if self._ordered:
            end = min(self._marks.first_missing, self._read + most)
            return range(self._read, end)
        return [self._as_ended[at] for at in range(min(most, len(self._as_ended)))]

    def _ask(self) -> bool:
        """Ask what has ended since; say whether it is as much as was waited for.

        If it is not, the reader is woken once it is.
        """
        if not self._has_asked:
            self._has_asked = True
            # Who stored the jobs may be gone, so who waits for them looks after them.
            self._sources.sweeper.attend(self.id, _FIRST_LOOK)
        store, at_least = self._sources.store, self._at_least()
        news = store.batches.news(
            self.id,
            self._position,
            limit=_NEWS,
            waiter=self.waiter,
            at_least=at_least,
            forget=self._forget,
        )
        if news is None:
            raise self._gone()
        self._see(news.seen)
        self._note([index for index, _ in news.ended])
        if news.ended:
            self._wait = _FIRST_LOOK
            self._look_at = time.monotonic() + _FIRST_LOOK
        elif time.monotonic() >= self._look_at:
            self._look(news.seen)
        return len(news.ended) >= min(at_least, _NEWS)

    def _see(self, seen: BatchSeen) -> None:
        self._known = True
        self.counts, self._stored = seen.counts, seen.stored
        if seen.total is not None:
            self.total = seen.total
        elif self._is_partial:
            self._sources.store.batches.close(self.id, seen.stored)
            self.total = seen.stored
        if seen.forgotten > self._position:
            self._miss(seen.forgotten)

    def _miss(self, forgotten: int) -> None:
        """Go on where Redis no longer knows which jobs were the first to end.

        Raises:
            ResultExpired: their outcomes are wanted.
        """
        raise ResultExpired(
            f"{forgotten} results of batch {self.id} were taken out by the map that "
            "stored its calls: nobody else can read them",
            job_id=self.id,
        )

    def _note(self, ended: Sequence[int]) -> None:
        for index in ended:
            self._marks.add(index)
        if not self._ordered:
            self._as_ended.extend(ended)
        self._position += len(ended)
        self._pace.note(len(ended))

    @property
    def _left(self) -> int:
        """How many have not ended, as far as is known; at least 1."""
        total = self._stored if self.total is None else self.total
        return max(1, total - self._position)

    def _at_least(self) -> int:
        left = self._left
        if self.total is None:
            # Others are stored as these end: a machine must not run out of them.
            left = max(1, left // 4)
        return min(self._pace.at_least(left), left)

    def _look(self, seen: BatchSeen) -> None:
        """Look whether the first job that has not ended ever can.

        Raises:
            MachineError: no machine can be had until a person acts.
            JobLost: Redis no longer has it.
        """
        self._look_at = time.monotonic() + self._wait
        self._wait = min(_LONGEST_PAUSE, 2 * self._wait)
        index = self._marks.first_missing
        # While a machine runs some of them, the others get their turn.
        if index >= seen.stored or seen.counts.get("running"):
            return
        job_id = member_id(self.id, index)
        (found,) = self._sources.store.look(job_id)
        self._sources.judge(job_id, found, True)
        # The look may have put back a deadline that was lost.
        self._sources.sweeper.attend(self.id, _FIRST_LOOK)

    def _fetch(self, indexes: Sequence[int]) -> list[Item]:
        ids = [member_id(self.id, index) for index in indexes]
        ended = self._sources.store.batches.outcomes(ids, forget=self._forget)
        found = [
            self._opened(index, job_id, one)
            for index, job_id, one in zip(indexes, ids, ended, strict=False)
        ]
        self._read += len(found)
        if not self._ordered:
            for _ in found:
                self._as_ended.popleft()
        self._sources.ends.tell_many(
            (ids[at], one.status if one else "", None if item.good else item.value)
            for at, (one, item) in enumerate(zip(ended, found, strict=True))
        )
        return found

    def _opened(self, index: int, job_id: str, ended: Ended | None) -> Item:
        if ended is None or ended.outcome is None:
            error = ResultExpired(
                f"job {job_id} ended, but its outcome was kept no longer than its "
                "result_ttl: raise result_ttl to keep it longer",
                job_id=job_id,
            )
            return Item(index, False, error)
        size = len(ended.outcome.envelope)
        try:
            good, value = load(self._sources.codec, job_id, ended.outcome)
        except (JobError, PayloadError) as error:
            good, value = False, error
        return Item(index, good, value, ended.ran, size)

    def _gone(self) -> JobError:
        if not self._known:
            return batch_not_found(self.id)
        return JobLost(
            f"batch {self.id} was stored and Redis no longer has it: its data was lost "
            "or evicted; check its persistence and maxmemory-policy",
            job_id=self.id,
        )


class Watcher(Reader):
    """Waits for the end of a batch, and reads no outcome."""

    _knows_all = True

    def take(self) -> list[Item]:
        """Look how far the batch is; see `Reader.take`."""
        while self._ask() and not self._is_done():
            pass
        self._read = self._ended
        return []

    def _miss(self, forgotten: int) -> None:
        self._position = forgotten
        self._knows_all = False

    def _look(self, seen: BatchSeen) -> None:
        if self._knows_all:
            super()._look(seen)

    def _is_done(self) -> bool:
        return self.total is not None and self._ended >= self.total

    @property
    def _ended(self) -> int:
        return sum(self.counts.get(status, 0) for status in FINAL)

    def _at_least(self) -> int:
        return self._left


def batch_not_found(batch_id: str) -> BatchNotFound:
    """Return what tells that Redis has no such batch."""
    return BatchNotFound(
        f"there is no batch {batch_id}: it was never stored in this namespace, or "
        "ended longer ago than its result_ttl",
        job_id=batch_id,
    )


def read(store: Store, steps: Steps, limit: Limit) -> Iterator[Sequence[Any]]:
    """Yield what comes, some at a time, until nothing is left.

    Args:
        store: To wait in.
        steps: What is read.
        limit: Of the caller's time.

    Raises:
        WaitTimeout: the time is over.
        StoreUnavailable: Redis refuses us, or was away when time was over; until then
            it retries.
    """
    outage = Outage(store, limit.deadline)
    while not steps.is_over:
        try:
            found = steps.take()
            outage.is_over()
            if found is not None and not found and not steps.is_over:
                store.batches.wait(steps.waiter, _pause(steps, limit))
        except StoreUnavailable as error:
            outage.pause(_unless_full(error))
            continue
        if found:
            yield found


async def aread(
    waits: Waits, steps: Steps, limit: Limit, feed: Feed | None = None
) -> AsyncIterator[Sequence[Any]]:
    """Do as `read` does, without blocking the event loop or a thread of its own.

    Args:
        waits: To wait in.
        steps: What is read.
        limit: Of the caller's time.
        feed: Fills a map before each step.
    """
    import asyncio  # noqa: PLC0415 - costly, and only async code needs it

    from worker_lib.client.waiters import in_thread  # noqa: PLC0415 - it imports asyncio

    pauses: list[float] = []
    outage = Outage(waits.store, limit.deadline, pauses.append)
    with waits.listen() as heard:
        steps.waiter = heard.waiter
        while not steps.is_over:
            heard.clear()
            if feed is not None:
                await feed.fill()
            try:
                found = await in_thread(steps.take)
                outage.is_over()
            except StoreUnavailable as error:
                outage.pause(_unless_full(error))
                await asyncio.sleep(pauses.pop())
                continue
            if found:
                yield found
            elif not steps.is_over:
                coming = feed.task if feed is not None else None
                if found is not None or coming is not None:
                    await heard.wait(_pause(steps, limit), coming)


def _pause(steps: Steps, limit: Limit) -> float:
    pause = max(_SHORTEST, min(_BLOCK, steps.pause))
    if limit.deadline is None or limit.timeout is None:
        return pause
    left = limit.deadline - time.monotonic()
    if left <= 0:
        raise steps.late(limit.timeout)
    return min(pause, left)


def _unless_full(error: StoreUnavailable) -> StoreUnavailable:
    # Redis gets no room by waiting, where it is we who would have to free it.
    if error.reason == "full":
        raise error
    return error
