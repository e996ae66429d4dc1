"""The options of an emulator."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from worker_lib.emulator.faults.plan import FaultPlan
from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.validation import checked_app_name
from worker_lib.errors import ConfigError
from worker_lib.fly.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RUNTIMES = ("process", "docker")
_TIMES = ("prepare_delay", "destroyed_retention", "restart_backoff")
_BASE_NAMES = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostImage:
    """What takes the place of an image for machines that are local processes.

    Attributes:
        env: Its variables; a machine gets no other variable of the emulator.
        python: The interpreter for commands that begin with `python`.
    """

    env: Mapping[str, str] = field(repr=False)
    python: str = sys.executable

    @classmethod
    def current(cls, _env: Mapping[str, str]) -> Self:
        """This interpreter, with a few variables of this process."""
        found = {name: os.environ[name] for name in _BASE_NAMES if name in os.environ}
        return cls(env=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerOptions:
    """Options for machines that are containers.

    Attributes:
        image: The engine must have it, or the emulator does not start; "": any.
        network: The engine's network mode. With `host` a container reaches what
            listens on this computer's loopback, such as the emulator itself.
        pids: The engine's PID mode. With `host` processes have the same PIDs inside
            and outside of a container.
        mounts: Folders, files and sockets that containers can read, at the same
            path as here.
        writable: Folders that they can also write.
        user: Runs a machine whose config names no user; "": the image's user.
        confined: Give a machine fewer rights than Fly does: no capabilities, no new
            privileges, a read-only root file system, and `/tmp` in memory, at most
            half of the machine's. A machine whose config has `files` can write its
            root, since the files are put into it.
    """

    image: str = ""
    network: str = "host"
    pids: str = ""
    mounts: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    user: str = ""
    confined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How one emulator behaves. Times are seconds; a wrong value is a `ConfigError`.

    Attributes:
        host: Address to listen on; with any but loopback other computers can connect.
        port: 0 takes a free one; read it from `Emulator.url`.
        hosts: Names that requests may use for it, beside `host` and loopback's.
        apps: Apps that exist from the start.
        tokens: Valid tokens; None makes a random one, `Emulator.token`.
        org: Slug of the organization that owns every app.
        region: Where a machine is placed whose request names no region.
        runtime: What a machine is: a local `process`, or a container (`docker`).
        docker: Options of the runtime `docker`.
        state_dir: Folder for logs, files and PID files of machines.
        project_dir: Working directory of machines that are processes.
        host_image: Takes the `env` of a machine's config, returns what takes the place
            of its image. A create request is answered with the text of a `ConfigError`
            that it raises.
        rate_limits: Answer 429 as Fly does.
        max_body_bytes: A longer body is answered with 413.
        prepare_delay: With `skip_launch` a new machine stays `created` at least so
            long: a start before it is `stopped` gets 412.
        destroyed_retention: So long GET still shows a `destroyed` machine.
        name_reuse: A name is free again once its machine is destroyed.
        restart_backoff: Pause before the first automatic restart; it doubles each time,
            up to 10 s.
        latencies: What creates, boots, starts, resumes and suspends take on top; none
            by default.
        faults: Fault rules in force from the start.
    """

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    tokens: tuple[str, ...] | None = field(default=None, repr=False)
    org: str = "personal"
    region: str = "iad"
    runtime: Literal["process", "docker"] = "process"
    docker: DockerOptions = field(default_factory=DockerOptions)
    state_dir: Path = field(default_factory=lambda: Path(".worker_lib/emulator"))
    project_dir: Path = field(default_factory=Path.cwd)
    host_image: Callable[[Mapping[str, str]], HostImage] = HostImage.current
    rate_limits: bool = True
    max_body_bytes: int = 4 * 1024 * 1024
    prepare_delay: float = 0.2
    destroyed_retention: float = 60.0
    name_reuse: bool = True
    restart_backoff: float = 0.5
    latencies: Latencies = field(default_factory=Latencies)
    faults: FaultPlan = field(default_factory=FaultPlan)

    def __post_init__(self) -> None:
        problems = [*_problems(self)]
        if problems:
            raise ConfigError(*problems)


def _problems(options: EmulatorOptions) -> Iterator[str]:
    for name in _TIMES:
        if getattr(options, name) < 0:
            yield f"{name} is {getattr(options, name)}; it must not be negative"
    if not 0 <= options.port <= 65535:
        yield f"port is {options.port}; it must be 0 to 65535"
    if options.runtime not in RUNTIMES:
        yield f"runtime is {options.runtime!r}; it must be {' or '.join(RUNTIMES)}"
    if options.tokens is not None and not (options.tokens and all(options.tokens)):
        yield "tokens is empty or has an empty one; leave it out for a random one"
    for name in options.apps:
        try:
            checked_app_name(name)
        except ApiError as exc:
            yield f"app {name[:80]!r}: {exc}"
