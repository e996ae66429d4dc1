"""Programs on a terminal of their own, and what they show there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def environ_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give a program the settings of a test."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "support"), *sys.path]),
        "REDIS_URL": settings.redis_url,
        "FLY_API_TOKEN": settings.fly_api_token,
        "FLY_TASKS_APP": settings.fly_app,
        "FLY_API_HOSTNAME": settings.api_hostname,
        "WORKER_IMAGE": settings.image,
        "WORKER_LIB_SECRET": settings.secret,
        "WORKER_LIB_NAMESPACE": settings.namespace,
        "WORKER_LIB_LOCAL_PATH": settings.local_path,
    }


def hear_interrupts() -> None:
    """Have a process end by Ctrl-C, which a shell's background jobs ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal with a program on it.

    Attributes:
        shown: All that it has shown so far, control sequences included.
    """

    def __init__(
        self,
        words: Sequence[str],
        env: dict[str, str],
        *,
        size: tuple[int, int] = (24, 80),
        cwd: Path | None = None,
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.modes = self.mode()
        self.shown = ""
        self.program = subprocess.Popen(
            words,
            env={"TERM": "xterm", **env},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            preexec_fn=self._take,  # noqa: PLW1509 - it only makes system calls
            cwd=cwd,
        )

    def _take(self) -> None:
        hear_interrupts()
        os.setsid()
        fcntl.ioctl(self._theirs, termios.TIOCSCTTY, 0)

    def mode(self) -> list[Any]:
        """Return how the terminal is set."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> None:
        """Type on the terminal."""
        os.write(self._ours, keys.encode())

    def read_until(self, wanted: str, *, count: int = 1, timeout: float = 20.0) -> str:
        """Return what is shown from now on until it has this in it, so many times."""
        deadline, fresh = time.monotonic() + timeout, ""
        while fresh.count(wanted) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"not shown: {wanted!r}; shown: {fresh!r}"
            if select.select([self._ours], [], [], left)[0]:
                fresh += os.read(self._ours, 65536).decode("utf-8", "replace")
        self.shown += fresh
        return fresh

    def end(self, timeout: float = 20.0) -> int:
        """Wait for the program's end; return its exit code."""
        status = self.program.wait(timeout)
        while select.select([self._ours], [], [], 0)[0]:
            self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
        return status

    def close(self) -> None:
        """Kill what is left."""
        self.program.kill()
        self.program.wait()
        os.close(self._ours)
        os.close(self._theirs)
