"""A relay before Redis that counts the commands that clients send through it.

Redis's own counters also count what scripts call; a bill is for what is sent.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["relay"]


class _Count:
    """How many commands came so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sum = 0

    def add(self, commands: int) -> None:
        with self._lock:
            self._sum += commands

    def __call__(self) -> int:
        return self._sum


@contextlib.contextmanager
def relay(path: str, target: str) -> Iterator[Callable[[], int]]:
    """Relay from the unix socket `path`; yield what says how many commands came."""
    count = _Count()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(128)
        _start(_accept, listener, target, count)
        yield count
        # A thread that accepts is woken by this, not by closing.
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: str, count: _Count) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            server.connect(target)
            _start(_pass_commands, client, server, count)
            _start(_pass_on, server, client)


def _start(work: Callable[..., None], *args: object) -> None:
    threading.Thread(target=work, args=args, daemon=True).start()


def _pass_commands(client: socket.socket, server: socket.socket, count: _Count) -> None:
    parser = _Parser()
    _pass_on(client, server, lambda data: count.add(parser.feed(data)))


def _pass_on(
    source: socket.socket,
    target: socket.socket,
    seen: Callable[[bytes], object] = len,
) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(1 << 18):
            seen(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


class _Parser:
    """Finds the ends of commands in what a client sends."""

    def __init__(self) -> None:
        self._buffer = b""
        self._words = 0
        self._skip = 0

    def feed(self, data: bytes) -> int:
        """Return how many commands have ended in it."""
        self._buffer += data
        ended = 0
        while self._buffer:
            if self._skip:
                if not self._skipped():
                    break
                self._words -= 1
                ended += self._words == 0
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                break
            self._buffer = rest
            if line[:1] == b"*":
                self._words = int(line[1:])
            else:
                self._skip = int(line[1:]) + 2
        return ended

    def _skipped(self) -> bool:
        taken = min(self._skip, len(self._buffer))
        self._buffer = self._buffer[taken:]
        self._skip -= taken
        return self._skip == 0
