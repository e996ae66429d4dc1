"""One connection to Redis, for machines and for callers.

A client library would cost more to import than all the rest of a machine's cold start,
and most of a process's first call. TLS, passwords, databases and IPv6 are here;
clusters and sentinels are not.
"""

from __future__ import annotations

import select
import time

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store import address as addresses
from worker_lib.store.resp import PENDING, Reader, Refused, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from typing import Any

    from worker_lib.store.address import Address
    from worker_lib.store.resp import Packed, Reply
    from worker_lib.store.scripts import Script, Word
else:
    # The part in C: the rest takes 3 ms to import, of each machine's cold start.
    import _socket as socket

__all__ = ["Broken", "NoScript", "Wire"]

_CONNECT_TIMEOUT = 5.0
_ANSWER_TIMEOUT = 10.0
# By which the kernel finds out that a silent connection is dead: after a minute, then
# three times ten seconds. No command is sent for it.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_CHUNK = 1 << 16


class NoScript(StoreError):
    """Redis has forgotten, or never saw, the script of this digest."""


class Broken(StoreUnavailable):
    """There is no connection: what was sent may have been done.

    Attributes:
        why: What the system said, or what was missing; names no address.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(f"{message}: {why}")
        self.why = why


class Wire:
    """One connection, for one thread.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: First key of every script: the namespace.
        who: Names the server in errors.
        known: Scripts that the server has; shared by connections to the same one.

    Attributes:
        address: What the URL says.
        longest: Seconds that any wait may take: to connect, to send, to be answered.
        used: Whether anything was ever sent: Redis may have done it.

    Raises:
        ConfigError: the URL cannot be read.
    """

    __slots__ = (
        *("_begun", "_known", "_poller", "_prefix", "_reader", "_reads_first"),
        *("_ready", "_socket", "_who", "address", "longest", "used"),
    )

    def __init__(
        self,
        url: str,
        prefix: str,
        *,
        who: str = "Redis",
        known: set[str] | None = None,
    ) -> None:
        self._socket: socket.socket | None = None
        self.address = addresses.parse(url)
        self._prefix = prefix.encode()
        self._who = who
        self._known = set() if known is None else known
        self._begun: tuple[Script, Sequence[Word | Packed]]
        self._reader = Reader()
        # A reply that `has_reply` found.
        self._ready: list[Reply] = []
        self._reads_first = True
        self.longest = _ANSWER_TIMEOUT
        self.used = False

    def __del__(self) -> None:
        """Close it: who drops a client of its own need not close each connection."""
        self.close()

    def connect(self, timeout: float = _CONNECT_TIMEOUT) -> None:
        """Open the connection, if it is not open, within so many seconds.

        Raises:
            StoreUnavailable: no answer, or the login is refused.
        """
        if self._socket is not None:
            return
        self._reader.clear()
        self._ready.clear()
        try:
            self._adopt(_dial(self.address, min(timeout, self.longest)))
        except OSError as error:
            raise Broken(f"{self._who} cannot be reached", str(error)) from error
        try:
            self._greet(timeout)
        except BaseException:
            self.close()
            raise

    def _adopt(self, connection: socket.socket) -> None:
        # Python's own time-outs cost a system call more for each command.
        connection.settimeout(0.0)
        self._socket = connection
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN)
        # What TLS has decrypted already cannot be polled for.
        self._reads_first = hasattr(connection, "pending")

    def _greet(self, timeout: float) -> None:
        try:
            for command in self.address.greeting:
                self._send(command, timeout)
                self.receive(timeout)
        except StoreUnavailable:
            raise
        except StoreError as error:
            raise StoreUnavailable(
                f"{self._who} refused our login: {error}", reason="refused"
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
        *rest: Word | Packed,
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
        self.connect(min(_CONNECT_TIMEOUT, patience))
        return self.evaluate(script, script.words(rest, named), patience)

    def begin(self, script: Script, *rest: Word | Packed, **named: Word) -> None:
        """Send a script without waiting for its reply, which `end` returns.

        Raises:
            StoreUnavailable: it could not be sent.
        """
        self.connect()
        self.begin_with(script, script.words(rest, named), _ANSWER_TIMEOUT)

    def end(self, patience: float = _ANSWER_TIMEOUT) -> Reply:
        """Return the reply to what `begin` sent; waits for it if need be.

        Raises:
            StoreUnavailable: as with `run`.
        """
        script, words = self._begun
        try:
            reply = self.receive(patience)
        except NoScript:
            return self.evaluate_whole(script, words, patience)
        self._known.add(script.name)
        return reply

    def evaluate(
        self, script: Script, words: Sequence[Word | Packed], patience: float
    ) -> Reply:
        """Do as `run` does, over a connection that is open.

        Args:
            script: Its digest is sent to a server that knows it, else the whole of it.
            words: Its arguments, in order.
            patience: Seconds.
        """
        self.begin_with(script, words, patience)
        return self.end(patience)

    def evaluate_whole(
        self, script: Script, words: Sequence[Word | Packed], patience: float
    ) -> Reply:
        """Do as `evaluate` does, with a server that may have forgotten the script."""
        self._known.discard(script.name)
        return self.evaluate(script, words, patience)

    def begin_with(
        self, script: Script, words: Sequence[Word | Packed], patience: float
    ) -> None:
        """Do as `begin` does, with arguments as `evaluate` takes them."""
        self._begun = (script, words)
        self.used = True
        if script.name in self._known:
            head = (b"EVALSHA", script.sha)
        else:  # sent whole, it need not be hashed here, and is known from then on
            head = (b"EVAL", script.source)
        self._send((*head, b"1", self._prefix, *words), patience)

    def ask(self, command: Sequence[Word | Packed], patience: float) -> Reply:
        """Send a command and return its reply, which may take `patience` seconds."""
        self.used = True
        self._send(command, _ANSWER_TIMEOUT)
        return self.receive(patience)

    def send(self, *command: Word) -> None:
        """Send one command."""
        self.used = True
        self._send(command, _ANSWER_TIMEOUT)

    def _send(self, command: Sequence[Word | Packed], timeout: float) -> None:
        connection, pieces = self._open_socket(), pack(command)
        try:
            for piece in pieces:
                sent = _sent(connection, piece)
                if sent < len(piece):
                    deadline = time.monotonic() + min(timeout, self.longest)
                    _send_rest(connection, memoryview(piece)[sent:], deadline)
        except OSError as error:
            raise self._last_word() or self._broken(error) from error

    def _last_word(self) -> StoreError | None:
        """Return why the server closed the connection, if it said so.

        One that wants a password does not read a long command to its end.
        """
        try:
            if self.has_reply():
                self.receive()
        except Broken:
            return None
        except StoreError as error:
            self.close()
            return error
        return None

    def has_reply(self) -> bool:
        """Read what has come, without waiting; say whether it is a whole reply.

        A socket that is readable may hold none: over TLS a server sends session
        tickets on its own account.

        Raises:
            StoreUnavailable: the connection broke.
        """
        if self._ready:
            return True
        try:
            while (reply := self._reader.next()) is PENDING:
                if not self._read():
                    return False
        except OSError as error:
            raise self._broken(error) from error
        self._ready.append(reply)  # type: ignore[arg-type]  # it is not PENDING
        return True

    def wait(self, timeout: float) -> bool:
        """Say whether there is a whole reply, as soon as there is, or time is over.

        Args:
            timeout: Seconds.

        Raises:
            StoreUnavailable: the connection broke.
        """
        deadline = time.monotonic() + timeout
        while not self.has_reply():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._poller.poll(left * 1000)
        return True

    def receive(self, timeout: float = _ANSWER_TIMEOUT) -> Reply:
        """Return the next reply.

        Raises:
            StoreError: Redis refused the command.
            StoreUnavailable: there was no whole reply within `timeout` seconds.
        """
        reply = self._ready.pop() if self._ready else self._await(timeout)
        if isinstance(reply, Refused):
            raise self._refusal(reply.decode("utf-8", "replace"))
        return reply

    def is_sound(self) -> bool:
        """Say whether an idle connection is open; data nobody asked for is its end."""
        try:
            return not (self._ready or self._poller.poll(0)) or not self.has_reply()
        except StoreUnavailable:
            return False

    def _await(self, timeout: float) -> Reply:
        deadline = time.monotonic() + min(timeout, self.longest)
        try:
            while (reply := self._reader.next()) is PENDING:
                if self._reads_first and self._read():
                    continue
                left = max(0.001, deadline - time.monotonic())
                if not self._poller.poll(left * 1000):
                    raise TimeoutError("timed out")
                self._read()
        except OSError as error:
            raise self._broken(error) from error
        return reply  # type: ignore[return-value]  # it is not PENDING

    def _read(self) -> bool:
        """Read once, without waiting; False if there is nothing yet."""
        connection, room = self._open_socket(), self._reader.room
        try:
            if room is not None:
                size = connection.recv_into(room)
                self._reader.fill(size)
            else:
                data = connection.recv(_CHUNK)
                size = len(data)
                self._reader.feed(data)
        except OSError as error:
            if _would_block(error):
                return False
            raise
        if not size:
            raise self._broken(None)
        return True

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise Broken("the connection to Redis broke", "it is closed")
        return self._socket

    def _refusal(self, text: str) -> StoreError:
        if text.startswith("NOSCRIPT"):
            return NoScript(text)
        from worker_lib.store.refusals import explain  # noqa: PLC0415 - rarely needed

        return explain(text, self._who, self._prefix.decode())

    def _broken(self, error: OSError | None) -> Broken:
        self.close()
        return Broken("the connection to Redis broke", str(error or "closed"))


def _dial(address: Address, timeout: float) -> socket.socket:
    connection = _connected(address, timeout)
    if address.scheme == "unix":
        return connection
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            option = getattr(socket, name)
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    if address.scheme == "rediss":
        import ssl  # noqa: PLC0415 - costly, and few need it

        context = ssl.create_default_context()
        connection = context.wrap_socket(connection, server_hostname=address.host)
    return connection


def _connected(address: Address, timeout: float) -> socket.socket:
    """Connect to the first of its addresses that answers."""
    failed: OSError | None = None
    for family, place in _places(address):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(place)
        except OSError as error:
            connection.close()
            failed = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failed or OSError(f"{address.host} has no address")


def _places(address: Address) -> Iterator[tuple[int, Any]]:
    if address.scheme == "unix":
        yield socket.AF_UNIX, address.path
        return
    # As bytes: to encode a name that may be in any script loads the tables for it.
    host = address.host.encode() if address.host.isascii() else address.host
    kind = socket.SOCK_STREAM
    for family, *_, place in socket.getaddrinfo(host, address.port, 0, kind):
        yield family, place


def _sent(connection: socket.socket, data: bytes | memoryview) -> int:
    """Send what there is room for, without waiting; return how much that was."""
    try:
        return connection.send(data)
    except OSError as error:
        if _would_block(error):
            return 0
        raise


def _send_rest(connection: socket.socket, rest: memoryview, deadline: float) -> None:
    """Send all of it, as soon as there is room."""
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise TimeoutError("timed out")
        rest = rest[_sent(connection, rest) :]


def _would_block(error: OSError) -> bool:
    # By name, since without TLS there is no need to import `ssl`.
    names = {"BlockingIOError", "SSLWantReadError", "SSLWantWriteError"}
    return type(error).__name__ in names
