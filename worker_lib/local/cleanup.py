"""The files of ended stacks: what they contain, and when they are removed.

A stack that ends writes a note: how many jobs are unfinished, and how long outcomes
are kept. The next stack of any project removes folders in which nothing was stored,
whose outcomes have expired, or whose project no longer exists. Unfinished jobs are
kept as long as Redis would keep them. So are the files of a stack that was killed,
as it wrote no note.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib.errors import ConfigError, Problem
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Note", "lock_state", "remove_stale", "take_note"]

log = get_logger("local")

_NOTE, _LOCK = "left.json", "held"
_OURS = re.compile(r"[0-9a-f]{12}(-[a-z-]+)?")
_DAY = 86400.0
# As long as Redis keeps a waiting job by default.
_UNFINISHED_FOR = 14 * _DAY
# Programs may store their own data in a stack's Redis.
_KEPT_FOR = _DAY
_LOGS_FOR = 7 * _DAY
# The files of a server have about 200 bytes before anything is stored.
_EMPTY = 1024
# A program may be about to start a stack in a folder that it has just used.
_IN_USE_FOR = 3600.0
_LOCK_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a stack has written down at its end.

    Attributes:
        project: Its folder.
        unfinished: Jobs that are not final, by namespace.
        keep_until: When its last outcome expires, in seconds since the epoch.
    """

    project: str
    unfinished: dict[str, int] = field(default_factory=dict)
    keep_until: float = 0.0

    @classmethod
    def read(cls, data: Path) -> Note | None:
        """Return the note in a stack's folder; None if there is none."""
        try:
            return cls(**json.loads((data / _NOTE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, data: Path) -> None:
        """Write the note into a stack's folder."""
        with contextlib.suppress(OSError):  # the stack then counts as killed
            (data / _NOTE).write_text(json.dumps(asdict(self)))

    def updated(self, unfinished: dict[str, int], keep_until: float) -> Note:
        """Return the note with new numbers for these namespaces."""
        return Note(
            project=self.project,
            unfinished=self.unfinished | unfinished,
            keep_until=max(self.keep_until, keep_until),
        )


def lock_state(data: Path) -> BinaryIO:
    """Lock a stack's folder for as long as the returned file is open.

    Raises:
        ConfigError: another stack has locked it.
        OSError: it cannot be written.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _locked(data)
        if lock is not None:
            return lock
        if time.monotonic() > deadline:
            raise ConfigError(
                Problem(
                    f"another local stack of this project uses {data}, with its "
                    "sockets elsewhere",
                    "give all its programs the same XDG_RUNTIME_DIR and TMPDIR",
                )
            )
        time.sleep(0.02)


def take_note(data: Path, project: Path) -> Note:
    """Return the note of the last stack in a folder, and delete it until the end."""
    found = Note.read(data) or Note(project=str(project))
    (data / _NOTE).unlink(missing_ok=True)
    return found


def remove_stale(data: Path) -> list[Path]:
    """Remove the folders of ended stacks beside `data`, and the oldest of its logs.

    Returns:
        The folders that were removed.
    """
    removed = []
    for folder in sorted(data.parent.iterdir()):
        if folder == data or not _OURS.fullmatch(folder.name):
            continue
        with contextlib.suppress(OSError):
            if _remove_if_stale(folder, time.time()):
                removed.append(folder)
    for path in data.rglob("*.log"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _LOGS_FOR:
                path.unlink()
    return removed


def _remove_if_stale(folder: Path, now: float) -> bool:
    if folder.stat().st_mtime > now - _IN_USE_FOR:
        return False
    lock = _locked(folder)
    if lock is None:
        return False
    with lock:
        if not _is_stale(folder, now):
            return False
        shutil.rmtree(folder)
    log.info("state_removed", extra={"folder": str(folder)})
    return True


def _is_stale(folder: Path, now: float) -> bool:
    if _size(folder / "redis") < _EMPTY:
        return True
    note = Note.read(folder)
    if note is None:
        return _last_written(folder) < now - _UNFINISHED_FOR
    if any(note.unfinished.values()):
        return (folder / _NOTE).stat().st_mtime < now - _UNFINISHED_FOR
    if not Path(note.project).exists():
        return True
    keep_until = max(note.keep_until, _last_written(folder) + _KEPT_FOR)
    return keep_until < now


def _size(redis: Path) -> int:
    files = redis.glob("appendonlydir/*")
    return sum(path.stat().st_size for path in files)


def _last_written(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.name != _LOCK)
    return max((path.stat().st_mtime for path in files), default=0.0)


def _locked(folder: Path) -> BinaryIO | None:
    """Return the locked file of a folder; None if another process has locked it."""
    path = folder / _LOCK
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The folder may have been removed and made again meanwhile.
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        stack.pop_all()
        return file
