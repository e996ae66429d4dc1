"""What a machine finds when it boots: its command, environment and files.

Source: "The Machine runtime environment" (variables); "Machine config", `init`,
`processes`, `files`; "Fly Launch configuration" (secrets override `env`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.runtimes import GuestFile, LaunchSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.emulator.state import App, Machine

_DEFAULT_MODE = 0o644


def launch_spec(machine: Machine, app: App, *, door: str) -> LaunchSpec:
    """Everything a runtime needs to boot a machine.

    Args:
        machine: Its config says what to run.
        app: Its secrets override the config's `env`.
        door: Path of the socket that leads to the API.
    """
    config, process = machine.config, _process(machine.config)
    env = {**config["env"], **process.get("env", {})}
    if not process.get("ignore_app_secrets"):
        env |= app.secrets
    entrypoint, cmd = command(config)
    return LaunchSpec(
        machine_id=machine.id,
        app=machine.app,
        image=config["image"],
        entrypoint=entrypoint,
        cmd=cmd,
        user=process.get("user") or "",
        env=env | fly_variables(machine),
        files=tuple(_files(config, app)),
        door=door,
        metadata=config["metadata"],
        cpus=config["guest"]["cpus"],
        memory_mb=config["guest"]["memory_mb"],
    )


def command(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The entrypoint and the other words of the main process; empty: the image's.

    `init.exec` beats `init.entrypoint` with `init.cmd`, which beat the first of
    `processes`, which beats the image's own command.
    """
    for source in (config.get("init") or {}, _process(config)):
        if source.get("exec"):
            return list(source["exec"]), []
        entrypoint, cmd = source.get("entrypoint") or [], source.get("cmd") or []
        if entrypoint or cmd:
            return list(entrypoint), list(cmd)
    return [], []


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


def _files(config: Mapping[str, Any], app: App) -> Iterator[GuestFile]:
    for file in config.get("files") or ():
        encoded = file.get("raw_value") or app.secrets.get(file.get("secret_name"), "")
        yield GuestFile(
            path="/".join(_steps(file["guest_path"])),
            content=base64.b64decode(encoded),
            mode=file.get("mode") or _DEFAULT_MODE,
        )


def _steps(guest_path: str) -> list[str]:
    return [step for step in guest_path.split("/") if step not in ("", ".", "..")]


def _process(config: Mapping[str, Any]) -> dict[str, Any]:
    processes = config.get("processes") or [{}]
    return processes[0] or {}
