"""The process that is the local stack.

`local.join` starts it as `python -m worker_lib.local.stack FOLDER RUNTIME IMAGE`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.emulator import (
    DockerOptions,
    Emulator,
    EmulatorOptions,
    kill_orphans,
)
from worker_lib.errors import Problem, WorkerLibError
from worker_lib.local.callers import Callers
from worker_lib.local.cleanup import lock_state, remove_stale, take_note
from worker_lib.local.job_watch import JobWatch
from worker_lib.local.paths import StackPaths
from worker_lib.local.valkey import start_server
from worker_lib.logs import get_logger
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Stack"]

log = get_logger("local")

_APP = "local"
# Seconds from the end of the last user; programs are often started again at once.
_LINGER = 2.0
# Between two sweeps, while there is no user.
_SWEEP_MS = 1000
_GRACE = 3.0
_CHUNK = 1 << 16
# A process has about 2 MiB for its arguments and environment.
_LONGEST_LINE = 16 << 20


@dataclass(slots=True)
class _User:
    """A process that holds a connection open; `begun` is an incomplete line."""

    channel: socket.socket
    begun: bytes = b""


class Stack:
    """A Valkey server, an emulator, and their users.

    Args:
        paths: Where to keep files.
        image: For machines that are containers; the engine must have it.
    """

    def __init__(self, paths: StackPaths, image: str) -> None:
        self._paths = paths
        self._image = image
        self._token = secrets.token_hex(16)
        self._users: dict[int, _User] = {}
        self._callers = Callers(os.environ)
        self._job_watch = JobWatch(self._settings)
        self._poller = select.poll()

    def start(self) -> None:
        """Start everything and listen for users.

        Raises:
            ConfigError: something does not start.
        """
        self._lock = lock_state(self._paths.data)
        self._note = take_note(self._paths.data, self._paths.project)
        options = self._options()
        kill_orphans(options.state_dir)
        self._valkey = start_server(
            self._paths.redis,
            self._paths.data / "redis",
            for_any_user=self._paths.runtime != "process",
        )
        self._emulator = Emulator(options).start()
        self._details = {
            "REDIS_URL": f"unix://{self._paths.redis}",
            "WORKER_LIB_SECRET": self._signing_key(),
            "FLY_API_TOKEN": self._token,
            "FLY_API_HOSTNAME": self._emulator.url,
            "FLY_TASKS_APP": _APP,
            "WORKER_IMAGE": self._image,
        }
        self._emulator.set_secrets(_APP, self._details)
        self._listen()

    def serve(self) -> None:
        """Return some seconds after the last user has ended, and no job runs.

        While jobs run or are due it stays, for `local_stay` at most.
        """
        threading.Thread(
            target=remove_stale, args=(self._paths.data,), daemon=True
        ).start()
        idle_since = time.monotonic()
        while self._users or self._should_stay(time.monotonic() - idle_since):
            for descriptor, _ in self._poller.poll(None if self._users else _SWEEP_MS):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif not self._receive(descriptor):
                    self._drop(descriptor)
                    idle_since = time.monotonic()

    def stop(self) -> None:
        """Take no more users, stop the machines, then the server."""
        self._paths.presence.unlink(missing_ok=True)
        self._listener.close()
        self._emulator.stop(grace=_GRACE)
        counts, life = self._job_watch.unfinished()
        self._note.updated(counts, time.time() + life).write(self._paths.data)
        self._valkey.terminate()
        try:
            self._valkey.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._valkey.kill()

    def _should_stay(self, idle: float) -> bool:
        """Whether to stay, after so many seconds without a user."""
        if idle < _LINGER:
            return True
        settings = self._callers.settings.values()
        stay = max((one["local_stay"] for one in settings), default=0.0)
        return idle < stay and self._job_watch.has_work(stay - idle)

    def _settings(self) -> dict[str, Settings]:
        """Return the settings of the last caller in each namespace."""
        found = Settings.load(self._details)
        return {
            name: dataclasses.replace(found, **settings)
            for name, settings in self._callers.settings.items()
        }

    def _listen(self) -> None:
        self._paths.presence.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._paths.presence))
        self._listener.listen(128)
        self._poller.register(self._listener, select.POLLIN)

    def _accept(self) -> None:
        user, _ = self._listener.accept()
        try:
            user.sendall(json.dumps(self._details).encode() + b"\n")
        except OSError:  # it has ended already
            user.close()
            return
        self._users[user.fileno()] = _User(user)
        self._poller.register(user, select.POLLIN | select.POLLHUP)

    def _receive(self, descriptor: int) -> bool:
        """Read what a user sends; False if it has ended, or sends something else."""
        user = self._users[descriptor]
        try:
            data = user.channel.recv(_CHUNK)
            *lines, user.begun = (user.begun + data).split(b"\n")
            for line in lines:
                self._callers.learn(line)
                user.channel.sendall(b"ok\n")
        except (OSError, ValueError):
            return False
        return bool(data) and len(user.begun) < _LONGEST_LINE

    def _drop(self, descriptor: int) -> None:
        self._poller.unregister(descriptor)
        self._users.pop(descriptor).channel.close()

    def _options(self) -> EmulatorOptions:
        return EmulatorOptions(
            apps=(_APP,),
            tokens=(self._token,),
            state_dir=self._paths.data / "machines",
            project_dir=self._paths.project,
            host_image=self._callers.image_of,
            runtime="process" if self._paths.runtime == "process" else "docker",
            docker=DockerOptions(
                image=self._image,
                mounts=(self._paths.redis,),
                confined=self._paths.runtime == "docker",
            ),
        )

    def _signing_key(self) -> str:
        path = self._paths.data / "secret"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        return path.read_text(encoding="ascii")


def main() -> int:
    """Serve until the last user has ended; report the start on stdout."""
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the users
    folder, runtime, image = sys.argv[1:]
    stack = Stack(StackPaths.of(Path(folder), runtime), image)
    try:
        stack.start()
    except (WorkerLibError, OSError) as error:
        _report_start(getattr(error, "problems", [Problem(str(error))]))
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _report_start([])
    sys.stdout.close()
    try:
        stack.serve()
    finally:
        stack.stop()
    return 0


def _report_start(problems: Sequence[Problem]) -> None:
    """Print why the stack could not start, as one line of JSON; [] if it runs."""
    print(json.dumps(problems), flush=True)


if __name__ == "__main__":
    sys.exit(main())
