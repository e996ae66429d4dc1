"""Ends machines that a killed emulator left running.

Before each launch the emulator writes `<state_dir>/machines/<id>.pid`, which names the
emulator and, once known, the machine's session. A guard, a shell that reads from a
pipe, waits until the emulator's end of it closes; then it reads those files and kills
the machines. If the guard dies too, the next emulator on the same directory does it.
A container has its emulator, an `Owner`, as a label.

PR_SET_PDEATHSIG would only reach main processes and needs a `preexec_fn`, which rules
out vfork: 2.8 ms for a launch instead of 0.2.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from worker_lib.emulator.runtimes import procfs
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

log = get_logger("emulator")

_NO_SESSION = -1
_SEPARATOR = "/"
_GUARD = 'read -r _ || exec "$@"'
KILL_ORPHANS = (
    "import sys; from worker_lib.emulator.runtimes.orphans import kill_orphans; "
    "kill_orphans(sys.argv[1])"
)
"""What the guard of local processes runs, with the state directory."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: host, boot of the host, PID namespace, PID and start time.

    Source: proc_sys_kernel(5), `boot_id`; pid_namespaces(7).
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start_ticks: int

    @classmethod
    def current(cls) -> Self:
        """This process."""
        host, boot, namespace = _here()
        found = procfs.stat(os.getpid())
        return cls(
            host, boot, namespace, os.getpid(), found.start_ticks if found else 0
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reverse of `str`; None if the text is not an owner."""
        try:
            host, boot, namespace, pid, start_ticks = text.split(_SEPARATOR)
            return cls(host, boot, namespace, int(pid), int(start_ticks))
        except ValueError:
            return None

    def __str__(self) -> str:
        return _SEPARATOR.join(map(str, astuple(self)))

    def is_dead(self) -> bool:
        """Whether the process has certainly ended; False for other hosts."""
        host, boot, namespace = _here()
        if self.host != host:
            return False
        if self.boot != boot:
            return True
        if self.namespace != namespace:
            return False
        found = procfs.stat(self.pid)
        return found is None or found.is_dead or found.start_ticks != self.start_ticks


def _here() -> tuple[str, str, str]:
    boot = procfs.read("/proc/sys/kernel/random/boot_id").decode().strip()
    try:
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        namespace = ""
    return socket.gethostname(), boot, namespace


def machines_dir(state_dir: Path | str) -> Path:
    """The folder of PID files, logs and disks of machines."""
    return Path(state_dir) / "machines"


def write_pid_file(path: Path, *, session: int = 0) -> None:
    """Note that this emulator runs a machine; `session` 0: not known yet."""
    found = procfs.stat(os.getpid())
    start = found.start_ticks if found else 0
    noted = {"session": session, "emulator": os.getpid(), "emulator_start": start}
    path.write_text(json.dumps(noted))


def kill_orphans(state_dir: Path | str) -> list[str]:
    """Kill the machines whose emulator has ended; return their ids.

    Safe beside a running emulator on the same directory, and when called twice. Only
    processes that carry the machine's id, or share a session with one that does, are
    killed: another process may have got the same PID.
    """
    killed = []
    for path in sorted(machines_dir(state_dir).glob("*.pid")):
        noted = _noted(path)
        if noted is None or _emulator_runs(noted):
            continue
        if _kill(path.stem, int(noted.get("session", 0))):
            killed.append(path.stem)
        path.unlink(missing_ok=True)
    return killed


class Guard:
    """A process that runs some code as soon as this process has ended.

    Args:
        code: Python code.
        arguments: `sys.argv` of the code.
        env: Variables that the code needs.
    """

    def __init__(
        self, code: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> None:
        package = Path(__file__).resolve().parents[3]
        command = (sys.executable, "-c", code, *arguments)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "emulator-guard", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**(env or {}), "PATH": os.defpath, "PYTHONPATH": str(package)},
            start_new_session=True,
        )

    def stop(self) -> None:
        """End the guard without running the code."""
        with contextlib.suppress(OSError):
            self._process.communicate(b"\n")


def _noted(path: Path) -> dict[str, Any] | None:
    try:
        noted = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) else None


def _emulator_runs(noted: dict[str, Any]) -> bool:
    found = procfs.stat(int(noted.get("emulator", 0)))
    return (
        found is not None
        and not found.is_dead
        and found.start_ticks == noted.get("emulator_start")
    )


def _kill(machine_id: str, session: int) -> bool:
    members = [s.pid for s in procfs.session_members(session)] if session else []
    is_ours = any(procfs.carries(pid, machine_id) for pid in members)
    was_alive = procfs.kill_machine(machine_id, session if is_ours else _NO_SESSION)
    if was_alive:
        log.info("orphan_killed", extra={"machine_id": machine_id})
    return was_alive
