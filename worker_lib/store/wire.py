"""The machine's way to Redis: one socket, RESP2, nothing imported that can wait.

`import redis` costs more than all the rest of a cold start, and a machine needs one
command at a time. TLS, passwords, databases and IPv6 are here; pools, clusters and
sentinels are not.
"""

from __future__ import annotations

import socket
import time

from worker_lib.errors import StoreError, StoreUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from worker_lib.store.scripts import Script

    Reply: TypeAlias = "bytes | int | list[Reply] | None"

__all__ = ["NoScript", "Wire", "pack"]

_CONNECT_TIMEOUT = 5.0
_ANSWER_TIMEOUT = 10.0


class NoScript(StoreError):
    """Redis has forgotten, or never saw, the script of this digest."""


class Wire:
    """One connection, for one thread.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: First key of every script: the namespace.
    """

    __slots__ = ("_buffer", "_known", "_prefix", "_socket", "_url")

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix.encode()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._known: set[str] = set()

    def connect(self) -> None:
        """Open the connection, if it is not open.

        Raises:
            StoreUnavailable: no answer, or the password is refused.
        """
        if self._socket is not None:
            return
        self._buffer.clear()
        try:
            self._socket, greeting = _dial(self._url)
        except OSError as error:
            raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
        try:
            for command in greeting:
                self.send(*command)
                self.receive()
        except StoreError as error:
            self.close()
            raise StoreUnavailable(f"Redis refused our login: {error}") from error

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll(); -1 while closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def run(
        self,
        script: Script,
        *args: bytes | str | float,
        patience: float = _ANSWER_TIMEOUT,
    ) -> Reply:
        """Run a script and return its reply, which may take `patience` seconds.

        Raises:
            StoreUnavailable: the reply did not come; the script may have run, and may
                be sent again.
        """
        self.connect()
        if script.name not in self._known:
            # Sent whole, it need not be hashed here, and is known from then on.
            return self._whole(patience, script, *args)
        self.send(b"EVALSHA", script.sha, b"1", self._prefix, *args)
        try:
            return self.receive(patience)
        except NoScript:
            return self._whole(patience, script, *args)

    def _whole(
        self, patience: float, script: Script, *args: bytes | str | float
    ) -> Reply:
        self.send(b"EVAL", script.source, b"1", self._prefix, *args)
        reply = self.receive(patience)
        self._known.add(script.name)
        return reply

    def send(self, *command: bytes | str | float) -> None:
        """Send one command."""
        try:
            self._open_socket().sendall(pack(command))
        except OSError as error:
            raise self._broken(error) from error

    def receive(self, timeout: float = _ANSWER_TIMEOUT) -> Reply:
        """Return the next reply.

        Raises:
            StoreError: Redis refused the command.
            StoreUnavailable: there was no whole reply within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                reply, used = _parse(self._buffer, 0)
            except _Incomplete:
                self._fill(deadline)
                continue
            del self._buffer[:used]
            if isinstance(reply, _Refused):
                raise _refusal(reply)
            return reply

    def _fill(self, deadline: float) -> None:
        connection = self._open_socket()
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = connection.recv(1 << 18)
        except OSError as error:
            raise self._broken(error) from error
        if not data:
            raise self._broken(None)
        self._buffer += data

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise StoreUnavailable("the connection to Redis is closed")
        return self._socket

    def _broken(self, error: OSError | None) -> StoreUnavailable:
        self.close()
        return StoreUnavailable(f"the connection to Redis broke: {error or 'closed'}")


def pack(command: Sequence[bytes | str | float]) -> bytes:
    """Return a command as RESP, in one piece."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class _Incomplete(Exception):
    """More bytes are needed."""


class _Refused(bytes):
    """An error reply."""


def _parse(data: bytearray, at: int) -> tuple[Reply, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Incomplete
    mark, head = data[at : at + 1], bytes(data[at + 1 : end])
    after = end + 2
    if mark == b"$":
        return _parse_bulk(data, int(head), after)
    if mark == b"*":
        return _parse_array(data, int(head), after)
    if mark == b":":
        return int(head), after
    if mark == b"-":
        return _Refused(head), after
    return head, after


def _parse_bulk(data: bytearray, size: int, at: int) -> tuple[Reply, int]:
    if size < 0:
        return None, at
    if len(data) < at + size + 2:
        raise _Incomplete
    return bytes(data[at : at + size]), at + size + 2


def _parse_array(data: bytearray, size: int, at: int) -> tuple[Reply, int]:
    if size < 0:
        return None, at
    items: list[Reply] = []
    for _ in range(size):
        item, at = _parse(data, at)
        items.append(item)
    return items, at


def _refusal(head: _Refused) -> StoreError:
    text = head.decode("utf-8", "replace")
    if text.startswith("NOSCRIPT"):
        return NoScript(text)
    if text.startswith(("OOM", "LOADING", "BUSY", "MISCONF", "TRYAGAIN", "READONLY")):
        return StoreUnavailable(f"Redis refused for now: {text}")
    if "command not allowed when used memory" in text:
        return StoreUnavailable("Redis is full and refused to store")
    return StoreError(f"Redis refused a command: {text}")


def _dial(url: str) -> tuple[socket.socket, list[tuple[str, ...]]]:
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return _dial_unix(rest)
    place, _, query = rest.partition("?")
    where, _, path = place.partition("/")
    database = _database(query) or path
    login, _, host_port = where.rpartition("@")
    host, port = _host_and_port(host_port)
    connection = socket.create_connection((host, port), _CONNECT_TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "rediss":
        import ssl  # noqa: PLC0415 - costly, and few need it

        context = ssl.create_default_context()
        connection = context.wrap_socket(connection, server_hostname=host)
    return connection, _greeting(login, database)


def _dial_unix(rest: str) -> tuple[socket.socket, list[tuple[str, ...]]]:
    path, _, query = rest.partition("?")
    before, slash, tail = path.partition("/")
    login, _, start = before.rpartition("@")
    path, database = start + slash + tail, _database(query)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_CONNECT_TIMEOUT)
    try:
        connection.connect(_unquote(path))
    except OSError:
        connection.close()
        raise
    return connection, _greeting(login, database)


def _database(query: str) -> str:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "db":
            return value
    return ""


def _host_and_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = text.partition(":")
    return host or "localhost", int(port or 6379)


def _greeting(login: str, database: str) -> list[tuple[str, ...]]:
    user, _, password = login.partition(":")
    commands: list[tuple[str, ...]] = []
    if password:
        words = (user, password) if user else (password,)
        commands.append(("AUTH", *map(_unquote, words)))
    if database not in {"", "0"}:
        commands.append(("SELECT", database))
    return commands


def _unquote(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415 - few passwords need it

    return unquote(text)
