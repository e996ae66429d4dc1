"""What supervisor and child say to each other: lists of byte strings, length first."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

__all__ = ["Frames", "pack"]

_SIZE_BYTES = 4


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
    """

    __slots__ = ("_buffer", "channel")

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
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
        except ConnectionError:
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
