"""Runs each machine as a container of its image, on a Docker engine.

For each launch a thread creates a new container (a disk lives for one run only),
writes the machine's files into it, attaches to its output, starts it, waits for its
exit and removes it. Process 1 is the engine's init: it forwards signals and reaps, as
Fly's does, and when the main process has ended the kernel kills all others.

Images are never pulled: the engine must have them. Labels of the containers,
`worker_lib.machine`, `.app` and `.emulator`, identify those of a killed emulator.

Not promised: a network of its own, as the local stack listens on loopback; an exit
code above 128 that is not a signal's, since init reports both alike; more CPUs than
the engine has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.runtimes import ExecResult, Exit, ProcessInfo
from worker_lib.emulator.runtimes.container_options import (
    MACHINE_LABEL,
    OWNER_LABEL,
    container_options,
    packed,
)
from worker_lib.emulator.runtimes.container_streams import RawStream, execute
from worker_lib.emulator.runtimes.orphans import Guard, Owner, machines_dir
from worker_lib.errors import ConfigError
from worker_lib.logs import get_logger

try:
    import docker
    from docker import errors as docker_errors
    from docker.utils import kwargs_from_env, parse_host
except ImportError as exc:
    raise ConfigError(
        "machines as containers need Docker's SDK: pip install 'docker>=7'"
    ) from exc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import RawIOBase
    from pathlib import Path

    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import LaunchSpec, Observer

log = get_logger("emulator")

# A lost connection to the engine is an OSError: requests' errors are OSErrors.
_ENGINE_ERRORS = (docker_errors.DockerException, OSError)
_KILLED = Exit(code=128 + signal.SIGKILL, signal=signal.SIGKILL)
_CONTAINER_LOST = Exit(code=255)
_NOT_RUNNING = (404, 409)
_OUTPUT = {"stdout": True, "stderr": True, "stream": True}
_PS = "-eo pid,rss,etimes,times,args"
_CLOSE_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10.0
_GUARD_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME")
_CLEAN_UP = (
    "from worker_lib.emulator.runtimes import docker; docker.remove_orphan_containers()"
)


def connect() -> Any:
    """A client of the engine at `DOCKER_HOST`, else of this computer's.

    Raises:
        ConfigError: it does not answer.
    """
    try:
        _refuse_early()
        client = docker.from_env()
        client.ping()
    except _ENGINE_ERRORS as exc:
        raise ConfigError(
            "no Docker engine answers: start it, or set DOCKER_HOST to one that runs, "
            "or run machines as processes (--runtime process, WORKER_LIB_RUNTIME="
            f"process); {_reason(exc)}"
        ) from exc
    return client


def _refuse_early() -> None:
    # The SDK leaks its socket when the engine refuses the connection: a
    # ResourceWarning, which ends a program that turns warnings into errors.
    url = str(parse_host(kwargs_from_env().get("base_url")))
    scheme, _, path = url.partition("://")
    if scheme == "http+unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_TIMEOUT)
            probe.connect(path)


def remove_orphan_containers(client: Any = None) -> list[str]:
    """Remove the containers whose emulator has ended; return their machines' ids.

    Safe beside running emulators, and when called twice.
    """
    client = client or connect()
    removed = []
    for container in client.containers.list(
        all=True, filters={"label": OWNER_LABEL}, ignore_removed=True
    ):
        owner = Owner.parse(container.labels[OWNER_LABEL])
        if owner is None or not owner.is_dead():
            continue
        with contextlib.suppress(docker_errors.APIError):
            container.remove(force=True)
        removed.append(container.labels.get(MACHINE_LABEL, ""))
        log.info("orphan_killed", extra={"machine_id": removed[-1]})
    return removed


class DockerInstance:
    """One run of a machine: a container, once it is created."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._container: Any = None
        self._cancelled = threading.Event()

    def start(self, container: Any) -> bool:
        """Start the container; False if the run was ended before it began."""
        if self._cancelled.is_set():
            return False
        container.start()
        with self._lock:
            self._container = container
        if self._cancelled.is_set():
            self.signal(signal.SIGKILL)
        return True

    def signal(self, number: int) -> None:
        """Send a signal to init, which forwards it to the main process."""
        with self._lock:
            if self._container is None:
                self._cancelled.set()
                return
        with _ignoring_exited():
            self._container.kill(signal=number)

    def suspend(self) -> None:
        """Freeze the container's cgroup."""
        with _ignoring_exited():
            self._container.pause()

    def resume(self) -> None:
        """Continue the container's cgroup."""
        with _ignoring_exited():
            self._container.unpause()

    def processes(self) -> list[ProcessInfo]:
        """The container's processes by `ps`, without init."""
        found: list[ProcessInfo] = []
        with _ignoring_exited():
            found = [
                _info(row) for row in self._container.top(ps_args=_PS)["Processes"]
            ]
            self._container.reload()
        init = self._container.attrs["State"]["Pid"]
        return [process for process in found if process.pid != init]

    def execute(
        self, command: Sequence[str], *, stdin: str, timeout: float
    ) -> ExecResult:
        """Run a command in the container."""
        api, container_id = self._container.client.api, self._container.id
        return execute(api, container_id, command, stdin=stdin, timeout=timeout)


