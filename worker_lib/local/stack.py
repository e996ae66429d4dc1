"""The process that is the local stack.

`python -m worker_lib.local.stack FOLDER RUNTIME IMAGE` is what `local` starts.
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
from worker_lib.local.keeper import Keeper
from worker_lib.local.leftovers import hold, remove_stale, take_note
from worker_lib.local.paths import Place
from worker_lib.local.valkey import start_server
from worker_lib.logs import get_logger
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Stack"]

log = get_logger("local")

_APP = "local"
# From the last user's going to the end; a program is often started twice in a row.
_LINGER = 2.0
# Between two looks for jobs, while nobody else is there.
_LOOK_MS = 1000
_GRACE = 3.0
_CHUNK = 1 << 16
# The kernel gives a process about 2 MiB for arguments and environment.
_LONGEST_LINE = 16 << 20


@dataclass(slots=True)
class _User:
    """A process that holds a connection open; `begun` is a line without its end."""

    channel: socket.socket
    begun: bytes = b""


class Stack:
    """A Valkey server, an emulator, and the users they run for.

    Args:
        place: Where to keep things.
        image: Of machines that are containers: it must be there.
    """

    def __init__(self, place: Place, image: str) -> None:
        self._place = place
        self._image = image
        self._token = secrets.token_hex(16)
        self._users: dict[int, _User] = {}
        self._callers = Callers(os.environ)
        self._keeper = Keeper(self._settings)
        self._poller = select.poll()

    def start(self) -> None:
        """Start everything and listen for users.

        Raises:
            ConfigError: something does not start.
        """
        self._held = hold(self._place.data)
        self._left = take_note(self._place.data, self._place.project)
        options = self._options()
        kill_orphans(options.state_dir)
        self._valkey = start_server(
            self._place.redis,
            self._place.data / "redis",
            for_any_user=self._place.runtime != "process",
        )
        self._emulator = Emulator(options).start()
        self._details = {
            "REDIS_URL": f"unix://{self._place.redis}",
            "WORKER_LIB_SECRET": self._signing_key(),
            "FLY_API_TOKEN": self._token,
            "FLY_API_HOSTNAME": self._emulator.url,
            "FLY_TASKS_APP": _APP,
            "WORKER_IMAGE": self._image,
        }
        self._emulator.set_secrets(_APP, self._details)
        self._listen()

    def serve(self) -> None:
        """Return some seconds after the last user has gone, and its jobs have ended.

        For jobs that go on or are due it stays `local_stay` at most.
        """
        threading.Thread(
            target=remove_stale, args=(self._place.data,), daemon=True
        ).start()
        alone_since = time.monotonic()
        while self._users or self._stays(time.monotonic() - alone_since):
            for descriptor, _ in self._poller.poll(None if self._users else _LOOK_MS):
                if descriptor == self._listener.fileno():
                    self._welcome()
                elif not self._listen_to(descriptor):
                    self._part_from(descriptor)
                    alone_since = time.monotonic()

    def stop(self) -> None:
        """Take no more users, stop the machines, then the server."""
        self._place.presence.unlink(missing_ok=True)
        self._listener.close()
        self._emulator.stop(grace=_GRACE)
        counts, life = self._keeper.left()
        self._left.with_more(counts, time.time() + life).write(self._place.data)
        self._valkey.terminate()
        try:
            self._valkey.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._valkey.kill()

    def _stays(self, alone: float) -> bool:
        """Whether to stay, without any user for so many seconds."""
        if alone < _LINGER:
            return True
        rules = self._callers.rules.values()
        stay = max((one["local_stay"] for one in rules), default=0.0)
        return alone < stay and self._keeper.sees_work(stay - alone)

    def _settings(self) -> dict[str, Settings]:
        """Return what the callers' own programs go by, for each namespace."""
        found = Settings.load(self._details)
        return {
            name: dataclasses.replace(found, **rules)
            for name, rules in self._callers.rules.items()
        }

    def _listen(self) -> None:
        self._place.presence.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._place.presence))
        self._listener.listen(128)
        self._poller.register(self._listener, select.POLLIN)

    def _welcome(self) -> None:
        user, _ = self._listener.accept()
        try:
            user.sendall(json.dumps(self._details).encode() + b"\n")
        except OSError:  # it is gone already; the others are not
            user.close()
            return
        self._users[user.fileno()] = _User(user)
        self._poller.register(user, select.POLLIN | select.POLLHUP)

    def _listen_to(self, descriptor: int) -> bool:
        """Take in what a user has to tell; False if it is gone, or makes no sense."""
        user = self._users[descriptor]
        try:
            heard = user.channel.recv(_CHUNK)
            *lines, user.begun = (user.begun + heard).split(b"\n")
            for line in lines:
                self._callers.learn(line)
                user.channel.sendall(b"ok\n")
        except (OSError, ValueError):
            return False
        return bool(heard) and len(user.begun) < _LONGEST_LINE

    def _part_from(self, descriptor: int) -> None:
        self._poller.unregister(descriptor)
        self._users.pop(descriptor).channel.close()

    def _options(self) -> EmulatorOptions:
        return EmulatorOptions(
            apps=(_APP,),
            tokens=(self._token,),
            state_dir=self._place.data / "machines",
            project_dir=self._place.project,
            host_image=self._callers.image_of,
            runtime="process" if self._place.runtime == "process" else "docker",
            docker=DockerOptions(
                image=self._image,
                mounts=(self._place.redis,),
                confined=self._place.runtime == "docker",
            ),
        )

    def _signing_key(self) -> str:
        path = self._place.data / "secret"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        return path.read_text(encoding="ascii")


def main() -> int:
    """Serve until the last user has gone; tell the starter on stdout."""
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the users' business
    folder, runtime, image = sys.argv[1:]
    stack = Stack(Place.of(Path(folder), runtime), image)
    try:
        stack.start()
    except (WorkerLibError, OSError) as error:
        _tell_starter(getattr(error, "problems", [Problem(str(error))]))
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _tell_starter([])
    sys.stdout.close()
    try:
        stack.serve()
    finally:
        stack.stop()
    return 0


def _tell_starter(problems: Sequence[Problem]) -> None:
    """Print what keeps the stack from starting, as one line of JSON; [] if it runs."""
    print(json.dumps(problems), flush=True)


if __name__ == "__main__":
    sys.exit(main())
