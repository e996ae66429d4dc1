"""What a machine finds when it boots: its command, environment and files.

Source: "The Machine runtime environment" (variables); "Machine config", `init`,
`processes`, `files`; "Fly Launch configuration" (secrets override `env`).
"""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.runtimes import LaunchSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from worker_lib.emulator.state import App, Machine

DEFAULT_COMMAND = (sys.executable, "-m", "worker_lib.runtime")
_DEFAULT_MODE = 0o644


def launch_spec(
    machine: Machine, app: App, *, base_env: Mapping[str, str], root: Path
) -> LaunchSpec:
    """Everything a runtime needs to boot a machine.

    Args:
        machine: Its config says what to run.
        app: Its secrets override the config's `env`.
        base_env: What the image brings along.
        root: The machine's disk, told to it as `WORKER_LIB_MACHINE_ROOT` if its
            config has files.
    """
    config = machine.config
    env = {**base_env, **config["env"], **_process(config).get("env", {})}
    if not _process(config).get("ignore_app_secrets"):
        env |= app.secrets
    if config.get("files"):
        env["WORKER_LIB_MACHINE_ROOT"] = str(root)
    return LaunchSpec(
        machine_id=machine.id,
        argv=command(config),
        env=env | fly_variables(machine),
        memory_mb=config["guest"]["memory_mb"],
    )


def command(config: Mapping[str, Any]) -> list[str]:
    """The command of the main process.

    `init.exec` beats `init.entrypoint` with `init.cmd`, which beat the first of
    `processes`, which beats the image's own command: the worker.
    """
    for source in (config.get("init") or {}, _process(config)):
        entrypoint, cmd = source.get("entrypoint") or [], source.get("cmd") or []
        if words := source.get("exec") or [*entrypoint, *cmd]:
            return list(words)
    return list(DEFAULT_COMMAND)


def fly_variables(machine: Machine) -> dict[str, str]:
    """The variables that Fly sets in each machine."""
    return {
        "FLY_APP_NAME": machine.app,
        "FLY_MACHINE_ID": machine.id,
        "FLY_ALLOC_ID": machine.id,
        "FLY_MACHINE_VERSION": machine.instance_id,
        "FLY_REGION": machine.region,
        "FLY_PRIVATE_IP": private_ip(machine.id),
        "FLY_PUBLIC_IP": f"2604:1380:{machine.id[:4]}:{machine.id[4:8]}::1",
        "FLY_IMAGE_REF": machine.config["image"],
        "FLY_VM_MEMORY_MB": str(machine.config["guest"]["memory_mb"]),
    }


def private_ip(machine_id: str) -> str:
    """An address of the form of Fly's private network; nothing listens there."""
    parts = (machine_id + "00")[:16]
    return "fdaa:0:" + ":".join(parts[at : at + 4] for at in range(0, 16, 4)) + ":2"


def write_files(config: Mapping[str, Any], app: App, root: Path) -> None:
    """Write `config.files` below the machine's own disk.

    A local process shares this computer's root directory, so nothing is ever written
    at `guest_path` itself: `/etc/x.conf` becomes `<root>/etc/x.conf`.
    """
    for file in config.get("files") or ():
        encoded = file.get("raw_value") or app.secrets.get(file.get("secret_name"), "")
        target = root.joinpath(*_steps(file["guest_path"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(encoded))
        target.chmod(file.get("mode") or _DEFAULT_MODE)


def _steps(guest_path: str) -> list[str]:
    return [step for step in guest_path.split("/") if step not in ("", ".", "..")]


def _process(config: Mapping[str, Any]) -> dict[str, Any]:
    processes = config.get("processes") or [{}]
    return processes[0] or {}
