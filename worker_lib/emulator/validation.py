"""Checks a machine's config and name before anything is done with them.

Source: the OpenAPI file, `fly.MachineConfig` and its parts; "Machine restart
policy"; "Fly Launch configuration", kill_timeout (at most 300 s).
"""

from __future__ import annotations

import base64
import binascii
import copy
import re
from typing import Any

from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.sight import Subject
from worker_lib.emulator.values import go_duration, seconds, signal_number
from worker_lib.errors import ConfigError
from worker_lib.guest import Guest

MAX_STOP_TIMEOUT = 300.0
_MAX_NAME = 63
_POLICIES = ("no", "always", "on-failure", "spot-price")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_APP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,61}")


def checked_config(raw: object) -> dict[str, Any]:
    """A copy of a machine's config, checked, with its guest filled in.

    Raises:
        ApiRefusal: 400 or 422; the text names the field and what is valid.
    """
    config = copy.deepcopy(_table(raw, "config"))
    if not isinstance(config.get("image"), str) or not config["image"]:
        raise ApiRefusal(400, "invalid_argument: config.image is required")
    config["guest"] = _guest(config)
    config["env"] = _words(config.get("env"), "config.env")
    config["metadata"] = _words(config.get("metadata"), "config.metadata")
    config["init"] = _command(config.get("init"), "config.init")
    for index, process in enumerate(_list(config.get("processes"), "config.processes")):
        _command(process, f"config.processes[{index}]")
    for index, file in enumerate(_list(config.get("files"), "config.files")):
        _check_file(_table(file, f"config.files[{index}]"), index)
    _check_restart(_table(config.get("restart"), "config.restart"))
    if config.get("stop_config"):
        config["stop_config"] = _stop_config(config["stop_config"])
    return config


def checked_name(name: object) -> str:
    """A machine's name.

    Fly does not publish length and characters; these are what a host name may be.

    Raises:
        ApiRefusal: 400, not such a name.
    """
    text = str(name)
    if len(text) > _MAX_NAME or not _NAME.fullmatch(text):
        raise ApiRefusal(
            400,
            f'invalid_argument: name "{text[:80]}" must be 1 to {_MAX_NAME} letters, '
            "digits, dashes or underscores",
        )
    return text


def checked_app_name(name: object) -> str:
    """The name of an app.

    Raises:
        ApiRefusal: 422, not such a name.

    Source: "Apps", app names.
    """
    text = str(name or "")
    if not _APP_NAME.fullmatch(text):
        raise ApiRefusal(
            422,
            "Validation failed: Name may contain only numbers, lowercase letters and "
            "dashes",
        )
    return text


def wanted_subject(body: dict[str, Any]) -> Subject:
    """Whom a request to create asks for, as far as it is well-formed."""
    config = body.get("config")
    try:
        guest = _guest(config if isinstance(config, dict) else {})
    except ApiRefusal:
        return Subject(name=str(body.get("name") or ""))
    size = Guest(guest["cpu_kind"], guest["cpus"], guest["memory_mb"]).name
    return Subject(size=size, name=str(body.get("name") or ""))


def _guest(config: dict[str, Any]) -> dict[str, Any]:
    raw = dict(_table(config.get("guest"), "config.guest"))
    size = raw.pop("size", None) or config.get("size")
    try:
        guest = _sized(raw, str(size)) if size else _counted(raw)
    except ConfigError as exc:
        raise ApiRefusal(400, f"invalid config.guest: {exc}") from exc
    return {**raw, **guest.as_config()}


def _sized(raw: dict[str, Any], size: str) -> Guest:
    memory = raw.get("memory_mb")
    return Guest.parse(size, memory_mb=None if memory is None else _count(memory))


def _counted(raw: dict[str, Any]) -> Guest:
    kind = raw.get("cpu_kind") or "shared"
    cpus = _count(raw.get("cpus") or 1)
    least = (2048 if kind == "performance" else 256) * cpus
    memory = _count(raw.get("memory_mb") or least)
    smallest = Guest(str(kind), cpus, least)
    if memory < smallest.memory_mb:
        raise ApiRefusal(
            400, f"invalid config.guest.memory_mb, minimum required {least} MiB"
        )
    return Guest(smallest.cpu_kind, cpus, memory)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiRefusal(400, f"invalid config.guest: {value!r} is not a whole number")
    return value


def _check_restart(restart: dict[str, Any]) -> None:
    policy = restart.get("policy") or "on-failure"
    if policy not in _POLICIES:
        raise ApiRefusal(
            400,
            f'invalid_argument: unknown restart policy "{policy}"; '
            f"valid are {', '.join(_POLICIES)}",
        )


def _stop_config(raw: object) -> dict[str, Any]:
    stop = dict(_table(raw, "config.stop_config"))
    if stop.get("signal"):
        signal_number(stop["signal"])
    if stop.get("timeout"):
        timeout = seconds(stop["timeout"])
        if timeout > MAX_STOP_TIMEOUT:
            raise ApiRefusal(
                400,
                "invalid_argument: config.stop_config.timeout must be at most "
                f"{MAX_STOP_TIMEOUT:g}s",
            )
        stop["timeout"] = go_duration(timeout)
    return stop


def _command(raw: object, where: str) -> dict[str, Any]:
    table = _table(raw, where)
    for key in ("exec", "entrypoint", "cmd"):
        words = _list(table.get(key), f"{where}.{key}")
        if not all(isinstance(word, str) for word in words):
            raise ApiRefusal(400, f"invalid_argument: {where}.{key} must hold strings")
    return table


def _check_file(file: dict[str, Any], index: int) -> None:
    where = f"config.files[{index}]"
    if not str(file.get("guest_path", "")).startswith("/"):
        raise ApiRefusal(
            400, f"invalid_argument: {where}.guest_path must be an absolute path"
        )
    try:
        base64.b64decode(file.get("raw_value") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as exc:
        raise ApiRefusal(
            400, f"invalid_argument: {where}.raw_value must be base64"
        ) from exc


def _table(raw: object, where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ApiRefusal(400, f"invalid_argument: {where} must be an object")
    return raw


def _list(raw: object, where: str) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise ApiRefusal(400, f"invalid_argument: {where} must be a list")
    return raw


def _words(raw: object, where: str) -> dict[str, str]:
    table = _table(raw, where)
    if not all(isinstance(value, str) for value in table.values()):
        raise ApiRefusal(
            400, f"invalid_argument: the values of {where} must be strings"
        )
    return table
