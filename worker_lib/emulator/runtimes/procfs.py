"""Reads Linux' /proc: which processes belong to a machine, and what they use.

A machine's processes are those of its session, in any process group; when it ends, also
those that carry its id in their environment, since they may have left the session.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
_KILL_ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """The fields used of /proc/PID/stat; times are clock ticks.

    Source: proc_pid_stat(5).
    """

    pid: int
    name: str
    state: str
    session: int
    user_ticks: int
    system_ticks: int
    start_ticks: int
    rss_bytes: int

    @property
    def is_dead(self) -> bool:
        """Whether it has ended and only waits to be reaped."""
        return self.state in "ZX"


def read(path: str) -> bytes:
    """A whole /proc file; empty if the process has ended or we may not read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        chunks = []
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def pids() -> Iterator[int]:
    """The PIDs of all processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def stat(pid: int) -> Stat | None:
    """The process of a PID; None if there is none."""
    name, _, rest = read(f"/proc/{pid}/stat").rpartition(b") ")
    fields = rest.split()
    if not fields:
        return None
    return Stat(
        pid=pid,
        name=name.partition(b"(")[2].decode(errors="replace"),
        state=fields[0].decode(),
        session=int(fields[3]),
        user_ticks=int(fields[11]),
        system_ticks=int(fields[12]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def session_members(session: int) -> list[Stat]:
    """The living processes of a session."""
    found = (stat(pid) for pid in pids())
    return [s for s in found if s and s.session == session and not s.is_dead]


def carries(pid: int, machine_id: str) -> bool:
    """Whether a process has this machine's id in its environment."""
    wanted = b"FLY_MACHINE_ID=" + machine_id.encode()
    return wanted in read(f"/proc/{pid}/environ").split(b"\0")


def machine_members(
    machine_id: str, session: int, *, since_ticks: int = 0
) -> list[Stat]:
    """Every living process of a machine, also those that have left its session.

    Args:
        machine_id: Its processes have it in their environment.
        session: That of its main process.
        since_ticks: The start of that process: older ones are no descendants, and
            their environment need not be read.
    """
    me = os.getpid()
    return [
        found
        for found in filter(None, map(stat, pids()))
        if found.start_ticks >= since_ticks
        and not found.is_dead
        and found.pid != me
        and (found.session == session or carries(found.pid, machine_id))
    ]


def working_directory(pid: int) -> str:
    """The working directory of a process; "" if it has ended."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def proportional_bytes(pid: int) -> int:
    """Memory of a process with its share of shared pages; 0 if it has ended.

    Source: proc_pid_smaps(5), `Pss` in smaps_rollup.
    """
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_machine(
    machine_id: str, session: int, *, since_ticks: int = 0, spare: int = 0
) -> bool:
    """Kill a machine's processes until none is left that could start another.

    Args:
        machine_id: As for `machine_members`.
        session: As for `machine_members`.
        since_ticks: As for `machine_members`.
        spare: A process that does not count: the main one, not reaped yet.

    Returns:
        Whether there was any.
    """
    for done in range(_KILL_ROUNDS):
        found = machine_members(machine_id, session, since_ticks=since_ticks)
        left = [member.pid for member in found if member.pid != spare]
        if not left:
            return done > 0
        for pid in left:
            send(pid, signal.SIGKILL)
    return True
