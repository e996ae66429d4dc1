"""The messages between supervisor and child.

Jobs and outcomes are frames: lists of byte strings with their length first, on a stream
that only the child's main thread writes to. Progress has a channel of its own that
carries whole messages, since any thread, and any process that the task forks, may
report it, and an exception may interrupt any of them in the middle of a write.
"""

from __future__ import annotations

import socket

from worker_lib.runtime.output import pass_on

__all__ = ["Frames", "Progress", "pack"]

_SIZE_BYTES = 4
# More than any report takes; larger ones would be cut.
_MESSAGE_BYTES = 1 << 16
_TEXT_BYTES = 1 << 15


def pack(*parts: bytes) -> bytes:
    """Return one frame."""
    body = b"".join(
        piece for part in parts for piece in (len(part).to_bytes(4, "big"), part)
    )
    return len(body).to_bytes(_SIZE_BYTES, "big") + body


class Frames:
    """Reads whole frames off a stream socket.

    Args:
        channel: Blocking; read when poll() says so, or to wait.

    Attributes:
        was_reset: Whether the other side ended with something of ours not read.
    """

    __slots__ = ("_buffer", "channel", "was_reset")

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.was_reset = False
        self._buffer = bytearray()

    def send(self, *parts: bytes) -> None:
        """Send one frame."""
        self.channel.sendall(pack(*parts))

    def receive(self) -> list[bytes] | None:
        """Return the next frame; None once the other side is gone."""
        while (frame := self.take()) is None:
            if not self.fill():
                return None
        return frame

    def fill(self) -> bool:
        """Read what there is; False once the other side is gone."""
        try:
            data = self.channel.recv(1 << 18)
        except ConnectionError as error:
            self.was_reset = isinstance(error, ConnectionResetError)
            return False
        self._buffer += data
        return bool(data)

    def take(self) -> list[bytes] | None:
        """Return the next frame that was read whole; None if there is none."""
        buffer = self._buffer
        if len(buffer) < _SIZE_BYTES:
            return None
        end = _SIZE_BYTES + int.from_bytes(buffer[:_SIZE_BYTES], "big")
        if len(buffer) < end:
            return None
        parts, at = [], _SIZE_BYTES
        while at < end:
            size = int.from_bytes(buffer[at : at + _SIZE_BYTES], "big")
            at += _SIZE_BYTES
            parts.append(bytes(buffer[at : at + size]))
            at += size
        del buffer[:end]
        return parts


class Progress:
    """Carries reports of progress and other messages, each whole or not at all.

    Args:
        channel: Of messages (SOCK_SEQPACKET), blocking.
    """

    __slots__ = ("channel",)

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def send(self, job_id: str, fence: str, report: str) -> None:
        """Send what an attempt reports; from any thread."""
        self.channel.send(f"{job_id} {fence} {report}".encode())

    def latest(self, job_id: str, fence: str) -> str | None:
        """Return the last report of this attempt that has come, "" if none has.

        None once the other side has closed the channel. What a thread of an earlier
        attempt reports is dropped, and what it prints is passed on.
        """
        found = ""
        while True:
            try:
                message = self.channel.recv(_MESSAGE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            except ConnectionError:
                return None
            if not message:
                return found or None
            sender, its_fence, report = message.split(b" ", 2)
            if not sender:
                pass_on(report)
            elif (sender, its_fence) == (job_id.encode(), fence.encode()):
                found = report.decode()

    def send_text(self, text: str) -> None:
        """Send what belongs to no attempt and is only to be passed on."""
        data = text.encode("utf-8", "replace")
        for at in range(0, len(data), _TEXT_BYTES):
            self.channel.send(b"  " + data[at : at + _TEXT_BYTES])

    def send_descriptor(self, descriptor: int) -> None:
        """Send an open file to the other side."""
        socket.send_fds(self.channel, [b"fd"], [descriptor])

    def receive_descriptor(self) -> int:
        """Return the open file that the other side sent."""
        return socket.recv_fds(self.channel, 16, 1)[1][0]
