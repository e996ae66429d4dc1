"""How a machine that cannot work tells why, so that its callers can read it.

It prints a line on stderr, ends with an exit code (`worker_lib.fly.exits`), and writes
the line to its own metadata at Fly, which can be read where Redis cannot be reached.
Only then does a machine use its socket to Fly's API.

Source: "Suspend and resume a Machine" (requests to `/.fly/api` need no token). That the
metadata may be written this way is *unsure*; if Fly refuses, the exit code remains.
"""

from __future__ import annotations

import os
import socket
import sys

from worker_lib.fly.exits import METADATA_EXIT_MESSAGE
from worker_lib.fly.protocol import MACHINE_SOCKET, MACHINE_SOCKET_VARIABLE

__all__ = ["tell"]

_MAX_CHARACTERS = 200
# Seconds: a machine that ends must not wait long for this.
_TIMEOUT = 2.0


def tell(text: str) -> None:
    """Print a line on stderr and leave it in this machine's metadata, if that works.

    Args:
        text: No secret; shortened to 200 printable characters in the metadata.
    """
    print(f"worker_lib: {text}", file=sys.stderr, flush=True)
    path = os.environ.get(MACHINE_SOCKET_VARIABLE) or MACHINE_SOCKET
    app, machine = os.environ.get("FLY_APP_NAME"), os.environ.get("FLY_MACHINE_ID")
    if not app or not machine:
        return
    shown = "".join(one if one.isprintable() else " " for one in text)
    try:
        _post(path, f"/v1/apps/{app}/machines/{machine}", shown[:_MAX_CHARACTERS])
    except OSError as error:
        said = f"worker_lib: exit message not stored: {error}"
        print(said, file=sys.stderr, flush=True)


def _post(path: str, machine: str, value: str) -> None:
    import json  # noqa: PLC0415 - only on failure

    body = json.dumps({"value": value}).encode()
    head = (
        f"POST {machine}/metadata/{METADATA_EXIT_MESSAGE} HTTP/1.1\r\n"
        "Host: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(path)
        connection.sendall(head.encode() + body)
        status = connection.recv(256).split(b" ")[1:2]
    if not status or not status[0].startswith(b"2"):
        raise OSError(f"the machine's API answered {b''.join(status)!r}")
