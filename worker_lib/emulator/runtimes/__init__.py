"""How machines are run: the seam between a machine's life and what executes it.

`process` runs each machine as a session of local processes. A runtime only starts,
signals and ends; states, events, restarts and bills are `lifecycle`'s. It promises
to call `on_exit` exactly once for each launch, from a thread of its own, after
every process of the machine is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["ExecResult", "Exit", "Instance", "LaunchSpec", "ProcessInfo", "Runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What to run; `memory_mb` is the limit for all its processes together."""

    machine_id: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    memory_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the main process ended.

    Attributes:
        code: Its exit code; 128 and the signal's number if a signal ended it.
        signal: The signal that ended it, or -1.
        oom_killed: Some process of this run was killed for want of memory.
    """

    code: int
    signal: int = -1
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One process of a machine; times are CPU milliseconds."""

    pid: int
    command: str
    directory: str
    rss_bytes: int
    cpu_ms: int
    system_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What a command run inside a machine left behind."""

    exit_code: int
    exit_signal: int
    stdout: str
    stderr: str


class Instance(Protocol):
    """One run of one machine. Calls on an ended run do nothing."""

    def signal(self, number: int) -> None:
        """Send a signal to the main process, as Fly's init forwards it.

        When that process ends, by SIGKILL or otherwise, so do all others.
        """
        ...

    def suspend(self) -> None:
        """Freeze every process."""
        ...

    def resume(self) -> None:
        """Let every process go on."""
        ...

    def processes(self) -> list[ProcessInfo]:
        """What runs now."""
        ...

    def execute(
        self, command: Sequence[str], *, stdin: str, timeout: float
    ) -> ExecResult:
        """Run a command in the machine and wait for its end, `timeout` at most."""
        ...


class Runtime(Protocol):
    """Runs machines."""

    def launch(self, spec: LaunchSpec, on_exit: Callable[[Exit], None]) -> Instance:
        """Start a machine.

        Raises:
            OSError: the command cannot be run at all; `on_exit` will not be called.
        """
        ...

    def root(self, machine_id: str) -> Path:
        """The directory that stands for the machine's disk."""
        ...

    def log_path(self, machine_id: str) -> Path:
        """Where the output of all runs of a machine is kept."""
        ...

    def discard(self, machine_id: str) -> None:
        """Delete a destroyed machine's disk; its log stays."""
        ...

    def open(self) -> None:
        """Get ready before the first launch."""
        ...

    def close(self) -> None:
        """Let go of everything; no machine runs any more."""
        ...
