"""Runs each machine as a session of local processes.

A `HostImage` takes the place of the image, with an interpreter and an environment; the
default command is the worker, the working directory is `project_dir`, and the machine's
disk is `<state_dir>/machines/<id>/`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from worker_lib.emulator.runtimes import (
    CommandNotExecutable,
    ExecResult,
    Exit,
    ProcessInfo,
    procfs,
)
from worker_lib.emulator.runtimes.connections import sever
from worker_lib.emulator.runtimes.memory import MemoryMonitor, Watched
from worker_lib.emulator.runtimes.orphans import (
    KILL_ORPHANS,
    Guard,
    kill_orphans,
    machines_dir,
    write_pid_file,
)
from worker_lib.fly.protocol import MACHINE_SOCKET_VARIABLE, WORKER_COMMAND
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from worker_lib.emulator.options import EmulatorOptions, HostImage
    from worker_lib.emulator.runtimes import GuestFile, LaunchSpec, Observer
    from worker_lib.emulator.runtimes.procfs import Stat

log = get_logger("emulator")

_PYTHON_WORDS = ("python", "python3")
_FREEZE_ROUNDS = 20
_SIGNAL_BASE = 128
# Fly sends these to end a machine; whoever started us may have had them ignored.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
_NO_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR)


def image_command(argv: Sequence[str], python: str) -> list[str]:
    """A command with the image's Python; without words: the worker."""
    argv = argv or WORKER_COMMAND
    if argv[0] in _PYTHON_WORDS:
        return [python, *argv[1:]]
    return list(argv)


