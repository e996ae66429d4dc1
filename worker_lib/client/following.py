"""Reading what jobs print: what is there, and what comes while they run.

Whoever follows a job marks it in Redis, and its machine then sends what it prints,
about once a second at most. Each piece is kept there for a while, and published: a
follower that has read all so far waits on its connection. It asks only when it begins,
when the job's status changes, when a piece is missing, and now and then to renew its
mark: once a second at most in the mean. When the mark is over, the machine sends no
more.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.client.outage import Outage
from worker_lib.client.output import BEGINNING, check_attempt, read_on
from worker_lib.errors import StoreUnavailable
from worker_lib.job import FINAL
from worker_lib.store.changes import Wakeup
from worker_lib.store.connection import ANSWER_TIMEOUT
from worker_lib.store.printed import Printed, SentPiece

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from worker_lib.calls.codec import Codec
    from worker_lib.client.output import LogText, Position
    from worker_lib.job import JobStatus
    from worker_lib.store.printed import PrintingChannel
    from worker_lib.store.store import Store

__all__ = ["HOLD", "LogNews", "Logs", "Stop"]

# Seconds for which a job counts as followed, and after which the mark is renewed.
HOLD, _RENEW = 20.0, 8.0
# To the next question if something is to be expected: the rest of an attempt that was
# cancelled, or what a machine sends first.
_SOON = 1.0
# Questions in a row, and for each of them a second of patience later.
_MOST_AT_ONCE = 3.0


class LogNews(NamedTuple):
    """What there was to read of a job at one moment.

    Attributes:
        status: Of the job then.
        attempt: Number of its latest attempt; 0 before the first.
        texts: What it had printed since the moment before.
        position: Up to where this goes.
        is_over: Nothing more will come.
        is_complete: All that it had printed is there by now: it does not run, or its
            machine has sent something, or would have.
        printed: What Redis told of it, for `Logs.read_on` from another position.
    """

    status: JobStatus
    attempt: int
    texts: tuple[LogText, ...]
    position: Position
    is_over: bool
    is_complete: bool
    printed: Printed

    @property
    def text(self) -> str:
        """All of it as one, each attempt named if there are several."""
        return "".join(one.name + one.text for one in self.texts)


class Logs:
    """What the jobs of one namespace print.

    Args:
        store: To ask, and to hear.
        codec: Verifies what machines have signed.
        not_found: Makes the error on a job that is not there.
        attend: Is told of a job that somebody waits for; `forget` of its end.
    """

    def __init__(
        self,
        store: Store,
        codec: Codec,
        not_found: Callable[[str], Exception],
        attend: Callable[[str], None],
        forget: Callable[[str], None],
    ) -> None:
        self._store = store
        self._codec = codec
        self._not_found = not_found
        self._attend = attend
        self._forget = forget

    def read(self, job_id: str, attempt: int | None) -> str:
        """Return what a job has printed so far, as one text; see `Job.logs`."""
        printed = self._printed(job_id, BEGINNING, 0)
        if attempt is not None:
            check_attempt(job_id, printed, attempt)
        texts, _ = read_on(self._codec, job_id, printed, BEGINNING, attempt)
        shown = [text.name + text.text for text in texts]
        # Whatever follows the last line, as of an attempt that comes, is on its own.
        is_named = bool(texts) and bool(texts[-1].name)
        return "".join(shown) + ("\n" if is_named and shown[-1][-1] != "\n" else "")

    def look(
        self,
        job_id: str,
        position: Position = BEGINNING,
        *,
        attempt: int | None = None,
        hold: float = 0.0,
    ) -> LogNews:
        """Return what a job has printed since a position; one command.

        Args:
            job_id: The job.
            position: Of the last time.
            attempt: Only this one.
            hold: Have its machine send what it prints for so many seconds.

        Raises:
            JobNotFound: Redis has no such job, or no longer has it.
            SignatureMismatch: a machine of ours did not print that there.
        """
        printed = self._printed(job_id, position, hold)
        if attempt is not None and (printed.status in FINAL or not hold):
            check_attempt(job_id, printed, attempt)
        return self.read_on(job_id, printed, position, attempt=attempt)

    def read_on(
        self,
        job_id: str,
        printed: Printed,
        position: Position,
        *,
        attempt: int | None = None,
    ) -> LogNews:
        """Return what was printed beyond a position, verified."""
        texts, after = read_on(self._codec, job_id, printed, position, attempt)
        is_past = attempt is not None and _has_passed(printed, attempt)
        is_over = (printed.status in FINAL or is_past) and not printed.is_late
        is_complete = printed.status != "running" or bool(printed.sent)
        read = printed.attempt, tuple(texts), after, is_over, is_complete
        return LogNews(printed.status, *read, printed)

    def follow(
        self,
        job_id: str,
        *,
        attempt: int | None = None,
        timeout: float | None = None,
        stop: Stop | None = None,
        attend: bool = True,
    ) -> Iterator[LogNews]:
        """Yield what a job prints until it has ended, what is there already first.

        Args:
            job_id: The job.
            attempt: Only this one, which may be yet to come.
            timeout: Seconds; None follows to the end.
            stop: Ends it sooner; else there is nobody who could.
            attend: Have this process see to the job until it has ended.
        """
        own = stop or Stop()
        follower = _Follower(self, job_id, attempt, timeout, own)
        if attend:
            self._attend(job_id)
        try:
            yield from follower.run(self._store)
        finally:
            if stop is None:
                own.close()
        if follower.status in FINAL:
            self._forget(job_id)

    async def afollow(
        self, job_id: str, *, attempt: int | None
    ) -> AsyncGenerator[LogNews]:
        """Do as `follow` does, in a thread that ends when nobody reads any more."""
        stop = Stop()
        feed = _Feed(stop)
        feed.start(self.follow(job_id, attempt=attempt, stop=stop))
        try:
            while (one := await feed.next()) is not None:
                yield one
        finally:
            stop.set()

    def _printed(self, job_id: str, position: Position, hold: float) -> Printed:
        after = None if position.is_done else position.at
        printed = self._store.output.read(job_id, position.fence, after, hold=hold)
        if printed is None:
            raise self._not_found(job_id)
        return printed


class Stop(Wakeup):
    """Ends a follower that waits.

    Attributes:
        is_set: Whether it is to end.
    """

    is_set = False

    def set(self) -> None:
        """End it, from any thread."""
        self.is_set = True
        with suppress(OSError):  # it has ended by itself
            self.notify()


class _Follower:
    """One who follows a job.

    Attributes:
        status: Of the job, as it was last seen; "" before.
    """

    def __init__(
        self,
        logs: Logs,
        job_id: str,
        attempt: int | None,
        timeout: float | None,
        stop: Stop,
    ) -> None:
        self._logs = logs
        self._job_id = job_id
        self._attempt = attempt
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._stop = stop
        self._position = BEGINNING
        self._number = 0
        self._is_late = False
        # Whether all that was printed before is known; None before the first question.
        self._is_complete: bool | None = None
        self._may_ask = _MOST_AT_ONCE
        self._asked_at = time.monotonic()
        self.status = ""

    def run(self, store: Store) -> Iterator[LogNews]:
        """Yield news until there are no more, or time is over."""
        deadline = None if self._deadline == math.inf else self._deadline
        outage = Outage(store, deadline, self._stop.wait)
        while not self._stop.is_set:
            try:
                with store.output.heard(self._job_id) as channel:
                    for news in self._news(channel):
                        outage.is_over()
                        yield news
                break
            except StoreUnavailable as error:
                outage.pause(error)

    def _news(self, channel: PrintingChannel) -> Iterator[LogNews]:
        channel.subscribe(ANSWER_TIMEOUT)
        while not self._stop.is_set:
            self._wait_for_turn()
            news = self._ask()
            yield news
            if news.is_over or self._left() <= 0:
                return
            yield from self._pieces(channel)

    def _ask(self) -> LogNews:
        self._may_ask, self._asked_at = self._allowed() - 1.0, time.monotonic()
        news = self._logs.look(
            self._job_id, self._position, attempt=self._attempt, hold=HOLD
        )
        # A machine that has something to send does so at once.
        is_complete = news.is_complete or self._is_complete is not None
        self._is_complete = is_complete
        news = news._replace(is_complete=is_complete)
        self._position, self.status = news.position, news.status
        self._number = news.attempt
        self._is_late = news.status in FINAL and not news.is_over
        return news

    def _pieces(self, channel: PrintingChannel) -> Iterator[LogNews]:
        """Yield what is sent, until it is time to ask."""
        while not self._stop.is_set:
            due_at = min(self._asked_at + self._pause(), self._deadline)
            left = due_at - time.monotonic()
            if left <= 0 and not self._is_late and self._left() > 0:
                told = channel.check(ANSWER_TIMEOUT)  # a dead one tells of nothing
            else:
                told = channel.wait(self._stop, max(0.0, left))
            for one in told:
                if isinstance(one, SentPiece) and self._is_next(one):
                    yield self._taken(one)
                elif isinstance(one, SentPiece) or one != self.status:
                    return
            if left <= 0:
                return

    def _is_next(self, sent: SentPiece) -> bool:
        """Whether it goes on where this one has read up to."""
        position, is_running = self._position, self.status == "running"
        return is_running and sent.fence == position.fence and sent.start <= position.at

    def _taken(self, sent: SentPiece) -> LogNews:
        told = (sent.fence, sent.piece)
        printed = Printed("running", sent.fence, self._number, (), False, (told,), ())
        place = self._job_id, printed, self._position
        news = self._logs.read_on(*place, attempt=self._attempt)
        self._position, self._is_complete = news.position, True
        return news

    def _wait_for_turn(self) -> None:
        """Wait until a further question is allowed: one a second in the mean."""
        while (lack := 1.0 - self._allowed()) > 0 and not self._stop.is_set:
            self._stop.wait(lack)

    def _allowed(self) -> float:
        passed = time.monotonic() - self._asked_at
        return min(_MOST_AT_ONCE, self._may_ask + passed)

    def _pause(self) -> float:
        return _SOON if self._is_late or not self._is_complete else _RENEW

    def _left(self) -> float:
        return self._deadline - time.monotonic()


class _Feed:
    """Hands news from a thread that follows to the event loop that awaits them.

    Args:
        stop: Ends the thread.
    """

    def __init__(self, stop: Stop) -> None:
        import asyncio  # noqa: PLC0415 - costly, and only async code needs it

        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[LogNews | BaseException | None] = asyncio.Queue()

    def start(self, news: Iterator[LogNews]) -> None:
        """Begin to follow."""
        run = partial(self._run, news)
        threading.Thread(target=run, name="worker_lib-follow", daemon=True).start()

    async def next(self) -> LogNews | None:
        """Return what comes next; None at the end. Raises what following raises."""
        one = await self._queue.get()
        if isinstance(one, BaseException):
            raise one
        return one

    def _run(self, news: Iterator[LogNews]) -> None:
        try:
            for one in news:
                self._put(one)
            self._put(None)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            self._put(error)
        finally:
            self._stop.close()

    def _put(self, one: LogNews | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._queue.put_nowait, one)


def _has_passed(printed: Printed, attempt: int) -> bool:
    """Whether nothing more can come of an attempt; one handed back keeps its number."""
    if printed.status == "running":
        return printed.attempt > attempt
    return printed.attempt >= attempt
