"""The config of a machine: every field with its type, and what must fit together.

Source: the OpenAPI file, `fly.MachineConfig` and its parts; fly-go, machine_types.go
(`spot`, `volumes`, numbers for `persist_rootfs`); "Machine restart policy"; "Fly
Launch configuration", kill_timeout (at most 300 s).

What the emulator cannot do is refused if a machine would be another one without it
(containers, volumes, GPUs, a second process); services, checks, DNS and a schedule
are checked, shown, and have no effect.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.schema import (
    Check,
    anything,
    duration,
    flag,
    invalid,
    list_of,
    map_of,
    number,
    one_of,
    signal_name,
    table,
    text,
    texts,
    variable,
    variables,
    whole,
)
from worker_lib.emulator.values import go_duration, seconds
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest

MAX_STOP_TIMEOUT = 300.0
_MODES = 0o7777
_PORT = whole(0, 65535)
_COUNT = whole()
_PERSIST = ("none", "never", "restart", "always")
_FIELD_REFS = ("id", "version", "app_name", "private_ip", "region", "image")


def _persist(value: Any, where: str) -> str | None:
    """A word, or its number as the old protocol had it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = dict(enumerate(_PERSIST)).get(value, "?")
    found: str | None = one_of(*_PERSIST)(value, where)
    return found if found != "none" else None


def _autostop(value: Any, where: str) -> bool | str:
    """`off` and `stop` as booleans: so Fly shows them, for old clients."""
    if isinstance(value, bool):
        return value
    word = one_of("off", "stop", "suspend")(value, where)
    return "suspend" if word == "suspend" else word == "stop"


def _stop_timeout(value: Any, where: str) -> str:
    shown = duration(value, where)
    if seconds(shown) > MAX_STOP_TIMEOUT:
        longest = go_duration(int(MAX_STOP_TIMEOUT) * 10**9)
        raise invalid(where, f"must be at most {longest} ({MAX_STOP_TIMEOUT:g}s)")
    return shown


def _unsupported(what: str) -> Check:
    """Nothing, or an empty list: the emulator has no such thing."""

    def check(value: Any, where: str) -> None:
        if value:
            raise ApiError(400, f"invalid_argument: {where}: the emulator {what}")

    return check


def _absolute_path(value: Any, where: str) -> str:
    path = text(value, where)
    if not path.startswith("/") or path.endswith(("/", "/.", "/..")):
        raise invalid(where, "must be an absolute path of a file")
    return path


def _base64(value: Any, where: str) -> str:
    encoded = text(value, where)
    try:
        decoded(encoded)
    except ValueError as exc:
        raise invalid(where, "must be base64") from exc
    return encoded


def _file(value: Any, where: str) -> dict[str, Any]:
    file: dict[str, Any] = _FILE(value, where)
    if "raw_value" not in file and not file.get("secret_name"):
        raise invalid(where, "needs raw_value or secret_name")
    return file


def _mounts(value: Any, where: str) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = list_of(_MOUNT)(value, where)
    if len(mounts) > 1:
        raise ApiError(400, f"invalid {where}, only 1 volume supported")
    for mount in mounts:
        name = mount.get("volume") or mount.get("name") or ""
        raise ApiError(
            400,
            f'invalid_argument: {where}[0].volume: volume "{name[:80]}" not found: '
            "the emulator has no volumes",
        )
    return mounts


def _processes(value: Any, where: str) -> list[dict[str, Any]]:
    processes: list[dict[str, Any]] = list_of(_PROCESS)(value, where)
    if len(processes) > 1:
        raise ApiError(
            400, f"invalid_argument: {where}: the emulator runs one for each machine"
        )
    return processes


def _whole_guest(value: Any, where: str) -> dict[str, Any]:
    """A guest with all that Fly fills in.

    Raises:
        ApiError: 400, Fly sells none such.
    """
    raw: dict[str, Any] = _GUEST(value, where)
    size = raw.pop("size", None)
    try:
        guest = _sized(raw, size) if size else _counted(raw, where)
    except ConfigError as exc:
        raise ApiError(400, f"invalid {where}: {exc}") from exc
    return {**raw, **guest.as_config()}


def _sized(raw: dict[str, Any], size: str) -> Guest:
    return Guest.parse(size, memory_mb=raw.get("memory_mb"))


def _counted(raw: dict[str, Any], where: str) -> Guest:
    kind, cpus = raw.get("cpu_kind") or "shared", raw.get("cpus") or 1
    least = (2048 if kind == "performance" else 256) * cpus
    smallest = Guest(kind, cpus, least)
    memory = raw.get("memory_mb") or least
    if memory < smallest.memory_mb:
        raise ApiError(400, f"invalid {where}.memory_mb, minimum required {least} MiB")
    return Guest(kind, cpus, memory)