class ProcessInstance:
    """One run of a machine: a session and its descendants."""

    def __init__(
        self,
        spec: LaunchSpec,
        process: subprocess.Popen[bytes],
        *,
        env: Mapping[str, str],
        python: str,
        cwd: Path,
        monitor: MemoryMonitor,
        log_path: Path,
    ) -> None:
        self._spec = spec
        self._process = process
        self._env = env
        self._python = python
        self._cwd = cwd
        self._monitor = monitor
        self._log_path = log_path
        self._lock = threading.Lock()
        self._ended = False
        self._oom_killed = False
        started = procfs.stat(process.pid)
        self._since_ticks = started.start_ticks if started else 0

    def watch(self) -> None:
        """Enforce the memory limit."""
        limit = self._spec.memory_mb * 1024 * 1024
        self._monitor.watch(
            Watched(
                session=self._process.pid,
                limit_bytes=limit,
                on_kill=self._out_of_memory,
            )
        )

    def wait(self) -> Exit:
        """Block until the run and all its processes have ended.

        The main process is reaped last: until then its PID, which is also the
        session's, cannot be used again.
        """
        pid = self._process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        procfs.kill_machine(
            self._spec.machine_id, pid, since_ticks=self._since_ticks, spare=pid
        )
        self._monitor.forget(pid)
        with self._lock:
            self._ended = True
            code = self._process.wait()
        number = -code if code < 0 else -1
        return Exit(
            code=_SIGNAL_BASE + number if code < 0 else code,
            signal=number,
            oom_killed=self._oom_killed,
        )

    def signal(self, number: int) -> None:
        """Send a signal to the main process; `wait` kills all others."""
        with self._lock:
            if not self._ended:
                procfs.send(self._process.pid, number)

    def suspend(self) -> None:
        """Stop every process, until none is found running; then end its connections.

        Programs must not rely on those that Fly may keep alive.
        """
        self._monitor.forget(self._process.pid)
        members: list[Stat] = []
        for _ in range(_FREEZE_ROUNDS):
            members = self._all_members()
            running = [s for s in members if s.state not in "Tt"]
            if not running:
                break
            for member in running:
                procfs.send(member.pid, signal.SIGSTOP)
            time.sleep(0.001)
        sever([member.pid for member in members], spare=self._spec.socket)

    def resume(self) -> None:
        """Continue every process."""
        for member in self._all_members():
            procfs.send(member.pid, signal.SIGCONT)
        self.watch()

    def processes(self) -> list[ProcessInfo]:
        """The processes of the session."""
        return [_info(member) for member in self._members()]

    def execute(
        self, command: Sequence[str], *, stdin: str, timeout: float
    ) -> ExecResult:
        """Run a command with the machine's environment, in a session of its own."""
        process = subprocess.Popen(
            image_command(command, self._python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._cwd,
            env=self._env,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        code = process.returncode
        return ExecResult(
            exit_code=max(code, 0), exit_signal=max(-code, 0), stdout=out, stderr=err
        )

    def _members(self) -> list[Stat]:
        with self._lock:
            return [] if self._ended else procfs.session_members(self._process.pid)

    def _all_members(self) -> list[Stat]:
        """The members, and processes that have left the session: slow to find."""
        with self._lock:
            if self._ended:
                return []
            return procfs.machine_members(
                self._spec.machine_id, self._process.pid, since_ticks=self._since_ticks
            )

    def _out_of_memory(self, victim: Stat) -> None:
        self._oom_killed = True
        mb = victim.rss_bytes // (1024 * 1024)
        with contextlib.suppress(OSError), self._log_path.open("a") as output:
            output.write(
                f"Out of memory: Killed process {victim.pid} ({victim.name}) "
                f"rss:{mb}MB limit:{self._spec.memory_mb}MB\n"
            )
        log.warning(
            "machine_out_of_memory",
            extra={"machine_id": self._spec.machine_id, "rss_mb": mb},
        )


class ProcessRuntime:
    """Launches machines as local processes."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._state_dir = options.state_dir
        self._image_of = options.host_image
        self._cwd = options.project_dir
        self._dir = machines_dir(options.state_dir)
        self._monitor = MemoryMonitor()
        self._guard: Guard | None = None

    def open(self) -> None:
        """Create the directory, kill orphans, start the guard."""
        self._dir.mkdir(parents=True, exist_ok=True)
        kill_orphans(self._state_dir)
        self._guard = Guard(KILL_ORPHANS, str(self._state_dir.resolve()))

    def close(self) -> None:
        """Stop the guard."""
        if self._guard is not None:
            self._guard.stop()
            self._guard = None

    def log_path(self, machine_id: str) -> Path:
        """The file with the output of all runs of a machine."""
        return self._dir / f"{machine_id}.log"

    def discard(self, machine_id: str) -> None:
        """Delete a destroyed machine's disk; its log stays."""
        shutil.rmtree(self._dir / machine_id, ignore_errors=True)

    def launch(self, spec: LaunchSpec, observer: Observer) -> ProcessInstance:
        """Start a machine's main process, and a thread that waits for its end.

        Raises:
            CommandNotExecutable: there is no such program.
            OSError: the machine's files cannot be written, or no process started.
        """
        root = self._dir / spec.machine_id
        _write_files(spec.files, root)
        image = self._image_of(spec.env)
        env = _environment(spec, image, root)
        command = image_command([*spec.entrypoint, *spec.cmd], image.python)
        pid_file = self._dir / f"{spec.machine_id}.pid"
        process = self._spawn_noted(spec, command, env, pid_file)
        instance = ProcessInstance(
            spec,
            process,
            env=env,
            python=image.python,
            cwd=self._cwd,
            monitor=self._monitor,
            log_path=self.log_path(spec.machine_id),
        )
        try:
            self._watch(instance, pid_file, observer)
        except Exception:  # no thread could start, so nobody would wait for the process
            process.kill()
            instance.wait()
            pid_file.unlink(missing_ok=True)
            raise
        return instance

    def _watch(
        self, instance: ProcessInstance, pid_file: Path, observer: Observer
    ) -> None:
        """Watch a run's memory, and wait for its end in a thread."""
        instance.watch()
        waiting = threading.Thread(
            target=self._await_end,
            args=(instance, pid_file, observer),
            name=f"machine-{pid_file.stem}",
            daemon=True,
        )
        observer.started()
        waiting.start()

    def _spawn_noted(
        self, spec: LaunchSpec, command: list[str], env: dict[str, str], pid_file: Path
    ) -> subprocess.Popen[bytes]:
        """Write the PID file before the spawn too: an orphan is found in any case."""
        write_pid_file(pid_file)
        try:
            process = self._spawn(spec, command, env)
        except Exception:
            pid_file.unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):
            write_pid_file(pid_file, session=process.pid)
        return process

    def _spawn(
        self, spec: LaunchSpec, command: list[str], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with self.log_path(spec.machine_id).open("ab") as output:
            try:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._cwd,
                    env=env,
                    start_new_session=True,
                    preexec_fn=_signal_reset(),  # noqa: PLW1509 - see there
                )
            except OSError as exc:
                # `filename` is the working directory if that does not exist.
                if exc.errno in _NO_PROGRAM and exc.filename == command[0]:
                    raise CommandNotExecutable(str(exc)) from exc
                raise

    def _await_end(
        self, instance: ProcessInstance, pid_file: Path, observer: Observer
    ) -> None:
        ended = instance.wait()
        with contextlib.suppress(OSError):
            pid_file.unlink(missing_ok=True)
        observer.exited(ended)


def _environment(spec: LaunchSpec, image: HostImage, root: Path) -> dict[str, str]:
    own = {"WORKER_LIB_MACHINE_ROOT": str(root)} if spec.files else {}
    own |= {MACHINE_SOCKET_VARIABLE: spec.socket} if spec.socket else {}
    return {**image.env, **own, **spec.env}


def _write_files(files: Sequence[GuestFile], root: Path) -> None:
    """Write a machine's files below its disk, `WORKER_LIB_MACHINE_ROOT`.

    A local process shares this computer's root directory, so that nothing is written
    at the path itself: `/etc/x.conf` becomes `<root>/etc/x.conf`.
    """
    for file in files:
        target = root / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)


def _info(member: Stat) -> ProcessInfo:
    command = procfs.read(f"/proc/{member.pid}/cmdline").replace(b"\0", b" ").strip()
    to_ms = 1000 / procfs.TICKS
    started = member.start_ticks / procfs.TICKS
    return ProcessInfo(
        pid=member.pid,
        command=command.decode(errors="replace") or member.name,
        directory=procfs.working_directory(member.pid),
        rss=member.rss_bytes,
        cpu=int((member.user_ticks + member.system_ticks) * to_ms),
        stime=int(member.system_ticks * to_ms),
        rtime=int((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000),
    )


def _signal_reset() -> Callable[[], None] | None:
    """Return what a new process does first, so that no signal is ignored in it.

    A shell starts its background jobs with SIGINT ignored, and `nohup` with SIGHUP:
    programs inherit that, and a machine could not be stopped by them. None where
    nothing is ignored: spawning is safer and faster without.
    """
    ignored = [one for one in _ENDING if signal.getsignal(one) is signal.SIG_IGN]

    def reset() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)

    return reset if ignored else None
