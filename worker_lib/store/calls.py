"""Hearing that a launcher is called for, without asking again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_lib.store.changes import Wakeup
    from worker_lib.store.wire import Wire

__all__ = ["Calls"]


class Calls:
    """Hears calls for a launcher: one command, however long nobody calls.

    Args:
        wire: Used by nobody else.
        key: Of the list that calls are pushed to.
    """

    def __init__(self, wire: Wire, key: str) -> None:
        self._wire = wire
        self._key = key
        self._listens = False

    def wait(self, wakeup: Wakeup, timeout: float) -> bool:
        """Return True when called; False when notified, or after `timeout` s."""
        if not self._listens:
            self._wire.send("BLPOP", self._key, 0)
            self._listens = True
        if not self._wire.has_reply():
            wakeup.wait(timeout, self._wire.fileno())
        if not self._wire.has_reply():
            return False
        self._wire.receive()
        self._listens = False
        return True
