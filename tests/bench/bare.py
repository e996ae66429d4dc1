"""What this computer can do at all: a bare socket to Redis, a bare interpreter."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["BareRedis", "per_second", "run_python"]

_CHUNK = 1 << 20


class BareRedis:
    """One unix socket to Redis, with prepared bytes out and no parsing of what comes.

    Args:
        path: Of the server's socket.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        sha = self._ask(_packed(b"SCRIPT", b"LOAD", b"return 1")).split(b"\r\n")[1]
        self._trivial = _packed(b"EVALSHA", sha, b"1", b"{bench}")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self._socket.close()

    def trivial_script(self) -> None:
        """Make the cheapest round trip that runs a script."""
        self._ask(self._trivial)

    def accepted(self, calls: int) -> float:
        """Return the cheapest scripts a second."""
        return per_second(self.trivial_script, calls)

    def trips(self, calls: int) -> float:
        """Return the median milliseconds of the cheapest round trip."""
        return statistics.median(
            1000 / per_second(lambda: self._ask(b"PING\r\n"), 1) for _ in range(calls)
        )

    def large(self, size: int) -> float:
        """Return the milliseconds of storing and reading so many bytes, twice."""
        store = _packed(b"SET", b"{bench}large", b"x" * size)
        read = _packed(b"GET", b"{bench}large")
        buffer = bytearray(_CHUNK)
        began = time.perf_counter()
        for _ in range(2):
            self._ask(store)
            self._socket.sendall(read)
            left = len(b"$%d\r\n\r\n" % size) + size
            while left > 0:
                left -= self._socket.recv_into(buffer)
        took = time.perf_counter() - began
        self._ask(_packed(b"DEL", b"{bench}large"))
        return took * 1000

    def _ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        return self._socket.recv(4096)


def per_second(step: Callable[[], object], times: int) -> float:
    """Return how often a second `step` was done, of so many times in a row."""
    began = time.perf_counter()
    for _ in range(times):
        step()
    return times / (time.perf_counter() - began)


def run_python(code: str) -> float:
    """Return the milliseconds of a fresh interpreter that runs `code`, to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=_env())
    return (time.perf_counter() - began) * 1000


def _env() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def _packed(*words: bytes) -> bytes:
    parts: Sequence[bytes] = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(parts)
