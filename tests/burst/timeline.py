"""A virtual clock, and threads that run one at a time on it.

An event of the timeline happens when the clock has come to it; nothing else moves the
clock. Code that expects threads gets real ones, of which only one runs at any moment:
a thread runs until it sleeps or waits, then the next event happens. So a run takes as
long as its computations, and is the same every time.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["PARKED", "Event", "Timeline"]

PARKED = math.inf

_TICK = 1e-6


class Event:
    """Something that will happen; `cancel` as of a `threading.Timer`."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Keep it from happening."""
        self._action = None

    def happen(self) -> None:
        """Do it, unless it was cancelled."""
        action, self._action = self._action, None
        if action is not None:
            action()


class _Closed(BaseException):
    """Ends a thread of a timeline that is over."""


class Timeline:
    """What happens, in its order.

    Attributes:
        now: Seconds since 1970.
        is_closed: No thread may go on.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._threads: list[_Thread] = []
        self._running: _Thread | None = None
        self._parked = threading.Semaphore(0)
        self.is_closed = False

    def after(self, delay: float, action: Callable[[], None]) -> Event:
        """Have something happen in so many seconds."""
        event = Event(action)
        # Less would not move a clock that counts from 1970, and who waits for the rest
        # of a time would wait for ever.
        at = self.now + max(delay, _TICK) if delay > 0 else self.now
        heapq.heappush(self._events, (at, next(self._order), event))
        return event

    def follow(self, steps: Generator[float, None, None]) -> None:
        """Run a generator that yields the seconds until its next step.

        After `PARKED` it goes on only when it is followed again.
        """
        delay = next(steps, None)
        if delay is not None and delay != PARKED:
            self.after(delay, lambda: self.follow(steps))

    def run(self, *, until: Callable[[], bool], limit: float) -> None:
        """Let time pass.

        Args:
            until: What is waited for.
            limit: Seconds that it may take.

        Raises:
            RuntimeError: it did not come, or nothing at all would happen any more.
        """
        deadline = self.now + limit
        while not until():
            if not self._events or self._events[0][0] > deadline:
                raise RuntimeError(f"it did not end within {limit:g} s")
            self.now, _, event = heapq.heappop(self._events)
            event.happen()

    def run_for(self, seconds: float) -> None:
        """Let so much time pass, whatever happens in it."""
        end = self.now + seconds
        self.after(seconds, lambda: None)
        self.run(until=lambda: self.now >= end, limit=2 * seconds)

    def close(self) -> None:
        """End every thread."""
        self.is_closed = True
        for thread in self._threads:
            self.resume(thread, thread.ticket)

    def sleep(self, seconds: float) -> None:
        """Let the present thread wait, as `time.sleep` does: it takes some time."""
        self.park(max(seconds, _TICK))

    def park(self, timeout: float | None = None) -> None:
        """Stop the present thread until it is resumed, or the time is over."""
        thread = self.current
        thread.ticket += 1
        ticket, wake = thread.ticket, None
        if timeout is not None:
            wake = self.after(timeout, lambda: self.resume(thread, ticket))
        if not self.is_closed:
            thread.is_parked = True
            self._parked.release()
            thread.go.acquire()
        if wake is not None:
            wake.cancel()
        if self.is_closed:
            raise _Closed

    def wake(self, thread: _Thread) -> None:
        """Have a parked thread go on, now."""
        ticket = thread.ticket
        self.after(0.0, lambda: self.resume(thread, ticket))

    def resume(self, thread: _Thread, ticket: int) -> None:
        """Let a thread run until it parks again, or ends.

        Args:
            thread: Any.
            ticket: Of the stop that is over; nothing happens if it has gone on since.
        """
        if not thread.is_parked or thread.ticket != ticket:
            return
        thread.is_parked = False
        self._running = thread
        thread.go.release()
        self._parked.acquire()
        self._running = None
        if thread.error is not None:
            raise RuntimeError("a thread of the timeline failed") from thread.error

    def begin(self, thread: _Thread) -> None:
        """Start a thread, now."""
        self._threads.append(thread)
        self.wake(thread)

    def ended(self) -> None:
        """Say that the present thread is over."""
        self._parked.release()

    @property
    def current(self) -> _Thread:
        """The thread that runs."""
        if self._running is None:
            raise RuntimeError("no thread of the timeline runs")
        return self._running

    def modules(self) -> dict[str, Any]:
        """Return what stands in for `time`, `threading` and `queue`."""
        clock = lambda: self.now  # noqa: E731 - three names of it
        return {
            "time": SimpleNamespace(
                monotonic=clock, time=clock, perf_counter=clock, sleep=self.sleep
            ),
            "threading": SimpleNamespace(
                Thread=lambda **how: _Thread(self, **how),
                Lock=threading.Lock,
                RLock=threading.RLock,
                Condition=lambda lock=None: Condition(self, lock),
            ),
            "queue": SimpleNamespace(SimpleQueue=lambda: _Queue(self)),
        }


class _Thread:
    """A thread that runs only when the timeline lets it."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        target: Callable[..., None],
        args: tuple[Any, ...] = (),
        name: str = "",
        daemon: bool = True,
    ) -> None:
        self.go = threading.Semaphore(0)
        self.is_parked, self.ticket = True, 0
        self.error: BaseException | None = None
        self._timeline = timeline
        self._target, self._args = target, args
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    def start(self) -> None:
        """Begin, as a thread does."""
        self._thread.start()
        self._timeline.begin(self)

    def _run(self) -> None:
        self.go.acquire()
        try:
            if not self._timeline.is_closed:
                self._target(*self._args)
        except _Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised where time passes
            self.error = error
        finally:
            self._timeline.ended()


class Condition:
    """A condition for threads of a timeline."""

    def __init__(self, timeline: Timeline, lock: Any = None) -> None:
        self._timeline = timeline
        self._lock = lock or threading.RLock()
        self._waiting: list[_Thread] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait_for(
        self, predicate: Callable[[], Any], timeout: float | None = None
    ) -> bool:
        """Wait until something holds, or the time is over; say which."""
        deadline = None if timeout is None else self._timeline.now + timeout
        while not predicate():
            left = None if deadline is None else deadline - self._timeline.now
            if left is not None and left <= 0:
                return False
            thread = self._timeline.current
            self._waiting.append(thread)
            self._lock.release()
            try:
                self._timeline.park(left)
            finally:
                self._lock.acquire()
                self._waiting.remove(thread)
        return True

    def notify(self) -> None:
        """Have who waits look again."""
        for thread in self._waiting:
            self._timeline.wake(thread)

    notify_all = notify


class _Queue:
    """A queue between threads of a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._items: deque[Any] = deque()
        self._has_some = Condition(timeline)

    def put(self, item: Any) -> None:
        """Add an item."""
        self._items.append(item)
        self._has_some.notify()

    def get(self) -> Any:
        """Take the oldest item, once there is one."""
        with self._has_some:
            self._has_some.wait_for(lambda: self._items)
        return self._items.popleft()