_HEADERS = list_of(table(name=text, values=texts))
_SERVICE_CHECK: dict[str, Check] = {
    "port": _PORT,
    "type": text,
    "interval": duration,
    "timeout": duration,
    "grace_period": duration,
    "method": text,
    "path": text,
    "protocol": text,
    "tls_skip_verify": flag,
    "tls_server_name": text,
    "headers": _HEADERS,
}
_COMMAND: dict[str, Check] = {"exec": texts, "entrypoint": texts, "cmd": texts}
_FILE = table(
    "guest_path",
    guest_path=_absolute_path,
    raw_value=_base64,
    secret_name=text,
    image_config=_unsupported("cannot read an image's config"),
    mode=whole(0, _MODES),
)
_GUEST = table(
    cpu_kind=text,
    cpus=_COUNT,
    memory_mb=_COUNT,
    max_memory_mb=_COUNT,
    gpu_kind=_unsupported("has no GPUs"),
    gpus=_unsupported("has no GPUs"),
    host_dedication_id=text,
    kernel_args=texts,
    persist_rootfs=_persist,
    size=text,
)
_INIT = table(**_COMMAND, tty=flag, swap_size_mb=_COUNT, kernel_args=texts)
_MOUNT = table(
    encrypted=flag,
    path=text,
    size_gb=_COUNT,
    volume=text,
    name=text,
    extend_threshold_percent=_COUNT,
    add_size_gb=_COUNT,
    size_gb_limit=_COUNT,
)
_PROCESS = table(
    **_COMMAND,
    name=text,  # in no source of Fly's, but clients that are in use read it back
    user=text,
    env=variables,
    secrets=list_of(table("env_var", env_var=variable, name=text)),
    ignore_app_secrets=flag,
    env_from=list_of(
        table("env_var field_ref", env_var=variable, field_ref=one_of(*_FIELD_REFS))
    ),
)
_PORTS = list_of(
    table(
        port=_PORT,
        start_port=_PORT,
        end_port=_PORT,
        handlers=texts,
        force_https=flag,
        tls_options=table(alpn=texts, versions=texts, default_self_signed=flag),
        http_options=table(
            compress=flag,
            response=table(headers=map_of(anything), pristine=flag),
            h2_backend=flag,
            idle_timeout=_COUNT,
            headers_read_timeout=_COUNT,
            replay_cache=list_of(
                table(
                    path_prefix=text,
                    ttl_seconds=_COUNT,
                    type=one_of("cookie", "header"),
                    name=text,
                    allow_bypass=flag,
                )
            ),
        ),
        proxy_proto_options=table(version=text),
    )
)
_SERVICE = table(
    protocol=text,
    internal_port=_PORT,
    autostop=_autostop,
    autostart=flag,
    min_machines_running=_COUNT,
    ports=_PORTS,
    checks=list_of(table(**_SERVICE_CHECK)),
    concurrency=table(type=text, hard_limit=_COUNT, soft_limit=_COUNT),
    force_instance_key=text,
    force_instance_description=text,
)
_CONFIG = table(
    "image",
    image=text,
    init=_INIT,
    env=variables,
    metadata=map_of(text),
    guest=_GUEST,
    size=text,
    restart=table(
        policy=one_of("no", "always", "on-failure", "spot-price"),
        max_retries=_COUNT,
        gpu_bid_price=number,
    ),
    auto_destroy=flag,
    stop_config=table(signal=signal_name, timeout=_stop_timeout),
    schedule=one_of("hourly", "daily", "weekly", "monthly"),
    files=list_of(_file),
    processes=_processes,
    mounts=_mounts,
    services=list_of(_SERVICE),
    checks=map_of(table(**_SERVICE_CHECK, kind=one_of("informational", "readiness"))),
    metrics=table(port=_PORT, path=text, https=flag),
    statics=list_of(
        table(
            "guest_path url_prefix",
            guest_path=text,
            url_prefix=text,
            tigris_bucket=text,
            index_document=text,
        )
    ),
    dns=table(
        skip_registration=flag,
        nameservers=texts,
        searches=texts,
        options=list_of(table(name=text, value=text)),
        dns_forward_rules=list_of(table(basename=text, addr=text)),
        hostname=text,
        hostname_fqdn=text,
    ),
    standbys=texts,
    rootfs=table(persist=_persist, size_gb=_COUNT),
    cache_drive=table(size_mb=_COUNT),
    spot=table(max_price_fraction=number),
    disable_machine_autostart=flag,
    containers=_unsupported("runs no containers within a machine"),
    volumes=_unsupported("has no volumes"),
)


def checked_config(raw: object) -> dict[str, Any]:
    """A copy of a machine's config as the API keeps it.

    Durations are as Go prints them, the guest is filled in, and `init`, `env` and
    `metadata` are always there.

    Raises:
        ApiError: 400; the text names the field and what is valid.
    """
    config: dict[str, Any] = _CONFIG({} if raw is None else raw, "config")
    for part in ("init", "env", "metadata"):
        config.setdefault(part, {})
    config["guest"] = whole_guest(config)
    return config


def whole_guest(config: dict[str, Any]) -> dict[str, Any]:
    """The guest of a config, or of its old field `size`, with all that Fly fills in.

    Raises:
        ApiError: 400, Fly sells none such.
    """
    raw = config.get("guest") or {}
    if config.get("size") and isinstance(raw, dict) and not raw.get("size"):
        raw = {**raw, "size": config["size"]}
    return _whole_guest(raw, "config.guest")


def decoded(encoded: str) -> bytes:
    """The bytes of a base64 text, which may be in lines: so Go reads it.

    Raises:
        ValueError: it is not base64.
    """
    try:
        return base64.b64decode(encoded.translate({10: None, 13: None}), validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64") from exc