class DockerRuntime:
    """Launches machines as containers."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._state_dir = options.state_dir
        self._dir = machines_dir(options.state_dir)
        self._options = options.docker
        self._client: Any = None
        self._engine_cpus = 1
        self._guard: Guard | None = None
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Connect to the engine, remove orphans, start the guard.

        Raises:
            ConfigError: no engine answers, or it does not have the options' image.
        """
        self._dir.mkdir(parents=True, exist_ok=True)
        self._client = connect()
        if self._options.image:
            _check_image(self._client, self._options.image)
        self._engine_cpus = self._client.info()["NCPU"]
        remove_orphan_containers(self._client)
        environ = {n: os.environ[n] for n in _GUARD_VARIABLES if n in os.environ}
        self._guard = Guard(_CLEAN_UP, env=environ)

    def close(self) -> None:
        """Wait at most 10 s until the last containers are removed."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._guard is not None:
            self._guard.stop()
            self._guard = None
            self._client.close()

    def log_path(self, machine_id: str) -> Path:
        """The file with the output of all runs of a machine."""
        return self._dir / f"{machine_id}.log"

    def discard(self, machine_id: str) -> None:
        """Do nothing: a disk is removed with its container."""

    def launch(self, spec: LaunchSpec, observer: Observer) -> DockerInstance:
        """Start a thread that manages the run from start to end."""
        instance = DockerInstance()
        thread = threading.Thread(
            target=self._run,
            args=(spec, instance, observer),
            name=f"machine-{spec.machine_id}",
            daemon=True,
        )
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
        return instance

    def _run(
        self, spec: LaunchSpec, instance: DockerInstance, observer: Observer
    ) -> None:
        """Manage a run; its observer is always called at the end."""
        try:
            self._run_container(spec, instance, observer)
        except Exception as exc:
            log.exception("launch_failed", extra={"machine_id": spec.machine_id})
            observer.failed(f"{type(exc).__name__}: see the emulator's log")

    def _run_container(
        self, spec: LaunchSpec, instance: DockerInstance, observer: Observer
    ) -> None:
        wanted = container_options(spec, self._options, cpus=self._engine_cpus)
        try:
            container = self._client.containers.create(spec.image, **wanted)
        except docker_errors.ImageNotFound:
            observer.failed(_no_image(spec.image))
            return
        except _ENGINE_ERRORS as exc:
            observer.failed(_reason(exc))
            return
        with _removed_at_end(container):
            self._supervise(container, spec, instance, observer)

    def _supervise(
        self,
        container: Any,
        spec: LaunchSpec,
        instance: DockerInstance,
        observer: Observer,
    ) -> None:
        """Start a container, copy its output to the log, and report its exit."""
        with contextlib.ExitStack() as stack:
            try:
                if spec.files:
                    container.put_archive("/", packed(spec.files))
                log_file = self.log_path(spec.machine_id).open("ab", buffering=0)
                output = stack.enter_context(log_file)
                attached = RawStream(container.attach_socket(params=_OUTPUT))
                printed = stack.enter_context(attached)
                has_started = instance.start(container)
            except _ENGINE_ERRORS as exc:
                observer.failed(_reason(exc))
                return
            ended = _KILLED
            if has_started:
                observer.started()
                _copy_output(printed, output)
                ended = _wait_exit(container, output)
        observer.exited(ended)


def _check_image(client: Any, image: str) -> None:
    try:
        client.images.get(image)
    except docker_errors.ImageNotFound as exc:
        raise ConfigError(_no_image(image)) from exc


def _copy_output(printed: RawStream, output: RawIOBase) -> None:
    """Copy all output; a full disk or a lost engine must not end the run."""
    with contextlib.suppress(OSError):
        for _, data in printed.frames():
            _write(output, data)


def _write(output: RawIOBase, data: bytes) -> None:
    with contextlib.suppress(OSError):
        output.write(data)


def _wait_exit(container: Any, output: RawIOBase) -> Exit:
    """Wait for a container's exit; add a line to the output after a failure."""
    try:
        code = container.wait(timeout=None)["StatusCode"]
        container.reload()
    except _ENGINE_ERRORS as exc:
        _write(
            output, f"the Docker engine lost the container: {_reason(exc)}\n".encode()
        )
        return _CONTAINER_LOST
    number, is_out_of_memory = code - 128, container.attrs["State"]["OOMKilled"]
    if is_out_of_memory:
        limit = container.attrs["HostConfig"]["Memory"] >> 20
        _write(output, f"Out of memory: Killed process limit:{limit}MB\n".encode())
    return Exit(
        code=code,
        signal=number if number in signal.valid_signals() else -1,
        oom_killed=is_out_of_memory,
    )


@contextlib.contextmanager
def _ignoring_exited() -> Iterator[None]:
    """Ignore the engine's error for a container that has exited."""
    try:
        yield
    except docker_errors.APIError as exc:
        if exc.status_code not in _NOT_RUNNING:
            raise


@contextlib.contextmanager
def _removed_at_end(container: Any) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(*_ENGINE_ERRORS):
            container.remove(force=True, v=True)


def _info(row: Sequence[str]) -> ProcessInfo:
    pid, rss_kb, age, cpu, command = row
    return ProcessInfo(
        pid=int(pid),
        command=command,
        directory="",
        rss=int(rss_kb) * 1024,
        cpu=int(cpu) * 1000,
        stime=0,
        rtime=int(age) * 1000,
    )


def _no_image(image: str) -> str:
    return (
        f"the Docker engine has no image {image}: build it (make image in this "
        "project), pull it (docker pull), or set WORKER_IMAGE to one that it has"
    )


def _reason(error: Exception) -> str:
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())
