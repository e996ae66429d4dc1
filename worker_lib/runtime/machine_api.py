"""Requests of a machine about itself: by a unix socket, without a token.

Source: "Machine Suspend and Resume" (`/.fly/api`, same paths as outside).
"""

from __future__ import annotations

import os

from worker_lib.fly.protocol import MACHINE_SOCKET, MACHINE_SOCKET_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

__all__ = ["Refused", "ask"]

_PIECE = 1 << 16


class Refused(OSError):
    """The API has answered, and nothing was done."""


def ask(method: str, path: str, body: bytes = b"", *, timeout: float) -> bytes:
    """Send one request about this machine; return the body of a success.

    Args:
        method: HTTP verb.
        path: After the machine's own, as `/suspend`.
        body: JSON.
        timeout: Seconds of silence before it is given up.

    Raises:
        Refused: with the text of the answer; or this is no machine.
        OSError: no answer; it may have been done.
    """
    app, machine = os.environ.get("FLY_APP_NAME"), os.environ.get("FLY_MACHINE_ID")
    if not app or not machine:
        raise Refused("FLY_APP_NAME and FLY_MACHINE_ID are not set: this is no machine")
    head = (
        f"{method} /v1/apps/{app}/machines/{machine}{path} HTTP/1.1\r\n"
        "Host: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    import socket  # noqa: PLC0415 - only machines that park

    place = os.environ.get(MACHINE_SOCKET_VARIABLE) or MACHINE_SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(place)
        connection.sendall(head.encode() + body)
        status, content = _reply(connection)
    if status.startswith("2"):
        return content
    said = content[:200].decode(errors="replace")
    raise Refused(f"the machine's API answered {status} {said}")


def _reply(connection: socket.socket) -> tuple[str, bytes]:
    """Read up to the end that the head tells, or that of the connection."""
    reply, data = b"", b" "
    while data:
        data = connection.recv(_PIECE)
        reply += data
        head, is_whole, content = reply.partition(b"\r\n\r\n")
        if is_whole and (not data or len(content) >= _length(head)):
            return head.split(b" ", 2)[1].decode(errors="replace"), content
    raise ConnectionResetError("the machine's API closed the connection")


def _length(head: bytes) -> float:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return float("inf")
