"""Checks what requests say beside a machine's config: names, times, versions.

Source: the OpenAPI file, `CreateMachineRequest`, `UpdateMachineRequest`,
`StopRequest`, `MachineExecRequest`, `CreateAppRequest`; fly-go, machine_types.go.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults.rule import Target
from worker_lib.emulator.machine_config import whole_guest
from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.schema import (
    anything,
    flag,
    grace,
    invalid,
    signal_name,
    table,
    text,
    texts,
    variable,
    whole,
)
from worker_lib.emulator.values import query_seconds, signal_number
from worker_lib.fly.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_NAME = 63
_MAX_LEASE = 365 * 24 * 3600
_MAX_EXEC_TIMEOUT = 24 * 3600
_EXEC_TIMEOUT = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_APP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")

_LAUNCH = table(
    name=text,
    region=text,
    config=anything,
    skip_launch=flag,
    skip_service_registration=flag,
    skip_secrets=flag,
    min_secrets_version=whole(),
    lease_ttl=whole(0, _MAX_LEASE),
    lsvd=flag,
    current_version=text,
)
_LEASE = table(ttl=whole(1, _MAX_LEASE), description=text)
_STOP = table(signal=signal_name, timeout=grace)
_EXEC = table(
    command=texts,
    cmd=text,
    stdin=text,
    timeout=whole(0, _MAX_EXEC_TIMEOUT),
    container=text,
    machine=flag,
)
_APP = table(org_slug=text, network=text, app_role_id=text, enable_subdomains=flag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to run in a machine.

    Attributes:
        timeout: Seconds.
    """

    words: list[str]
    stdin: str
    timeout: float


def checked_launch(body: dict[str, Any]) -> dict[str, Any]:
    """What a create or an update says beside its config, which is left as it is.

    Raises:
        ApiError: 400; the text names the field.
    """
    return _table_of(_LAUNCH, body)


def checked_lease(body: dict[str, Any]) -> dict[str, Any]:
    """The `ttl` in seconds and the `description` of a lease.

    Raises:
        ApiError: 400; the text names the field.
    """
    return _table_of(_LEASE, body)


def checked_stop(body: dict[str, Any]) -> tuple[int | None, float | None]:
    """The signal and the seconds of grace of a stop; None where it does not say.

    Raises:
        ApiError: 400; the text names the field.

    Source: fly-go, machine_types.go: its `StopMachineInput` always sends a timeout,
    zero (`"0s"`) if its caller gave none.
    """
    stop = _table_of(_STOP, body)
    number = signal_number(stop["signal"]) if "signal" in stop else None
    return number, stop.get("timeout")


def query_grace(text: str) -> float | None:
    """The seconds of grace in a query; None for zero and for nothing.

    Raises:
        ApiError: 400, it is no duration.
    """
    if text.isdecimal():
        return query_seconds(text) or None
    seconds: float | None = grace(text, "timeout") if text else None
    return seconds


def checked_exec(body: dict[str, Any]) -> Command:
    """The command of an exec.

    Raises:
        ApiError: 400; the text names the field.
    """
    given = _table_of(_EXEC, body)
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


def checked_app(body: dict[str, Any]) -> tuple[str, str, str]:
    """The name, organisation and network of an app that is asked for.

    Raises:
        ApiError: 400 or 422.
    """
    name = checked_app_name(body.get("name") or body.get("app_name"))
    rest = _table_of(_APP, body)
    return name, rest.get("org_slug", ""), rest.get("network", "")


def checked_secrets(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Secrets by name, each fit for an environment; None removes one.

    Raises:
        ApiError: 400; the text names the secret, never its value.
    """
    checked: dict[str, str | None] = {}
    for name, value in values.items():
        variable(name, "the name of a secret")
        checked[name] = None if value is None else text(value, f"the secret {name}")
    return checked


def checked_metadata(values: Any) -> dict[str, str | None]:
    """Metadata by key; None removes one.

    Raises:
        ApiError: 400; the text names the key.
    """
    if not isinstance(values, dict):
        raise invalid("metadata", "must be an object")
    return {
        text(key, "a key of metadata"): (
            None if value is None else text(value, f"metadata.{key}.value")
        )
        for key, value in values.items()
    }


def checked_name(name: str) -> str:
    """A machine's name.

    Fly does not publish length and characters; these are what a host name may be.

    Raises:
        ApiError: 400, not such a name.
    """
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise ApiError(
            400,
            f'invalid_argument: name "{name[:80]}" must be 1 to {_MAX_NAME} letters, '
            "digits, dashes or underscores",
        )
    return name


def checked_app_name(name: object) -> str:
    """The name of an app.

    Raises:
        ApiError: 422, not such a name.

    Source: "Apps", app names.
    """
    if not isinstance(name, str) or not _APP_NAME.fullmatch(name):
        raise ApiError(
            422,
            "Validation failed: Name may contain only numbers, lowercase letters and "
            "dashes",
        )
    return name


def requested_target(body: dict[str, Any]) -> Target:
    """What a request to create asks for, as far as it is well-formed."""
    config, name = body.get("config"), str(body.get("name") or "")
    try:
        guest = whole_guest(config if isinstance(config, dict) else {})
    except ApiError:
        return Target(name=name)
    size = Guest(guest["cpu_kind"], guest["cpus"], guest["memory_mb"]).name
    return Target(size=size, name=name)


def problems_of_app_names(names: tuple[str, ...]) -> list[str]:
    """What is wrong with apps that are to exist from the start."""
    problems = []
    for name in names:
        try:
            checked_app_name(name)
        except ApiError as exc:
            problems.append(f"app {name[:80]!r}: {exc}")
    return problems


def _table_of(check: Any, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = check(body, "")
    return found


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise invalid("cmd", f"cannot be split into words: {exc}") from exc
