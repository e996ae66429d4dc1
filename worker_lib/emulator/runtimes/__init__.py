"""Runtimes execute machines: `process` as local processes, `docker` as containers.

A runtime only starts, signals and ends runs; states, events, restarts and costs are the
`engine`'s. It reports the end of each launch exactly once, from a thread of its own,
after every process of the machine has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFile:
    """A file on a machine's disk; `path` is relative to its root."""

    path: str
    content: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What to run.

    Attributes:
        entrypoint: First words of the command; empty: the image's.
        cmd: Its other words; empty: the image's, unless `entrypoint` is given.
        user: Runs the command; "": the image's user.
        env: Variables beside those of the image.
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
    """The main process of a machine cannot start: there is no such program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the main process ended.

    Attributes:
        code: Its exit code; 128 and the signal's number if a signal ended it.
        signal: The signal that ended it, or -1.
        oom_killed: A process of this run was killed for lack of memory.
    """

    code: int
    signal: int = -1
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """What a runtime calls for one launch: `started`, then `exited`; or `failed`.

    Attributes:
        started: The main process runs.
        exited: The run has ended.
        failed: There is no run, and why; after `started`: the runtime lost the run.
    """

    started: Callable[[], None]
    exited: Callable[[Exit], None]
    failed: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One process of a machine, by the API's names; times are milliseconds.

    Attributes:
        rss: Resident memory in bytes.
        cpu: CPU time in all.
        stime: CPU time in the kernel.
        rtime: Time since its start.
    """

    pid: int
    command: str
    directory: str
    rss: int
    cpu: int
    stime: int
    rtime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """The result of a command that ran inside a machine."""

    exit_code: int
    exit_signal: int
    stdout: str
    stderr: str


class Instance(Protocol):
    """One run of one machine. Calls on an ended run do nothing."""

    def signal(self, number: int) -> None:
        """Send a signal to the main process; when that ends, all others are killed."""
        ...

    def suspend(self) -> None:
        """Freeze every process."""
        ...

    def resume(self) -> None:
        """Continue every process."""
        ...

    def processes(self) -> list[ProcessInfo]:
        """The processes that run now."""
        ...

    def execute(
        self, command: Sequence[str], *, stdin: str, timeout: float
    ) -> ExecResult:
        """Run a command in the machine; kill it after `timeout` seconds.

        Raises:
            OSError: the command cannot be executed.
        """
        ...


class Runtime(Protocol):
    """Runs machines."""

    def launch(self, spec: LaunchSpec, observer: Observer) -> Instance:
        """Begin to start a machine; it may start only after the return.

        A signal sent before that ends the run before it has begun. After an error the
        observer is not called.

        Raises:
            CommandNotExecutable: there is no such program.
            OSError: the machine's files cannot be written, or no process started.
        """
        ...

    def log_path(self, machine_id: str) -> Path:
        """The file with the output of all runs of a machine."""
        ...

    def discard(self, machine_id: str) -> None:
        """Delete a destroyed machine's disk; its log stays."""
        ...

    def open(self) -> None:
        """Prepare for the first launch.

        Raises:
            ConfigError: something that the runtime needs is missing.
            OSError: the state directory cannot be written.
        """
        ...

    def close(self) -> None:
        """Release everything; no machine runs any more."""
        ...
