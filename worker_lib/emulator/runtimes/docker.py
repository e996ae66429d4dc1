"""Runs each machine as a container of its image, on a Docker engine.

For each launch a thread makes a new container, so that no disk outlives a run,
writes the machine's files into it, listens to its output, starts it, waits for its
end and removes it. Process 1 is the engine's init: it forwards signals and reaps, as
Fly's does, and once the main process has ended the kernel ends all others.

Images are never pulled: a machine runs what the engine has. Containers carry labels,
`worker_lib.machine`, `.app` and `.emulator`, by which those of a killed emulator are
found and removed.

Not promised: a network of its own, by default, as the local stack is on loopback; an
exit code above 128 that is no signal's, since init reports both alike; more CPUs than
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
from worker_lib.emulator.runtimes.orphans import Guard, machines_dir
from worker_lib.emulator.runtimes.owner import Owner
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

__all__ = ["DockerInstance", "DockerRuntime", "remove_orphan_containers"]

log = get_logger("emulator")

# An engine that is gone shows as an OSError: requests' errors are OSErrors.
_TROUBLE = (docker_errors.DockerException, OSError)
_KILLED = Exit(code=128 + signal.SIGKILL, signal=signal.SIGKILL)
_CONTAINER_LOST = Exit(code=255)
_NO_LONGER_THERE = (404, 409)
_OUTPUT = {"stdout": True, "stderr": True, "stream": True}
_PS = "-eo pid,rss,etimes,times,args"
_CLOSE_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10.0
_GUARD_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME")
_CLEAN_UP = (
    "from worker_lib.emulator.runtimes import docker; docker.remove_orphan_containers()"
)


def connect() -> Any:
    """A client of the engine that `DOCKER_HOST` names, else of this computer's.

    Raises:
        ConfigError: it does not answer.
    """
    try:
        _refuse_early()
        client = docker.from_env()
        client.ping()
    except _TROUBLE as exc:
        raise ConfigError(
            "no Docker engine answers: start it, or set DOCKER_HOST to one that runs, "
            "or run machines as processes (--runtime process, WORKER_LIB_RUNTIME="
            f"process); {_reason(exc)}"
        ) from exc
    return client


def _refuse_early() -> None:
    # The SDK leaves its own socket open when the engine's refuses the connection:
    # a ResourceWarning, which ends a program that turns warnings into errors.
    url = str(parse_host(kwargs_from_env().get("base_url")))
    scheme, _, path = url.partition("://")
    if scheme == "http+unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_TIMEOUT)
            probe.connect(path)


def remove_orphan_containers(client: Any = None) -> list[str]:
    """Remove the containers whose emulator is gone; return their machines' ids.

    Safe beside living emulators, and when called twice.
    """
    client = client or connect()
    reaped = []
    for container in client.containers.list(
        all=True, filters={"label": OWNER_LABEL}, ignore_removed=True
    ):
        owner = Owner.parse(container.labels[OWNER_LABEL])
        if owner is None or not owner.is_dead():
            continue
        with contextlib.suppress(docker_errors.APIError):
            container.remove(force=True)
        reaped.append(container.labels.get(MACHINE_LABEL, ""))
        log.info("orphan_killed", extra={"machine_id": reaped[-1]})
    return reaped


class DockerInstance:
    """One run of a machine: a container, once there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._container: Any = None
        self._unwanted = threading.Event()

    def start(self, container: Any) -> bool:
        """Start the container; False if the run was told to end before it began."""
        if self._unwanted.is_set():
            return False
        container.start()
        with self._lock:
            self._container = container
        if self._unwanted.is_set():
            self.signal(signal.SIGKILL)
        return True

    def signal(self, number: int) -> None:
        """Send a signal to init, which hands it to the main process."""
        with self._lock:
            if self._container is None:
                self._unwanted.set()
                return
        with _if_it_runs():
            self._container.kill(signal=number)

    def suspend(self) -> None:
        """Freeze the container's cgroup."""
        with _if_it_runs():
            self._container.pause()

    def resume(self) -> None:
        """Thaw it."""
        with _if_it_runs():
            self._container.unpause()

    def processes(self) -> list[ProcessInfo]:
        """What `ps` shows of the container; init is left out."""
        found: list[ProcessInfo] = []
        with _if_it_runs():
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
        """Find the engine, remove strays of earlier emulators, start the guard.

        Raises:
            ConfigError: no engine answers, or it has not the image it should have.
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
        """Wait until the last containers are removed."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None
            self._client.close()

    def log_path(self, machine_id: str) -> Path:
        """Output and errors of all runs of a machine, one file."""
        return self._dir / f"{machine_id}.log"

    def discard(self, machine_id: str) -> None:
        """Do nothing: each run's disk went with its container."""

    def launch(self, spec: LaunchSpec, observer: Observer) -> DockerInstance:
        """Start a thread that sees to the run from its beginning to its end."""
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
        """See to a run; whatever happens, its observer is told of the end."""
        try:
            self._run_container(spec, instance, observer)
        except Exception as exc:
            log.exception("launch_failed", extra={"machine_id": spec.machine_id})
            observer.failed(f"{type(exc).__name__}: the emulator's log says more")

    def _run_container(
        self, spec: LaunchSpec, instance: DockerInstance, observer: Observer
    ) -> None:
        wanted = container_options(spec, self._options, cpus=self._engine_cpus)
        try:
            container = self._client.containers.create(spec.image, **wanted)
        except docker_errors.ImageNotFound:
            observer.failed(_no_image(spec.image))
            return
        except _TROUBLE as exc:
            observer.failed(_reason(exc))
            return
        with _removed_in_the_end(container):
            self._attend(container, spec, instance, observer)

    def _attend(
        self,
        container: Any,
        spec: LaunchSpec,
        instance: DockerInstance,
        observer: Observer,
    ) -> None:
        """Start a container, keep what it prints, and tell of its end."""
        with contextlib.ExitStack() as stack:
            try:
                if spec.files:
                    container.put_archive("/", packed(spec.files))
                log_file = self.log_path(spec.machine_id).open("ab", buffering=0)
                output = stack.enter_context(log_file)
                attached = RawStream(container.attach_socket(params=_OUTPUT))
                printed = stack.enter_context(attached)
                has_started = instance.start(container)
            except _TROUBLE as exc:
                observer.failed(_reason(exc))
                return
            ended = _KILLED
            if has_started:
                observer.started()
                _keep(printed, output)
                ended = _end_of(container, output)
        observer.exited(ended)


