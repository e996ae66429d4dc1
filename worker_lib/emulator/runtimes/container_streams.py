"""A Docker engine's raw streams: output of containers, and commands run inside.

Source: Docker Engine API, "Attach to a container" for the frames, and "Exec".
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

from worker_lib.emulator.runtimes import ExecResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER = struct.Struct(">BxxxL")
_STDOUT = 1
_REFUSED = "OCI runtime exec failed"
_CANNOT_EXECUTE = (126, 127)


class RawStream:
    """A connection to a container; `reader` is the SDK's object for it."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        # The reader cannot write, and closing it does not close its socket.
        self._socket: socket.socket = reader._sock  # noqa: SLF001
        self._socket.settimeout(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all input; the other side may close before it has read it."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """The output as it comes: 1 for stdout or 2 for stderr, and some bytes."""
        while len(header := self._read(_HEADER.size)) == _HEADER.size:
            number, size = _HEADER.unpack(header)
            while size and (data := self._reader.read(size)):
                yield number, data
                size -= len(data)

    def end(self) -> None:
        """End `frames`, from another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, size: int) -> bytes:
        whole = b""
        while len(whole) < size and (data := self._reader.read(size - len(whole))):
            whole += data
        return whole


def execute(
    api: Any, container_id: str, command: Sequence[str], *, stdin: str, timeout: float
) -> ExecResult:
    """Run a command and wait for its end, `timeout` seconds at most.

    The engine cannot kill a command. It is killed by its PID on this computer, if the
    engine is here and we may do so; otherwise it runs until the machine ends.

    Raises:
        OSError: the command cannot be executed.
    """
    made = api.exec_create(container_id, list(command), stdin=True)["Id"]
    expired = threading.Event()
    with RawStream(api.exec_start(made, socket=True)) as stream:

        def expire() -> None:
            expired.set()
            _kill(api.exec_inspect(made)["Pid"])
            stream.end()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            out, err = _communicate(stream, stdin.encode())
        finally:
            timer.cancel()
    is_killed = expired.is_set()
    code = 128 + signal.SIGKILL if is_killed else api.exec_inspect(made)["ExitCode"]
    if code in _CANNOT_EXECUTE and out.startswith(_REFUSED):
        raise OSError(code, out.strip())
    number = code - 128 if code > 128 else 0
    return ExecResult(
        exit_code=0 if number else code, exit_signal=number, stdout=out, stderr=err
    )


def _communicate(stream: RawStream, stdin: bytes) -> tuple[str, str]:
    stream.send(stdin)
    out, err = bytearray(), bytearray()
    for number, data in stream.frames():
        (out if number == _STDOUT else err).extend(data)
    return out.decode(errors="replace"), err.decode(errors="replace")


def _kill(pid: int) -> None:
    if pid > 0:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
