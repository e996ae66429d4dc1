"""A Valkey server of one test's own, to be killed, frozen and filled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from waiting import until

from worker_lib.local.valkey import find_server, start_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked_server() -> Iterator[Path]:
    """Run a server that wants `right-password`; yield its socket."""
    folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
    path = folder / "redis"
    words = ["--port", "0", "--unixsocket", str(path), "--save", ""]
    server = subprocess.Popen(
        [find_server(), *words, "--requirepass", "right-password"],
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    until(path.exists)
    yield path
    server.kill()
    server.wait()
    shutil.rmtree(folder)


class OwnServer:
    """A server with an append-only file, on a unix socket of its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="wl-", dir="/tmp"))
        self.path = self._folder / "redis"
        self.url = f"unix://{self.path}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, on the data it had before."""
        self._process = start_server(self.path, self._folder / "data")

    def kill(self) -> None:
        """End it as a power cut would, but for the disk."""
        self._send(signal.SIGKILL)
        self._running.wait(10)

    def freeze(self) -> None:
        """Make it answer nobody, while it still takes connections."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def ask(self, *command: Any) -> Any:
        """Run a command over a connection of its own."""
        with redis.Redis.from_url(self.url) as connection:
            return connection.execute_command(*command)

    def waiting(self, command: str) -> list[str]:
        """Return the ids of clients that wait in this blocking command."""
        with redis.Redis.from_url(self.url) as connection:
            return [
                one["id"]
                for one in connection.client_list()
                if one["cmd"] == command and "b" in one["flags"]
            ]

    def remove(self) -> None:
        """Stop it and delete its data."""
        if self._running.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self._folder)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _send(self, number: int) -> None:
        os.kill(self._running.pid, number)