def _check_image(client: Any, image: str) -> None:
    try:
        client.images.get(image)
    except docker_errors.ImageNotFound as exc:
        raise ConfigError(_no_image(image)) from exc


def _keep(printed: RawStream, output: RawIOBase) -> None:
    """Write down all output; neither a full disk nor a lost engine may end the run."""
    with contextlib.suppress(OSError):
        for _, data in printed.frames():
            _write(output, data)


def _write(output: RawIOBase, data: bytes) -> None:
    with contextlib.suppress(OSError):
        output.write(data)


def _end_of(container: Any, output: RawIOBase) -> Exit:
    """Wait for a container's end; how it ended, with a line of output if badly."""
    try:
        code = container.wait(timeout=None)["StatusCode"]
        container.reload()
    except _TROUBLE as exc:
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
def _if_it_runs() -> Iterator[None]:
    """Pass over the engine's refusal to do something with an ended container."""
    try:
        yield
    except docker_errors.APIError as exc:
        if exc.status_code not in _NO_LONGER_THERE:
            raise


@contextlib.contextmanager
def _removed_in_the_end(container: Any) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(*_TROUBLE):
            container.remove(force=True, v=True)


def _info(row: Sequence[str]) -> ProcessInfo:
    pid, rss_kb, age, cpu, command = row
    return ProcessInfo(
        pid=int(pid),
        command=command,
        directory="",
        rss_bytes=int(rss_kb) * 1024,
        cpu_ms=int(cpu) * 1000,
        system_ms=0,
        age_ms=int(age) * 1000,
    )


def _no_image(image: str) -> str:
    return (
        f"the Docker engine has no image {image}: build it (make image in this "
        "project), pull it (docker pull), or set WORKER_IMAGE to one that it has"
    )


def _reason(error: Exception) -> str:
    told = getattr(error, "explanation", None) or str(error)
    return " ".join(str(told).split())
