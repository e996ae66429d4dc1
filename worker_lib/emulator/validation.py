"""Checks of requests beside a machine's config: names, times, versions, secrets.

Each raises `ApiError` 400 (422 for an app's name) with the name of the field, never
with the value of a secret.

Source: the OpenAPI file, `CreateMachineRequest`, `UpdateMachineRequest`,
`StopRequest`, `MachineExecRequest`, `CreateAppRequest`; fly-go, machine_types.go.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults.rule import Target
from worker_lib.emulator.machine_config import complete_guest
from worker_lib.emulator.messages import ApiError, invalid_argument
from worker_lib.emulator.schema import grace, integer, invalid, string, tables, variable
from worker_lib.emulator.values import signal_number
from worker_lib.fly.guest import Guest
from worker_lib.fly.regions import ALIASES, REGIONS, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_NAME = 63
_MAX_LEASE = 365 * 24 * 3600
_EXEC_TIMEOUT, _MAX_EXEC_TIMEOUT = 60, 24 * 3600
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_APP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")
# Fewer nanoseconds than this make no useful grace period: such a number is seconds.
_FEWEST_NANOSECONDS = 1_000_000
_INT64_DIGITS = 19

_CHECKS = tables(
    """
launch name:string region:string config:any skip_launch:boolean
    skip_service_registration:boolean skip_secrets:boolean min_secrets_version:count
    lease_ttl:lease_ttl lsvd:boolean current_version:string
lease ttl:ttl description:string
stop signal:signal timeout:grace
exec command:[string] cmd:string stdin:string timeout:exec_timeout container:string
    machine:boolean
app org_slug:string network:string app_role_id:string enable_subdomains:boolean
""",
    lease_ttl=integer(0, _MAX_LEASE),
    ttl=integer(1, _MAX_LEASE),
    exec_timeout=integer(0, _MAX_EXEC_TIMEOUT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to run in a machine; `timeout` is seconds."""

    words: list[str]
    stdin: str
    timeout: float


def checked(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """The known fields of a request's body, each of its type.

    Args:
        kind: `launch` (create or update; its `config` is not checked here), `lease`,
            `stop`, `exec` or `app`.
        body: As it came.
    """
    found: dict[str, Any] = _CHECKS[kind](body, "")
    return found


def checked_stop(body: dict[str, Any]) -> tuple[int | None, float | None]:
    """The signal of a stop and its grace period in seconds; None where absent.

    Source: fly-go, machine_types.go: its `StopMachineInput` always sends a timeout,
    zero (`"0s"`) if its caller gave none.
    """
    stop = checked("stop", body)
    number = signal_number(stop["signal"]) if "signal" in stop else None
    return number, stop.get("timeout")


def query_grace(text: str) -> float | None:
    """The grace period in a query, in seconds; None for zero and for "".

    The OpenAPI file says that a bare number is seconds; fly-go sends nanoseconds.
    """
    if text.isdecimal() and len(text) <= _INT64_DIGITS:
        number = int(text)
        return (number / 1e9 if number >= _FEWEST_NANOSECONDS else number) or None
    seconds: float | None = grace(text, "timeout") if text else None
    return seconds


def checked_exec(body: dict[str, Any]) -> Command:
    """The command of an exec."""
    given = checked("exec", body)
    if given.get("container"):
        raise invalid("container", "must be empty: a machine has no containers here")
    words = given.get("command") or _split(given.get("cmd", ""))
    if not words or not words[0]:
        raise invalid("command", "must be a list of strings that begins with a program")
    return Command(
        words=words,
        stdin=given.get("stdin", ""),
        timeout=given.get("timeout") or _EXEC_TIMEOUT,
    )


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise invalid("cmd", f"cannot be split into words: {exc}") from exc


def checked_secrets(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Secrets by name, each fit for an environment; None removes one."""
    return {
        variable(name, "the name of a secret"): (
            None if value is None else string(value, f"the secret {name}")
        )
        for name, value in values.items()
    }


def checked_metadata(values: Any) -> dict[str, str | None]:
    """Metadata by key; None removes one."""
    if not isinstance(values, dict):
        raise invalid("metadata", "must be an object")
    return {
        string(key, "a key of metadata"): (
            None if value is None else string(value, f"metadata.{key}.value")
        )
        for key, value in values.items()
    }


def checked_name(name: str) -> str:
    """A machine's name.

    Fly does not publish length and characters; here they are those of a host name.
    """
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise invalid_argument(
            f'name "{name[:80]}" must be 1 to {_MAX_NAME} letters, '
            "digits, dashes or underscores"
        )
    return name


def checked_app_name(name: object) -> str:
    """The name of an app.

    Source: "Apps", app names.
    """
    if not isinstance(name, str) or not _APP_NAME.fullmatch(name):
        raise ApiError(
            422,
            "Validation failed: Name may contain only numbers, lowercase letters and "
            "dashes",
        )
    return name


def checked_regions(wanted: str) -> list[str]:
    """The regions that a `region` parameter allows, in order of preference.

    Args:
        wanted: Comma list of region codes and aliases, such as `lhr,eu,any`.

    Source: "Machine placement".
    """
    found: dict[str, None] = {}
    for word in filter(None, map(str.strip, wanted.split(","))):
        codes = expand(word)
        if not codes:
            valid = ", ".join([*REGIONS, *sorted(ALIASES)])
            raise invalid_argument(f'unknown region "{word}"; valid are {valid}')
        found.update(dict.fromkeys(codes))
    if not found:
        raise invalid_argument(f'region "{wanted}" names no region')
    return list(found)


def requested_target(body: dict[str, Any]) -> Target:
    """What fault rules match the machine of a create request by."""
    config, name = body.get("config"), str(body.get("name") or "")
    try:
        guest = complete_guest(config if isinstance(config, dict) else {})
    except ApiError:
        return Target(name=name)
    size = Guest(guest["cpu_kind"], guest["cpus"], guest["memory_mb"]).name
    return Target(size=size, name=name)
