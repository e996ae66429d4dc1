"""What can be set about the emulator."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from worker_lib.emulator.faults.plan import FaultPlan
from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.validation import checked_app_name
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RUNTIMES = ("process", "docker")
_TIMES = (
    *("created_delay", "prepare_delay", "hidden_after_create", "destroyed_retention"),
    *("restart_backoff", "restart_backoff_max", "memory_interval"),
)
_BASE_NAMES = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


def inherited_env() -> dict[str, str]:
    """The few variables of this process that stand for those of an image."""
    return {name: os.environ[name] for name in _BASE_NAMES if name in os.environ}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostImage:
    """What stands for an image where machines are processes of this computer.

    Attributes:
        env: Its variables; nothing else of the emulator's own reaches a machine.
        python: The interpreter that is meant by `python`.
    """

    env: Mapping[str, str] = field(repr=False)
    python: str = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerOptions:
    """What machines that are containers have in common.

    Attributes:
        image: What the engine must have for the emulator to start; empty: nothing.
        network: The engine's network mode. `host`: what listens on this computer's
            loopback, such as the emulator itself, can be reached.
        pids: The engine's PID mode. `host`: a machine's processes have here the
            numbers that they have for themselves.
        mounts: Folders, files and sockets that containers can read, at the same
            path as here.
        writable: Folders that they can write as well.
        user: Who runs a machine whose config does not say; empty: whom its image
            says.
        confined: Give a machine less than Fly does: no capability, no way to gain a
            privilege, a root file system that is only read, and `/tmp` in memory, up
            to half of the machine's. The root of a machine whose config has `files`
            can be written, since they are put into it.
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
    """How one emulator behaves. Times are seconds.

    Attributes:
        host: Address to listen on; any but a loopback one lets other computers in.
        port: 0 takes a free one; read it from `Emulator.url`.
        hosts: Names by which it may be called beside `host` and loopback's.
        apps: Apps that exist from the start.
        tokens: Tokens that are let in; None makes a random one, `Emulator.token`.
        org: Slug of the organisation that owns every app.
        region: Where a machine goes that names no region.
        runtime: What a machine is: a local `process`, or a container (`docker`).
        docker: For the runtime of that name.
        state_dir: Logs, files and marks of machines are written below it.
        project_dir: Working directory of every machine that is a process.
        base_env: Stands for the environment of an image, which processes have not:
            nothing else of the emulator's own reaches a machine.
        host_image: Takes the `env` of a machine's config and returns what stands for
            its image; None: `base_env` and this very interpreter. A `ConfigError` of
            it is told to whoever wants to make the machine.
        rate_limits: Answer 429 as Fly does.
        max_body_bytes: A longer body is refused with 413.
        created_delay: A new machine stays `created` for so long; 0 boots at once.
        prepare_delay: With `skip_launch` it does so at least for so long: who starts
            it before it is `stopped` gets 412.
        reply_delays: By action, how long a reply is held back after the work is done.
        hidden_after_create: For so long GET and wait answer 404 on a new machine.
        destroyed_retention: For so long GET still shows a `destroyed` machine.
        name_reuse: A name is free again once its machine is destroyed.
        restart_backoff: Pause before the first automatic restart; doubles each time.
        restart_backoff_max: The longest such pause.
        memory_interval: How often the memory of running machines is summed up;
            0 never does, and no limit is enforced.
        faults: What goes wrong from the start.
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
    base_env: Mapping[str, str] = field(default_factory=inherited_env, repr=False)
    host_image: Callable[[Mapping[str, str]], HostImage] | None = None
    rate_limits: bool = True
    max_body_bytes: int = 4 * 1024 * 1024
    created_delay: float = 0.0
    prepare_delay: float = 0.2
    reply_delays: Mapping[str, float] = field(default_factory=dict)
    hidden_after_create: float = 0.0
    destroyed_retention: float = 60.0
    name_reuse: bool = True
    restart_backoff: float = 0.5
    restart_backoff_max: float = 10.0
    memory_interval: float = 0.05
    faults: FaultPlan = field(default_factory=FaultPlan)

    def image_of(self, env: Mapping[str, str]) -> HostImage:
        """Return what stands for the image of a machine whose config has this `env`.

        Raises:
            ConfigError: there is nothing to stand for it.
        """
        if self.host_image is None:
            return HostImage(env=self.base_env)
        return self.host_image(env)

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; it must not be negative"
            for name in _TIMES
            if getattr(self, name) < 0
        ]
        if not 0 <= self.port <= 65535:
            problems.append(f"port is {self.port}; it must be 0 to 65535")
        if self.runtime not in RUNTIMES:
            problems.append(
                f"runtime is {self.runtime!r}; it must be {' or '.join(RUNTIMES)}"
            )
        if self.tokens is not None and not (self.tokens and all(self.tokens)):
            problems.append("tokens has none, or an empty one; leave it out for random")
        for name in self.apps:
            try:
                checked_app_name(name)
            except ApiError as exc:
                problems.append(f"app {name[:80]!r}: {exc}")
        if problems:
            raise ConfigError(*problems)
