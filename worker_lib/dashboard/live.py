"""Pages that change by themselves, for any number of viewers at the price of one.

Each open page holds one stream. Streams of the same page share a `Channel`: whoever
finds its snapshot older than the interval loads it anew, and all others get the same.
So nothing is read when nobody looks. The interval grows with what loads cost: about 2 s
for each command to Redis, which makes 1,800 commands an hour at most, however many
look. A page that was just opened has credit for some commands: it is read every 2 s.

A stream holds a thread of the server. So there is a cap on their number, and there are
none where a server does not tell that a browser has gone. A page that gets none asks
for its part instead (polling), from the same snapshots. A stream ends after five
minutes, and the browser comes back.
"""

from __future__ import annotations

import hashlib
import re
import select
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.dashboard.registry import Event
from worker_lib.errors import WorkerLibError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

__all__ = ["Channel", "Hub", "Rendered", "Slots", "is_gone", "page_events", "stream"]

log = get_logger("dashboard")

SHORTEST_INTERVAL = 2.0
# With the credit and the last read, 1,800 in any hour.
SECONDS_PER_COMMAND = 2.09
CREDIT_SECONDS = 60 * SECONDS_PER_COMMAND
STREAM_SECONDS = 300.0
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 0.5
_RECONNECT_MS = 1000
_TROUBLE_SECONDS = 5.0
_MAX_CHANNELS = 100
_DIGITS = 16
# A time is shown as "3 s ago", and goes on by itself in the browser.
_PASSING = re.compile(r"(<time\b[^>]*>)[^<]*")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Rendered(NamedTuple):
    """The part of a page that changes, as it was at one moment.

    Attributes:
        html: Of the block `live`.
        digest: Of what a person reads there.
        trouble: Why there is none, or "".
    """

    html: str
    digest: str
    trouble: str = ""


class Channel:
    """One page with one query, as all its viewers see it.

    Args:
        load: Reads the page's document.
        count: Returns how many commands this thread has sent to Redis so far.
        clock: Monotonic.
        also: Does what is done because somebody looks, in another thread, and returns
            how many commands that takes.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, Any]],
        count: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        also: Callable[[], int] = int,
    ) -> None:
        self._load = load
        self._count = count
        self._also = also
        self._clock = clock
        self._lock = threading.Lock()
        self._due = self._paid_until = float("-inf")
        self._document: Mapping[str, Any] | None = None
        self._trouble = ""
        self._rendered: dict[str, Rendered] = {}

    def expire(self) -> None:
        """Have the next viewer load anew: something was done."""
        self._due = float("-inf")

    def load_now(self) -> Mapping[str, Any]:
        """Load anew for somebody who opens the page; raise what that raises."""
        with self._lock:
            return self._loaded()

    def rendered(
        self, variant: str, render: Callable[[Mapping[str, Any]], str]
    ) -> Rendered:
        """Return the page as it was within its interval; loaded anew after it.

        Args:
            variant: What renderings of one document differ by: the viewer's role.
            render: Makes the HTML of a document.
        """
        with self._lock:
            if self._clock() >= self._due:
                self._renew()
            if self._document is None:
                return Rendered("", "", self._trouble)
            if variant not in self._rendered:
                html = render(self._document)
                self._rendered[variant] = Rendered(html, _digest(html))
            return self._rendered[variant]._replace(trouble=self._trouble)

    def _renew(self) -> None:
        try:
            self._loaded()
        except WorkerLibError as error:
            self._trouble = str(error)
        except Exception:
            log.exception("dashboard_load_failed")
            self._trouble = "this page cannot be read; the server's log says why"
        else:
            return
        self._due = self._clock() + _TROUBLE_SECONDS

    def _loaded(self) -> Mapping[str, Any]:
        before = self._count()
        document = self._load()
        self._document, self._rendered, self._trouble = document, {}, ""
        self._pay(max(1, self._count() - before) + self._also())
        return document

    def _pay(self, commands: int) -> None:
        """Put the next load off until the commands of this one are paid."""
        now, price = self._clock(), commands * SECONDS_PER_COMMAND
        # Pages that are opened in between do not hold up those that are open.
        owed = max(self._paid_until, now - CREDIT_SECONDS) + price
        self._paid_until = min(owed, now + price)
        self._due = max(self._paid_until, now + SHORTEST_INTERVAL)


class Hub:
    """The channels of all pages that somebody looks at, or just did."""

    def __init__(self, count: Callable[[], int], also: Callable[[], int] = int) -> None:
        self._count = count
        self._also = also
        self._lock = threading.Lock()
        self._channels: OrderedDict[Hashable, Channel] = OrderedDict()

    def channel(self, key: Hashable, load: Callable[[], Mapping[str, Any]]) -> Channel:
        """Return the channel of this page with this query, made if there is none."""
        with self._lock:
            channel = self._channels.get(key)
            if channel is None:
                channel = Channel(load, self._count, also=self._also)
                self._channels[key] = channel
            self._channels.move_to_end(key)
            while len(self._channels) > _MAX_CHANNELS:
                self._channels.popitem(last=False)
            return channel

    def expire(self) -> None:
        """Have every page loaded anew: something was done."""
        with self._lock:
            for channel in self._channels.values():
                channel.expire()


class Slots:
    """How many streams may be open at the same time."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(max(1, count))

    def take(self) -> Callable[[], None] | None:
        """Return what gives the slot back, once or twice; None if all are taken."""
        if not self._free.acquire(blocking=False):
            return None
        held = [True]

        def release() -> None:
            if held:
                held.pop()
                self._free.release()

        return release


