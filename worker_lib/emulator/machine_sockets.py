"""The machines' own way to the API: a unix socket without any token, one per app.

On Fly it is `/.fly/api` in each machine. A local process has no root directory of its
own, so it is told the path as `WORKER_LIB_MACHINE_API`; a container may have the
socket at the path of Fly's.

Source: "Suspend and resume a Machine" (a machine suspends itself by it); "OpenID
Connect" (same paths as outside). That it leads to the machine's own app only is how
the emulator understands its having no token.
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

# A socket's path is short, so the state directory is no place for it, and an app's
# name, of up to 63 characters, no name.
_FOLDER = "wl-doors-"
_FOR_ANY_USER = 0o666
_LOCK = ".lock"
# As `mkdtemp` makes it, with as many sockets as anybody will have apps.
_LONGEST_NAME = f"{_FOLDER}xxxxxxxx/9999"


class _Door(ApiServer):
    address_family = socket.AF_UNIX


class Doors:
    """The sockets of one emulator, each opened when a machine of its app first boots.

    Args:
        max_body_bytes: As for the public server.
        region: The same.
    """

    def __init__(self, *, max_body_bytes: int, region: str) -> None:
        self._max_body_bytes = max_body_bytes
        self._region = region
        self._lock = threading.Lock()
        self._open: dict[str, _Door] = {}
        self._folder: Path | None = None
        self._held: BinaryIO | None = None
        self._answer: Answer | None = None

    def open(self, answer: Answer) -> None:
        """Have requests answered by a function from now on.

        Raises:
            ConfigError: the folder for temporary files is too far down for sockets.
            OSError: it cannot be written.
        """
        remove_abandoned()
        check_path(Path(tempfile.gettempdir()) / _LONGEST_NAME, "TMPDIR")
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        self._held = _locked(self._folder)
        self._answer = answer

    def path(self, app: str) -> str:
        """Where the machines of an app find their socket; "" if nobody would answer.

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
        """Take every socket away."""
        with self._lock:
            for door in self._open.values():
                door.close()
            self._open.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._held is not None:
            self._held.close()
        self._folder = self._answer = self._held = None

    def _opened(self, app: str, path: Path, answer: Answer) -> _Door:
        door = _Door(
            str(path),
            answer,
            max_body_bytes=self._max_body_bytes,
            region=self._region,
            app=app,
        )
        path.chmod(_FOR_ANY_USER)  # the user of a container; the folder is ours alone
        threading.Thread(
            target=door.accept_forever, name=f"emulator-door-{app}", daemon=True
        ).start()
        return door


def remove_abandoned() -> None:
    """Remove the folders of emulators that were killed: the kernel let go of locks."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError), (folder / _LOCK).open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> BinaryIO:
    """Mark a folder as in use; the mark is there only once it is held."""
    path = folder / f"{_LOCK}-new"
    held = path.open("wb")
    fcntl.flock(held, fcntl.LOCK_EX)
    path.rename(folder / _LOCK)
    return held
