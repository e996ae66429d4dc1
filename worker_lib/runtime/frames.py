"""The messages between supervisor and child.

Jobs and outcomes are frames: lists of byte strings with their sizes first, on a stream
that only the child's main thread writes to. Progress has a channel of its own that
carries whole messages, since any thread, and any process that the task forks, may
report it, and an exception may interrupt any of them in the middle of a write.
"""

from __future__ import annotations

import sys

from worker_lib.runtime.output import pass_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from struct import Struct
    from typing import NamedTuple
else:
    import _socket as socket  # see `process`

    from worker_lib.records import NamedTuple, Struct

__all__ = ["Channels", "Frames", "Progress", "pack"]

# A frame is its own size, how many parts it has, their sizes, and the parts.
_START = Struct("!II")
_MOST_PARTS = 16
_SIZES = [Struct(f"!{count}I") for count in range(_MOST_PARTS)]
_HEADS = [Struct(f"!{count + 2}I") for count in range(_MOST_PARTS)]
_READ_BYTES = 1 << 16
# More than any report takes; larger ones would be cut.
_MESSAGE_BYTES = 1 << 16
_TEXT_BYTES = 1 << 15
_ONE_FILE = socket.CMSG_SPACE(4)


class Channels(NamedTuple):
    """The child's ends of what connects it to its supervisor.

    Attributes:
        frames: Jobs and outcomes.
        progress: What jobs report while they run.
        permits: One byte for each job; see `permits`.
        marker: What it writes to its output after each job; see `output`.
    """

    frames: Frames
    progress: Progress
    permits: socket.socket
    marker: bytes


def pack(*parts: bytes) -> bytes:
    """Return one frame."""
    sizes = [*map(len, parts)]
    head = _HEADS[len(sizes)]
    return head.pack(head.size + sum(sizes), len(sizes), *sizes) + b"".join(parts)


class Frames:
    """Reads whole frames off a stream socket.

    Args:
        channel: Blocking; read when poll() says so, or to wait.
        unread: What was read off it already.
    """

    __slots__ = ("_buffer", "_unsent", "channel")

    def __init__(self, channel: socket.socket, unread: bytes = b"") -> None:
        self.channel = channel
        self._buffer = bytearray(unread)
        self._unsent = bytearray()

    def send(self, *parts: bytes) -> None:
        """Send one frame."""
        self.channel.sendall(pack(*parts))

    def post(self, frames: bytes) -> None:
        """Send packed frames without waiting; what does not fit waits for `flush`.

        Raises:
            ConnectionError: the other side is gone.
        """
        self._unsent += frames
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room.

        Raises:
            ConnectionError: the other side is gone.
        """
        while self._unsent:
            try:
                sent = self.channel.send(self._unsent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self._unsent[:sent]

    def unsent(self) -> int:
        """Return how many bytes wait for room."""
        return len(self._unsent)

    def unread(self) -> bytes:
        """Return what was read beyond the frames that were taken."""
        return bytes(self._buffer)

    def receive(self) -> list[bytes] | None:
        """Return the next frame; None once the other side is gone."""
        while (frame := self.take()) is None:
            if not self.fill():
                return None
        return frame

    def fill(self) -> bool:
        """Read what there is; False once the other side is gone."""
        try:
            data = self.channel.recv(_READ_BYTES)
        except ConnectionError:
            return False
        self._buffer += data
        return bool(data)

    def drain(self) -> bool:
        """Read what there is, without waiting; False once the other side is gone."""
        while True:
            try:
                data = self.channel.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            self._buffer += data
            if len(data) < _READ_BYTES:
                return bool(data)

    def take(self) -> list[bytes] | None:
        """Return the next frame that was read whole; None if there is none."""
        buffer = self._buffer
        if len(buffer) < _START.size:
            return None
        end, count = _START.unpack_from(buffer)
        if len(buffer) < end:
            return None
        parts, at = [], _START.size + 4 * count
        with memoryview(buffer) as view:
            for size in _SIZES[count].unpack_from(buffer, _START.size):
                parts.append(bytes(view[at : at + size]))
                at += size
        del buffer[:end]
        return parts


class Progress:
    """Carries reports of progress and other messages, each whole or not at all.

    Args:
        channel: Of messages (SOCK_SEQPACKET), blocking.

    Attributes:
        files: Descriptors of the files that the other side sent, the oldest first.
    """

    __slots__ = ("channel", "files")

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.files: list[int] = []

    def send(self, job_id: str, fence: str, report: str) -> None:
        """Send what an attempt reports; from any thread."""
        self.channel.send(f"{job_id} {fence} {report}".encode())

    def hear(self, found: dict[tuple[str, str], str]) -> bool:
        """Note the last report of each job and fence that is in `found`.

        What a thread of an earlier attempt reports is dropped, and what it prints is
        passed on.

        Returns:
            False once the other side has closed the channel.
        """
        while True:
            try:
                message = self._next()
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not message:
                return False
            sender, fence, report = message.split(b" ", 2)
            place = sender.decode(), fence.decode()
            if not sender:
                pass_on(report)
            elif place in found:
                found[place] = report.decode()

    def _next(self) -> bytes:
        # `socket.recv_fds` does not pass the flags on.
        message, rights, *_ = self.channel.recvmsg(
            _MESSAGE_BYTES, _ONE_FILE, socket.MSG_DONTWAIT
        )
        for _, _, descriptor in rights:
            self.files.append(int.from_bytes(descriptor[:4], sys.byteorder))
        return message

    def send_text(self, text: str) -> None:
        """Send what belongs to no attempt and is only to be passed on."""
        data = text.encode("utf-8", "replace")
        for at in range(0, len(data), _TEXT_BYTES):
            self.channel.send(b"  " + data[at : at + _TEXT_BYTES])

    def send_file(self, descriptor: int) -> None:
        """Send an open file to the other side."""
        number = descriptor.to_bytes(4, sys.byteorder)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, number)
        self.channel.sendmsg([b"  "], [rights])
