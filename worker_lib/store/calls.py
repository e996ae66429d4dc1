"""Hearing that a launcher is called for, without asking again and again."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker_lib.store.changes import Bell

__all__ = ["Calls"]

# By which the kernel finds out that a silent connection is dead: after a minute, then
# three times ten seconds. No command is sent for it.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


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

    def wait(self, bell: Bell, timeout: float) -> bool:
        """Return True when called; False when the bell rings, or after `timeout` s."""
        if not self._listens:
            self._listen()
        if not self._connection.can_read(0):
            # The only way to wait for it and for something else.
            bell.wait(timeout, self._connection._sock.fileno())  # noqa: SLF001
        if not self._connection.can_read(0):
            return False
        self._connection.read_response(disconnect_on_error=False)
        self._listens = False
        return True

    def _listen(self) -> None:
        self._connection.send_command("BLPOP", self._key, 0, check_health=False)
        self._listens = True
        link = self._connection._sock  # noqa: SLF001 - as above
        if link.family == socket.AF_UNIX:
            return
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if hasattr(socket, name):  # not on every system
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