def page_events(
    rendered: Callable[[], Rendered],
    last: str = "",
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Event | None]:
    """Yield the page whenever it is another, and None while it is not.

    Args:
        rendered: Returns it as it is now.
        last: Digest of what the browser has.
        pause: Waits so many seconds.
    """
    trouble = ""
    while True:
        now = rendered()
        if now.trouble != trouble:
            trouble = now.trouble
            yield Event("trouble", trouble)
        if now.digest and now.digest != last:
            last = now.digest
            yield Event("page", now.html, now.digest)
        pause(LOOK_SECONDS)
        yield None


def stream(
    events: Iterator[Event | None],
    is_gone: Callable[[], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """Yield events as text until the browser has gone, at most for five minutes.

    Args:
        events: Yields None where there is nothing to tell, for a look at the browser.
        is_gone: Says whether it has gone.
        clock: Monotonic.
    """
    yield f"retry: {_RECONNECT_MS}\n\n"
    ends = clock() + STREAM_SECONDS
    told = clock()
    for event in events:
        if clock() >= ends or is_gone():
            return
        if event is not None:
            told = clock()
            yield _as_text(event)
        elif clock() - told >= HEARTBEAT_SECONDS:
            told = clock()
            yield ":\n\n"


def is_gone(environ: Mapping[str, Any]) -> Callable[[], bool] | None:
    """Return what says whether a request's browser has gone; None if nothing can.

    Waitress tells (with `channel_request_lookahead`), gunicorn and werkzeug hand over
    the connection.
    """
    asked: Callable[[], bool] | None = environ.get("waitress.client_disconnected")
    if asked is not None:
        return asked
    sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if sock is None or not hasattr(select, "poll"):
        return None
    watched = select.poll()
    watched.register(sock, _CLOSED)
    return lambda: bool(watched.poll(0))


def _as_text(event: Event) -> str:
    lines = [f"event: {event.name}"]
    if event.id:
        lines.append(f"id: {event.id}")
    lines += [f"data: {line}" for line in _LINE_ENDS.split(event.data)]
    return "\n".join(lines) + "\n\n"


def _digest(html: str) -> str:
    seen = _PASSING.sub(r"\1", html).encode()
    return hashlib.sha256(seen).hexdigest()[:_DIGITS]
