"""Enforces memory limits: kills a machine's largest process, as the kernel would.

One thread serves all machines of an emulator. It exists only while one of them runs, so
that an idle emulator never wakes up.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker_lib.emulator.runtimes import procfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from worker_lib.emulator.runtimes.procfs import Stat

_INTERVAL = 0.05


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """One machine's session under watch.

    Attributes:
        on_kill: Called with a process before it is killed.
        killed: PIDs that may still be ending: no other is killed meanwhile.
    """

    session: int
    limit_bytes: int
    on_kill: Callable[[Stat], None]
    killed: set[int] = field(default_factory=set)


def over_limit(members: Iterable[Stat], limit_bytes: int) -> bool:
    """Whether processes together use more than the limit.

    The sum of resident sizes counts shared pages several times, so it can only be too
    high: the exact but slow reading is done only above the limit.
    """
    alive = list(members)
    if sum(member.rss_bytes for member in alive) <= limit_bytes:
        return False
    exact = sum(procfs.proportional_bytes(member.pid) for member in alive)
    return exact > limit_bytes


class _SessionScan:
    """Finds the members of the watched sessions at little cost.

    A process of no watched session is read once and then skipped as long as it lives: a
    process gets into an existing session only when it is created.
    """

    def __init__(self) -> None:
        self._foreign: set[int] = set()

    def forget(self) -> None:
        """Read every process again, because a session was added."""
        self._foreign.clear()

    def take(self, sessions: set[int]) -> dict[int, list[Stat]]:
        """The living members of each session."""
        present = set(procfs.pids())
        self._foreign &= present
        members: dict[int, list[Stat]] = {session: [] for session in sessions}
        for pid in present - self._foreign:
            found = procfs.stat(pid)
            if found is None:
                continue
            if found.session not in sessions:
                self._foreign.add(pid)
            elif not found.is_dead:
                members[found.session].append(found)
        return members


class MemoryMonitor:
    """Sums up the memory of watched sessions every `interval` seconds."""

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._changed = threading.Condition()
        self._watched: dict[int, Watched] = {}
        self._thread: threading.Thread | None = None
        self._scan = _SessionScan()

    def watch(self, watched: Watched) -> None:
        """Enforce the limit of a session from now on."""
        with self._changed:
            self._watched[watched.session] = watched
            self._scan.forget()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._loop, name="emulator-memory", daemon=True
                )
                self._thread.start()

    def forget(self, session: int) -> None:
        """Stop watching a session; after the last one the thread ends."""
        with self._changed:
            self._watched.pop(session, None)
            if not self._watched:
                self._changed.notify_all()

    def _loop(self) -> None:
        with self._changed:
            while self._watched:
                self._check_all()
                self._changed.wait_for(lambda: not self._watched, self._interval)
            self._thread = None

    def _check_all(self) -> None:
        members = self._scan.take(set(self._watched))
        for session, watched in self._watched.items():
            _check(watched, members[session])


def _check(watched: Watched, members: list[Stat]) -> None:
    watched.killed &= {member.pid for member in members}
    if watched.killed or not over_limit(members, watched.limit_bytes):
        return
    largest = max(members, key=lambda member: member.rss_bytes)
    watched.killed.add(largest.pid)
    watched.on_kill(largest)
    procfs.send(largest.pid, signal.SIGKILL)
