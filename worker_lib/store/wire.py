"""The machine's way to Redis: one socket, RESP2, nothing imported that can wait.

`import redis` costs more than all the rest of a cold start, and a machine needs one
command at a time. TLS, passwords, databases and IPv6 are here; pools, clusters and
sentinels are not.
"""

from __future__ import annotations

import socket
import time

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store import address as addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from worker_lib.store.address import Address
    from worker_lib.store.scripts import Script, Word

    Reply: TypeAlias = "bytes | int | list[Reply] | None"

__all__ = ["NoScript", "Wire", "pack"]

_CONNECT_TIMEOUT = 5.0
_ANSWER_TIMEOUT = 10.0
_KEEPALIVE_AFTER = 60


# What stands between two short words: to format it for each takes half of a call's time
# in Python.
_MANY = 64
_HEADS = [b"\r\n$%d\r\n" % size for size in range(_MANY)]


class NoScript(StoreError):
    """Redis has forgotten, or never saw, the script of this digest."""


class Wire:
    """One connection, for one thread.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: First key of every script: the namespace.

    Attributes:
        longest: Seconds that any wait may take: to connect, to send, to be answered.
        used: Whether anything was ever sent: Redis may have done it.

    Raises:
        ConfigError: the URL cannot be read.
    """

    __slots__ = (
        *("_address", "_buffer", "_known", "_prefix", "_socket"),
        *("longest", "used"),
    )

    def __init__(self, url: str, prefix: str) -> None:
        self._address = addresses.parse(url)
        self._prefix = prefix.encode()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._known: set[str] = set()
        self.longest = _ANSWER_TIMEOUT
        self.used = False

    def connect(self, timeout: float = _CONNECT_TIMEOUT) -> None:
        """Open the connection, if it is not open, within so many seconds.

        Raises:
            StoreUnavailable: no answer, or the login is refused.
        """
        if self._socket is not None:
            return
        self._buffer.clear()
        try:
            self._socket = _dial(self._address, min(timeout, self.longest))
        except OSError as error:
            raise StoreUnavailable(f"Redis cannot be reached: {error}") from error
        try:
            for command in self._address.greeting:
                self._send(command, timeout)
                self.receive(timeout)
        except StoreUnavailable:
            self.close()
            raise
        except StoreError as error:
            self.close()
            raise StoreUnavailable(
                f"Redis refused our login: {error}", reason="refused"
            ) from error

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
        *rest: Word,
        patience: float = _ANSWER_TIMEOUT,
        **named: Word,
    ) -> Reply:
        """Run a script and return its reply, which may take `patience` seconds.

        Args:
            script: Takes these arguments, by its own names, then the rest.

        Raises:
            StoreUnavailable: the reply did not come; the script may have run, and may
                be sent again.
        """
        words = script.words(rest, named)
        self.connect(min(_CONNECT_TIMEOUT, patience))
        if script.name not in self._known:
            # Sent whole, it need not be hashed here, and is known from then on.
            return self._whole(patience, script, words)
        self.used = True
        self._send((b"EVALSHA", script.sha, b"1", self._prefix, *words), patience)
        try:
            return self.receive(patience)
        except NoScript:
            return self._whole(patience, script, words)

    def _whole(self, patience: float, script: Script, words: list[Word]) -> Reply:
        self.used = True
        self._send((b"EVAL", script.source, b"1", self._prefix, *words), patience)
        reply = self.receive(patience)
        self._known.add(script.name)
        return reply

    def send(self, *command: Word) -> None:
        """Send one command."""
        self.used = True
        self._send(command, _ANSWER_TIMEOUT)

    def _send(self, command: Sequence[Word], timeout: float) -> None:
        connection = self._open_socket()
        try:
            connection.settimeout(min(timeout, self.longest))
            connection.sendall(pack(command))
        except OSError as error:
            raise self._broken(error) from error

    def has_reply(self) -> bool:
        """Read what has come, without waiting; say whether it is a whole reply.

        A socket that is readable may hold none: over TLS a server sends session
        tickets on its own account.

        Raises:
            StoreUnavailable: the connection broke.
        """
        connection, open_ = self._open_socket(), True
        try:
            connection.setblocking(False)
            while data := connection.recv(1 << 18):
                self._buffer += data
            open_ = False
        except OSError as error:
            if not _would_block(error):
                raise self._broken(error) from error
        try:
            _parse(self._buffer, 0)
        except _Incomplete:
            if not open_:
                raise self._broken(None) from None
            return False
        return True

    def receive(self, timeout: float = _ANSWER_TIMEOUT) -> Reply:
        """Return the next reply.

        Raises:
            StoreError: Redis refused the command.
            StoreUnavailable: there was no whole reply within `timeout` seconds.
        """
        deadline = time.monotonic() + min(timeout, self.longest)
        while True:
            try:
                reply, used = _parse(self._buffer, 0)
            except _Incomplete:
                self._fill(deadline)
                continue
            del self._buffer[:used]
            if isinstance(reply, _Refused):
                raise self._refusal(reply.decode("utf-8", "replace"))
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

    def _refusal(self, text: str) -> StoreError:
        if text.startswith("NOSCRIPT"):
            return NoScript(text)
        from worker_lib.store.refusals import explain  # noqa: PLC0415 - rarely needed

        return explain(text, "Redis", self._prefix.decode())

    def _broken(self, error: OSError | None) -> StoreUnavailable:
        self.close()
        return StoreUnavailable(f"the connection to Redis broke: {error or 'closed'}")


def pack(command: Sequence[Word]) -> bytes:
    """Return a command as RESP, in one piece."""
    parts = [b"*%d" % len(command)]
    for word in command:
        raw = word if isinstance(word, bytes) else str(word).encode()
        size = len(raw)
        parts.append(_HEADS[size] if size < _MANY else b"\r\n$%d\r\n" % size)
        parts.append(raw)
    parts.append(b"\r\n")
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


def _dial(address: Address, timeout: float) -> socket.socket:
    if address.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(address.path)
        except BaseException:
            connection.close()
            raise
        return connection
    place = (address.host, address.port)
    connection = socket.create_connection(place, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # So that one who waits for a word is told when the server vanished silently.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_AFTER)
    if address.scheme == "rediss":
        import ssl  # noqa: PLC0415 - costly, and few need it

        context = ssl.create_default_context()
        connection = context.wrap_socket(connection, server_hostname=address.host)
    return connection


def _would_block(error: OSError) -> bool:
    # By name, since without TLS there is no need to import `ssl`.
    names = {"BlockingIOError", "SSLWantReadError", "SSLWantWriteError"}
    return type(error).__name__ in names
