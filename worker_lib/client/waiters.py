"""Awaiting outcomes: one thread and one connection, however many tasks await.

A blocking command takes a connection for each wait, and cannot be taken back. So who
awaits is told by the announcements of the scripts instead: the thread subscribes to
the channels of all awaited jobs, looks at a job once it is subscribed, and again when
it hears that the job is final. An announcement that was missed costs time, never an
outcome: all jobs are looked at after each reconnection, and unasked after twenty
seconds, then less and less often.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

from worker_lib.client.outage import Outage
from worker_lib.errors import StoreUnavailable
from worker_lib.store.changes import Wakeup
from worker_lib.store.connection import ANSWER_TIMEOUT, LONGEST_BLOCK, MAX_BLOCK

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from worker_lib.store.changes import Changes
    from worker_lib.store.replies import Outcome, Seen
    from worker_lib.store.store import Store

    # What a record says to who waits for it: its outcome, None if it is not final.
    # The last argument says whether the job was there before. Raises `WorkerLibError`.
    Judge = Callable[[str, Seen | None, bool], Outcome | None]

__all__ = ["Waiters", "in_thread"]

T = TypeVar("T")

# The thread and its connection stay so long for another wait.
_LINGER = 0.3
_LOOK_AT_ONCE = 50


class _Waiter:
    """One task that awaits one job."""

    def __init__(self, job_id: str, *, known: bool) -> None:
        self.job_id = job_id
        self.known = known
        import asyncio  # noqa: PLC0415 - costly, and only async code needs it

        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Outcome] = self.loop.create_future()

    def settle(self, outcome: Outcome | Exception) -> None:
        """Hand over what came of the job, from the thread to the loop."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self.loop.call_soon_threadsafe(self._resolve, outcome)

    def _resolve(self, outcome: Outcome | Exception) -> None:
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Waiters:
    """Everything that one client's process awaits.

    Args:
        store: To subscribe and to look.
        judge: Says what a job's record means to who waits for it.
    """

    def __init__(self, store: Store, judge: Judge) -> None:
        self._store = store
        self._judge = judge
        self._reset()

    async def outcome(self, job_id: str, *, known: bool) -> Outcome:
        """Return a job's outcome once it is final; cancelling ends the wait at once.

        Args:
            known: The job was stored; if Redis has none, it was lost.

        Raises:
            WorkerLibError: what the judge raised, or `StoreUnavailable`.
        """
        waiter = _Waiter(job_id, known=known)
        self._add(waiter)
        try:
            return await waiter.future
        finally:
            self._remove(waiter)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: dict[str, set[_Waiter]] = {}
        self._added: set[str] = set()
        self._wakeup: Wakeup | None = None  # of the thread, while there is one

    def _add(self, waiter: _Waiter) -> None:
        if self._pid != os.getpid():
            self._reset()  # no thread survives a fork
        with self._lock:
            self._waiting.setdefault(waiter.job_id, set()).add(waiter)
            self._added.add(waiter.job_id)
            if self._wakeup is not None:
                self._wakeup.notify()
                return
            self._wakeup = Wakeup()
        threading.Thread(target=self._run, name="worker_lib-await", daemon=True).start()

    def _remove(self, waiter: _Waiter) -> None:
        with self._lock:
            others = self._waiting.get(waiter.job_id, set())
            others.discard(waiter)
            if not others:
                self._waiting.pop(waiter.job_id, None)
            if self._wakeup is not None:
                self._wakeup.notify()

    def _waiters(self, job_id: str) -> list[_Waiter]:
        with self._lock:
            return list(self._waiting.get(job_id, ()))

    def _run(self) -> None:
        wakeup = self._wakeup
        if wakeup is None:
            raise RuntimeError("the thread was started without its wakeup")
        outage = Outage(self._store, None, wakeup.wait)
        while not self._ended(wakeup):
            try:
                with self._store.follow() as changes:
                    for job_ids in self._news(changes, wakeup):
                        self._look(job_ids)
                        outage.is_over()
            except StoreUnavailable as error:
                self._pause(outage, error)
            except Exception as error:  # noqa: BLE001 - handed to who awaits
                self._fail(error)

    def _pause(self, outage: Outage, error: StoreUnavailable) -> None:
        try:
            outage.pause(error)
        except StoreUnavailable:
            self._fail(error)

    def _ended(self, wakeup: Wakeup) -> bool:
        """Say whether nobody waits any more; the thread must then end."""
        with self._lock:
            if self._waiting:
                return False
            self._wakeup = None
        wakeup.close()
        return True

    def _news(self, changes: Changes, wakeup: Wakeup) -> Iterator[Sequence[str]]:
        """Yield jobs to look at, until nobody has waited for a while."""
        now = time.monotonic()
        pause = MAX_BLOCK
        look_at, leave_at = now + pause, 0.0
        while not leave_at or now < leave_at:
            with self._lock:
                wanted, added = list(self._waiting), self._added
                self._added = set()
            if added and pause > MAX_BLOCK:
                pause = MAX_BLOCK
                look_at = min(look_at, now + pause)
            # A job that is followed already is not announced as followed again.
            yield list(added & changes.want(wanted))
            leave_at = 0.0 if wanted else leave_at or now + _LINGER
            yield changes.wait(wakeup, (leave_at or look_at) - now)
            now = time.monotonic()
            if now >= look_at:
                changes.check(ANSWER_TIMEOUT)
                yield wanted  # and so those, too, of which something was heard now
                pause = min(LONGEST_BLOCK, 2 * pause)
                look_at = now + pause

    def _look(self, job_ids: Sequence[str]) -> None:
        for at in range(0, len(job_ids), _LOOK_AT_ONCE):
            chunk = job_ids[at : at + _LOOK_AT_ONCE]
            for job_id, seen in zip(chunk, self._store.look(*chunk), strict=True):
                for waiter in self._waiters(job_id):
                    self._tell(waiter, seen)

    def _tell(self, waiter: _Waiter, seen: Seen | None) -> None:
        try:
            outcome = self._judge(waiter.job_id, seen, waiter.known)
        except Exception as error:  # noqa: BLE001 - handed to who awaits
            waiter.settle(error)
            return
        waiter.known = True
        if outcome is not None:
            waiter.settle(outcome)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            every = [one for some in self._waiting.values() for one in some]
            self._waiting.clear()
        for waiter in every:
            waiter.settle(error)


async def in_thread(function: Callable[[], T]) -> T:
    """Await a short blocking call in a thread of its own.

    The event loop's own pool may be full of what waits for this very call. A daemon
    thread does not hold up the interpreter's exit.
    """
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    # The outcome is handed over as data: a future refuses StopIteration, and who
    # awaits it would then wait for ever.
    future: asyncio.Future[Callable[[], T]] = loop.create_future()

    def settle(outcome: Callable[[], T]) -> None:
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        try:
            value = function()
            outcome: Callable[[], T] = lambda: value  # noqa: E731 - typed
        except BaseException as raised:  # noqa: BLE001 - handed to who awaits
            outcome = partial(_raise, raised)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="worker_lib-await", daemon=True).start()
    return (await future)()


def _raise(error: BaseException) -> NoReturn:
    raise error
