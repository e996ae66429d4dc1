"""What a machine boots with: its command, environment and files.

Source: "The Machine runtime environment" (variables); "Machine config", `init`,
`processes`, `files`; "Fly Launch configuration" (secrets override `env`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.machine_config import decoded
from worker_lib.emulator.runtimes import GuestFile, LaunchSpec
from worker_lib.emulator.schema import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.emulator.state import Machine

_DEFAULT_MODE = 0o644


def launch_spec(machine: Machine, *, socket: str) -> LaunchSpec:
    """Everything a runtime needs to boot a machine.

    Args:
        machine: Its config says what to run; its secrets override the config's `env`.
        socket: Path of the app's machine socket; "": none.
    """
    config, process = machine.config, _process(machine.config)
    env = {**config["env"], **process.get("env", {}), **_references(machine, process)}
    env |= _secrets(machine.secrets, process)
    entrypoint, cmd = command(config)
    return LaunchSpec(
        machine_id=machine.id,
        app=machine.app,
        image=config["image"],
        entrypoint=entrypoint,
        cmd=cmd,
        user=process.get("user") or "",
        env=env | fly_variables(machine),
        files=tuple(_files(config, machine.secrets)),
        socket=socket,
        metadata=config["metadata"],
        cpus=config["guest"]["cpus"],
        memory_mb=config["guest"]["memory_mb"],
    )


def command(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The entrypoint and the arguments of the main process; empty: the image's.

    `init.exec` overrides `init.entrypoint` with `init.cmd`, these override the first of
    `processes`, and that overrides the image's command.
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
    """An address in the format of Fly's private network; nothing listens there.

    Source: "Private networking": eight groups below fdaa::/16, the fourth `a7b`.
    """
    groups = [machine_id[at : at + 4] for at in range(0, len(machine_id), 4)]
    address = ipaddress.IPv6Address(
        ":".join(["fdaa:0", groups[0], "a7b", *groups[1:], "2"])
    )
    return address.compressed


def check_secrets(config: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Refuse a config that needs a missing secret, or one for a file without base64.

    Raises:
        ApiError: 400; the text names the field and the secret.
    """
    for at, file in enumerate(config.get("files") or ()):
        if not file.get("raw_value") and file.get("secret_name"):
            where = f"config.files[{at}].secret_name"
            _check_base64(where, file["secret_name"], secrets)
    for at, secret in enumerate(_process(config).get("secrets") or ()):
        name = secret.get("name") or secret["env_var"]
        if name not in secrets:
            raise invalid(
                f"config.processes[0].secrets[{at}]",
                f'names "{name}", which is not a secret',
            )


def _check_base64(where: str, name: str, secrets: Mapping[str, str]) -> None:
    if name not in secrets:
        raise invalid(where, f'names "{name}", which is not a secret of the app')
    try:
        decoded(secrets[name])
    except ValueError as exc:
        raise invalid(where, f'names "{name}", which does not hold base64') from exc


def _secrets(
    secrets: Mapping[str, str], process: Mapping[str, Any]
) -> Mapping[str, str]:
    """The secrets in a process's environment: those that it names, else all.

    Source: fly-go, machine_types.go (`MachineProcess.Secrets`, `IgnoreAppSecrets`).
    """
    if not process.get("secrets"):
        return {} if process.get("ignore_app_secrets") else secrets
    return {
        one["env_var"]: secrets[one.get("name") or one["env_var"]]
        for one in process["secrets"]
    }


def _references(machine: Machine, process: Mapping[str, Any]) -> dict[str, str]:
    """The variables of `env_from`: fields of the machine itself."""
    fields = {
        "id": machine.id,
        "version": machine.instance_id,
        "app_name": machine.app,
        "private_ip": private_ip(machine.id),
        "region": machine.region,
        "image": machine.config["image"],
    }
    return {
        one["env_var"]: fields[one["field_ref"]]
        for one in process.get("env_from") or ()
    }


def _files(
    config: Mapping[str, Any], secrets: Mapping[str, str]
) -> Iterator[GuestFile]:
    for file in config.get("files") or ():
        encoded = file.get("raw_value") or secrets.get(file.get("secret_name"), "")
        yield GuestFile(
            path="/".join(_segments(file["guest_path"])),
            content=decoded(encoded),
            mode=file.get("mode") or _DEFAULT_MODE,
        )


def _segments(guest_path: str) -> list[str]:
    return [one for one in guest_path.split("/") if one not in ("", ".", "..")]


def _process(config: Mapping[str, Any]) -> dict[str, Any]:
    processes = config.get("processes") or [{}]
    return processes[0] or {}
