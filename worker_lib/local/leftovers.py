"""What ended stacks leave on disk, and when it is removed.

A stack that ends notes what it left: how many jobs are unfinished, and until when
outcomes are kept. The next stack of any project removes the folders in which nothing
was stored, whose outcomes have expired, or whose project is gone. Unfinished jobs are
kept for as long as they would be in Redis; so is what a killed stack left, as nobody
knows what it was.
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

__all__ = ["Left", "hold", "remove_stale", "take_note"]

log = get_logger("local")

_NOTE, _HELD = "left.json", "held"
_OURS = re.compile(r"[0-9a-f]{12}(-[a-z-]+)?")
_DAY = 86400.0
# As long as Redis keeps a job that waits, by default.
_UNFINISHED_FOR = 14 * _DAY
# Programs may keep things of their own in a stack's Redis.
_KEPT_FOR = _DAY
_LOGS_FOR = 7 * _DAY
# A server's files have about 200 bytes before anything is stored.
_EMPTY = 1024
# A program may be about to start a stack in a folder that it used a moment ago.
_IN_USE_FOR = 3600.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a stack left behind.

    Attributes:
        project: Its folder.
        unfinished: Jobs that are not final, by namespace.
        keep_until: When its last outcome expires, in seconds since the epoch.
    """

    project: str
    unfinished: dict[str, int] = field(default_factory=dict)
    keep_until: float = 0.0

    @classmethod
    def read(cls, data: Path) -> Left | None:
        """Return the note in a stack's folder; None if there is none to be read."""
        try:
            return cls(**json.loads((data / _NOTE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, data: Path) -> None:
        """Put the note into a stack's folder."""
        with contextlib.suppress(OSError):  # then it counts as that of a killed one
            (data / _NOTE).write_text(json.dumps(asdict(self)))

    def with_more(self, unfinished: dict[str, int], keep_until: float) -> Left:
        """Return it brought up to date for these namespaces."""
        return Left(
            project=self.project,
            unfinished=self.unfinished | unfinished,
            keep_until=max(self.keep_until, keep_until),
        )


def hold(data: Path) -> BinaryIO:
    """Mark a stack's folder as in use, for as long as the file is open.

    Raises:
        ConfigError: another stack holds it.
        OSError: it cannot be written.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _held(data)
        if held is not None:
            return held
        if time.monotonic() > deadline:
            raise ConfigError(
                Problem(
                    f"another local stack of this project uses {data}, with its "
                    "sockets elsewhere",
                    "give all its programs the same XDG_RUNTIME_DIR and TMPDIR",
                )
            )
        time.sleep(0.02)


def take_note(data: Path, project: Path) -> Left:
    """Return what earlier stacks left in a folder; its note is gone until the end."""
    found = Left.read(data) or Left(project=str(project))
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
    held = _held(folder)
    if held is None:
        return False
    with held:
        if not _is_stale(folder, now):
            return False
        shutil.rmtree(folder)
    log.info("state_removed", extra={"folder": str(folder)})
    return True


def _is_stale(folder: Path, now: float) -> bool:
    if _size(folder / "redis") < _EMPTY:
        return True
    left = Left.read(folder)
    if left is None:
        return _last_written(folder) < now - _UNFINISHED_FOR
    if any(left.unfinished.values()):
        return (folder / _NOTE).stat().st_mtime < now - _UNFINISHED_FOR
    if not Path(left.project).exists():
        return True
    keep_until = max(left.keep_until, _last_written(folder) + _KEPT_FOR)
    return keep_until < now


def _size(redis: Path) -> int:
    files = redis.glob("appendonlydir/*")
    return sum(path.stat().st_size for path in files)


def _last_written(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.name != _HELD)
    return max((path.stat().st_mtime for path in files), default=0.0)


def _held(folder: Path) -> BinaryIO | None:
    """Return the open mark of a folder; None if somebody else has it."""
    path = folder / _HELD
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(path.open("ab"))
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever removed the folder meanwhile had another mark.
            if os.fstat(held.fileno()).st_ino != path.stat().st_ino:
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        stack.pop_all()
        return held
