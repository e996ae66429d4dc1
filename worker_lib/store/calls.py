"""Hearing that a launcher is called for, without asking again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker_lib.store.changes import Wakeup

__all__ = ["Calls"]


class Calls:
    """Hears calls for a launcher: one command, however long nobody calls.

    Args:
        connection: Of redis-py, used by nobody else.
        key: Of the list that calls are pushed to.
    """

    def __init__(self, connection: Any, key: str) -> None:
        self._connection = connection
        self._key = key
        self._listens = False

    def wait(self, wakeup: Wakeup, timeout: float) -> bool:
        """Return True when called; False when notified, or after `timeout` s."""
        if not self._listens:
            self._connection.send_command("BLPOP", self._key, 0, check_health=False)
            self._listens = True
        if not self._connection.can_read(0):
            # The only way to wait for it and for something else.
            wakeup.wait(timeout, self._connection._sock.fileno())  # noqa: SLF001
        if not self._connection.can_read(0):
            return False
        self._connection.read_response(disconnect_on_error=False)
        self._listens = False
        return True
