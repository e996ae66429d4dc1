"""How machines are run: the seam between a machine's life and what executes it.

`process` runs each machine as a session of local processes, `docker` as a container
of its image. A runtime only starts, signals and ends; states, events, restarts and
bills are `lifecycle`'s. Of each launch it promises to tell the end exactly once, from
a thread of its own, after every process of the machine is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "CommandNotExecutable",
    "ExecResult",
    "Exit",
    "GuestFile",
    "Instance",
    "LaunchSpec",
    "Observer",
    "ProcessInfo",
    "Runtime",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFile:
    """A file that a machine finds on its disk; `path` is relative to the root."""

    path: str
    content: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What to run.

    Attributes:
        entrypoint: First words of the command; empty: the image's own.
        cmd: Its other words; empty: the image's own, unless `entrypoint` is given.
        user: Who runs it; empty: whom the image says.
        env: What is added to the image's own environment.
        socket: Path of the app's machine socket, Fly's `/.fly/api`; "": none.
        memory_mb: The limit for all processes together.
    """

    machine_id: str
    app: str
    image: str
    entrypoint: Sequence[str]
    cmd: Sequence[str]
    user: str
    env: Mapping[str, str] = field(repr=False)
    files: Sequence[GuestFile]
    socket: str
    metadata: Mapping[str, str]
    cpus: int
    memory_mb: int


class CommandNotExecutable(WorkerLibError):
    """The main process of a machine cannot be begun: there is no such program."""


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
class Observer:
    """What a runtime tells of one launch: `started`, then `exited`; or `failed`.

    Attributes:
        started: The main process runs.
        exited: The run is over.
        failed: There is no run, and why: the image is not there, for example. Also
            after `started`, if the runtime itself has lost the run.
    """

    started: Callable[[], None]
    exited: Callable[[Exit], None]
    failed: Callable[[str], None]


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

    def launch(self, spec: LaunchSpec, observer: Observer) -> Instance:
        """Begin to start a machine; it may run only some time after the return.

        A signal sent before that ends the run before it has begun.

        Raises:
            CommandNotExecutable: there is no such program, or it is none; the
                observer will be told no more, as after any other error.
            OSError: the machine's files cannot be written, or no process be had.
        """
        ...

    def log_path(self, machine_id: str) -> Path:
        """Where the output of all runs of a machine is kept."""
        ...

    def discard(self, machine_id: str) -> None:
        """Delete a destroyed machine's disk; its log stays."""
        ...

    def open(self) -> None:
        """Get ready before the first launch.

        Raises:
            ConfigError: what the runtime needs is not there.
            OSError: the state directory cannot be written.
        """
        ...

    def close(self) -> None:
        """Let go of everything; no machine runs any more."""
        ...
