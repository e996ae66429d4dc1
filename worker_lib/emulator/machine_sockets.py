"""The machines' own access to the API: one unix socket per app, without a token.

On Fly it is `/.fly/api` in each machine. A local process has no root directory of its
own, so it gets the path as `WORKER_LIB_MACHINE_API`; a container has the socket at
Fly's path.

Source: "Suspend and resume a Machine" (a machine suspends itself by it); "OpenID
Connect" (same paths as outside). That it gives access to the machine's own app only is
the emulator's choice.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from worker_lib.emulator.server import ApiServer
from worker_lib.sockets import check_path

if TYPE_CHECKING:
    from worker_lib.emulator.server import Answer

# The path of a socket must be short: neither the state directory nor the name of an
# app, up to 63 characters, is part of it.
_PREFIX = "wl-sockets-"
_FOR_ANY_USER = 0o666
_LOCK = ".lock"
# As `mkdtemp` makes it, with room for 10,000 apps.
_LONGEST_NAME = f"{_PREFIX}xxxxxxxx/9999"


class _SocketServer(ApiServer):
    address_family = socket.AF_UNIX


class MachineSockets:
    """The sockets of one emulator, each opened when a machine of its app first boots.

    Args:
        max_body_bytes: As for the public server.
        region: As for the public server.
    """

    def __init__(self, *, max_body_bytes: int, region: str) -> None:
        self._max_body_bytes = max_body_bytes
        self._region = region
        self._lock = threading.Lock()
        self._open: dict[str, _SocketServer] = {}
        self._folder: Path | None = None
        self._held: BinaryIO | None = None
        self._answer: Answer | None = None

    def open(self, answer: Answer) -> None:
        """Answer requests by a function from now on.

        Raises:
            ConfigError: the path of the folder for temporary files is too long.
            OSError: that folder cannot be written.
        """
        remove_abandoned()
        check_path(Path(tempfile.gettempdir()) / _LONGEST_NAME, "TMPDIR")
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._held = _locked(self._folder)
        self._answer = answer

    def path(self, app: str) -> str:
        """The path of an app's socket; "" before `open` and after `close`.

        Raises:
            OSError: The socket cannot be made.
        """
        if self._folder is None or self._answer is None:
            return ""
        with self._lock:
            if app not in self._open:
                path = self._folder / str(len(self._open))
                self._open[app] = self._opened(app, path, self._answer)
            return str(self._open[app].server_address)

    def close(self) -> None:
        """Close and remove every socket."""
        with self._lock:
            for server in self._open.values():
                server.close()
            self._open.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._held is not None:
            self._held.close()
        self._folder = self._answer = self._held = None

    def _opened(self, app: str, path: Path, answer: Answer) -> _SocketServer:
        server = _SocketServer(
            str(path),
            answer,
            max_body_bytes=self._max_body_bytes,
            region=self._region,
            app=app,
        )
        path.chmod(_FOR_ANY_USER)  # a container's user; only we can enter the folder
        threading.Thread(
            target=server.accept_forever, name=f"emulator-socket-{app}", daemon=True
        ).start()
        return server


def remove_abandoned() -> None:
    """Remove the folders of killed emulators: the kernel has released their locks."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> BinaryIO:
    """Lock a folder as in use; the lock file appears only once it is locked."""
    path = folder / f"{_LOCK}-new"
    held = path.open("wb")
    fcntl.flock(held, fcntl.LOCK_EX)
    path.rename(folder / _LOCK)
    return held
