"""Hearing of many jobs' changes on one connection, without asking."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any

from worker_lib.errors import StoreUnavailable
from worker_lib.job import FINAL, MOVES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker_lib.store.wire import Wire

__all__ = ["Changes", "Wakeup"]

# What the scripts announce besides: it changes nothing for who waits.
_PASSING = frozenset(move.target.encode() for move in MOVES if move.target not in FINAL)


class Wakeup:
    """Wakes a thread that waits for Redis; any other thread may notify it."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def notify(self) -> None:
        """Wake the thread now, or when it next waits."""
        try:
            self._theirs.send(b"!")
        except BlockingIOError:
            return  # it has been notified often enough

    def wait(self, timeout: float, descriptor: int = -1) -> None:
        """Return when notified, `descriptor` can be read, or time is over (seconds)."""
        poller = select.poll()
        poller.register(self._ours, select.POLLIN)
        if descriptor >= 0:
            poller.register(descriptor, select.POLLIN)
        ready = [one for one, _ in poller.poll(max(0.0, timeout) * 1000)]
        if self._ours.fileno() in ready:
            self._ours.recv(4096)

    def close(self) -> None:
        """Close it; nobody may notify it any more."""
        self._ours.close()
        self._theirs.close()


class Changes:
    """One connection's subscriptions, for the thread that reads them.

    Args:
        wire: Used by nobody else.
        prefix: What the channel of a job starts with, before the job's id.
    """

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix
        self._wanted: set[str] = set()
        self._asked = False

    def want(self, job_ids: Iterable[str]) -> set[str]:
        """Hear of these jobs and no other; return those that were heard of before."""
        wanted, before = set(job_ids), self._wanted
        self._send("SUBSCRIBE", wanted - self._wanted)
        self._send("UNSUBSCRIBE", self._wanted - wanted)
        self._wanted = wanted
        return before

    def wait(self, wakeup: Wakeup, timeout: float) -> list[str]:
        """Return jobs to look at: newly subscribed ones, and those with news.

        Returns early when notified; after `timeout` seconds with nothing.
        """
        if not self._wire.has_reply():
            wakeup.wait(timeout, self._wire.fileno())
        found: dict[str, None] = {}
        while self._wire.has_reply():
            found.update(dict.fromkeys(self._read()))
        return list(found)

    def check(self, patience: float) -> None:
        """See that the connection lives; what is heard meanwhile is to be looked for.

        Args:
            patience: Seconds to wait for an answer.

        Raises:
            StoreUnavailable: there was none.
        """
        self._wire.send("PING")
        self._asked = True
        deadline = time.monotonic() + patience
        while self._asked:
            if not self._wire.wait(deadline - time.monotonic()):
                raise StoreUnavailable("Redis is silent: the connection is dead")
            self._read()

    def _send(self, command: str, job_ids: set[str]) -> None:
        if job_ids:
            channels = sorted(self._prefix + job_id for job_id in job_ids)
            self._wire.send(command, *channels)

    def _read(self) -> list[str]:
        message: Any = self._wire.receive()
        kind, *rest = message
        self._asked = self._asked and kind != b"pong"
        is_news = kind == b"message" and rest[1] not in _PASSING
        if not (is_news or kind == b"subscribe"):
            return []
        return [rest[0].decode().removeprefix(self._prefix)]
