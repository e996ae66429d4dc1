"""What jobs print, for several in this process who follow the same one: at one's cost.

One thread follows a job for all of them, on one connection, and hands each what Redis
told; where a reader is in that is its own affair. It ends when the last one has gone.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from worker_lib.client.following import HOLD, Stop
from worker_lib.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.client.following import LogNews, Logs
    from worker_lib.client.output import Position
    from worker_lib.store.printed import Printed

    Told: TypeAlias = "SimpleQueue[Printed | Exception]"

__all__ = ["SharedLogs"]

# With what a machine sends, less than two commands a second.
_ASK_EVERY = 1.1


class SharedLogs:
    """Follows each job once, however many look at it.

    Args:
        logs: Of the namespace.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}

    def follow(
        self, job_id: str, position: Position, *, attempt: int | None, patience: float
    ) -> Iterator[LogNews | None]:
        """Yield what a job prints from a position on, until it has ended.

        Yields None after `patience` seconds without news. One command to begin with,
        besides those of `Logs.follow` for the first who follows a job.

        Raises:
            StoreUnavailable: Redis cannot be reached as it begins.
        """
        told: Told = SimpleQueue()
        followed = self._join(job_id, told)
        try:
            # What is told from now on goes on where this ends, or before.
            news = self._logs.look(job_id, position, attempt=attempt, hold=HOLD)
            yield news
            while not news.is_over:
                try:
                    printed = told.get(timeout=patience)
                except Empty:
                    yield None
                    continue
                if isinstance(printed, Exception):
                    raise printed
                if printed.fence >= news.position.fence:
                    place = job_id, printed, news.position
                    news = self._logs.read_on(*place, attempt=attempt)
                    yield news
        finally:
            self._leave(followed, told)

    def _join(self, job_id: str, told: Told) -> _Followed:
        with self._lock:
            followed = self._followed.get(job_id)
            if followed is None or followed.has_ended:
                followed = self._followed[job_id] = _Followed(self._logs, job_id)
            followed.readers.append(told)
            return followed

    def _leave(self, followed: _Followed, told: Told) -> None:
        with self._lock:
            followed.readers.remove(told)
            if followed.readers:
                return
            followed.stop.set()
            if self._followed.get(followed.job_id) is followed:
                del self._followed[followed.job_id]


class _Followed:
    """A job that somebody follows, in a thread that begins at once.

    Attributes:
        readers: Each is told what Redis tells, or the error that ends it.
        has_ended: It tells nothing more.
    """

    def __init__(self, logs: Logs, job_id: str) -> None:
        self._logs = logs
        self.job_id = job_id
        self.readers: list[Told] = []
        self.stop = Stop()
        self.has_ended = False
        name = "worker_lib-follow"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            for news in self._news():
                self._tell(news.printed)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self.has_ended = True
            self._tell(error)
        finally:
            self.has_ended = True
            self.stop.close()

    def _news(self) -> Iterator[LogNews]:
        try:
            yield from self._logs.follow(self.job_id, stop=self.stop, attend=False)
        except StoreUnavailable as error:
            if error.reason != "refused":
                raise
            # This user of Redis may ask, and not listen.
            yield from self._asked()

    def _asked(self) -> Iterator[LogNews]:
        news = self._logs.look(self.job_id, hold=HOLD)
        yield news
        while not (news.is_over or self.stop.is_set):
            self.stop.wait(_ASK_EVERY)
            news = self._logs.look(self.job_id, news.position, hold=HOLD)
            yield news

    def _tell(self, one: Printed | Exception) -> None:
        for told in tuple(self.readers):
            told.put(one)
