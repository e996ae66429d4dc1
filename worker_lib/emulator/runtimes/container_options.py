"""A machine's launch as options of a Docker container."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.runtimes.orphans import Owner
from worker_lib.fly.protocol import MACHINE_SOCKET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.emulator.options import DockerOptions
    from worker_lib.emulator.runtimes import GuestFile, LaunchSpec

_LABEL = "worker_lib."
MACHINE_LABEL = f"{_LABEL}machine"
"""The machine's id."""
OWNER_LABEL = f"{_LABEL}emulator"
"""The emulator's process, as `Owner` writes it."""

_NANO = 1_000_000_000
_TMP = "/tmp"  # noqa: S108 - of the container


def container_options(
    spec: LaunchSpec, options: DockerOptions, *, cpus: int
) -> dict[str, Any]:
    """The SDK's arguments to create a container, without its image.

    Args:
        cpus: How many the engine has: it refuses a container with more.
    """
    memory = f"{spec.memory_mb}m"
    return {
        "entrypoint": list(spec.entrypoint) or None,
        "command": list(spec.cmd) or None,
        "environment": dict(spec.env),
        "user": spec.user or options.user or None,
        "labels": _labels(spec),
        "init": True,
        # The same limit with swap as without: no swap.
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": min(spec.cpus, cpus) * _NANO,
        "network_mode": options.network,
        "pid_mode": options.pids or None,
        "volumes": _binds(options, spec.socket),
        # The output is copied as it comes; the engine need not keep it too.
        "log_config": {"Type": "none"},
        **(_confinement(spec, options) if options.confined else {}),
    }


def packed(files: Sequence[GuestFile]) -> bytes:
    """Files as a tar archive; the engine creates missing folders."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode = len(file.content), file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return whole.getvalue()


def _confinement(spec: LaunchSpec, options: DockerOptions) -> dict[str, Any]:
    """Options that take rights away which a well-made image does not need.

    The engine refuses to put files into a container with a read-only root, and to mount
    two things at one path.
    """
    size = max(1, spec.memory_mb // 2)
    tmpfs = {_TMP: f"rw,exec,nosuid,nodev,mode=1777,size={size}m"}
    is_bound = _TMP in map(str, (*options.mounts, *options.writable))
    return {
        "read_only": not spec.files,
        "tmpfs": {} if is_bound else tmpfs,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
    }


def _labels(spec: LaunchSpec) -> dict[str, str]:
    return {
        **{f"metadata.{name}": value for name, value in spec.metadata.items()},
        MACHINE_LABEL: spec.machine_id,
        f"{_LABEL}app": spec.app,
        OWNER_LABEL: str(Owner.current()),
    }


def _binds(options: DockerOptions, socket: str) -> dict[str, dict[str, str]]:
    """The mounts; a socket that is mounted read-only can still be used."""
    paths = {str(path): str(path) for path in options.mounts}
    if socket:
        paths[socket] = MACHINE_SOCKET
    readable = {path: {"bind": there, "mode": "ro"} for path, there in paths.items()}
    writable = {
        str(path): {"bind": str(path), "mode": "rw"} for path in options.writable
    }
    return {**readable, **writable}
