"""The config of a machine: every field with its type, and what must fit together.

Source: the OpenAPI file, `fly.MachineConfig` and its parts; fly-go, machine_types.go
(`spot`, `volumes`, numbers for `persist_rootfs`); "Machine restart policy"; "Fly
Launch configuration", kill_timeout (at most 300 s). `name` of a process is in no source
of Fly's, but clients that are in use read it back.

What the emulator cannot do is refused if the machine would work differently without it
(containers, volumes, GPUs, a second process); services, checks, DNS and a schedule
are checked, shown, and have no effect. All errors are `ApiError` 400.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from typing import Any

from worker_lib.emulator.messages import ApiError, invalid_argument
from worker_lib.emulator.schema import (
    Check,
    duration,
    integer,
    invalid,
    one_of,
    string,
    tables,
)
from worker_lib.emulator.values import go_duration, seconds
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest

MAX_STOP_TIMEOUT = 300.0
_PERSIST = ("none", "never", "restart", "always")

_TABLES = """
header name:string values:[string]
check port:port type:string interval:duration timeout:duration grace_period:duration
    method:string path:string protocol:string tls_skip_verify:boolean
    tls_server_name:string headers:[header]
named_check &check kind:informational|readiness
command exec:[string] entrypoint:[string] cmd:[string]
file guest_path!:file_path raw_value:base64 secret_name:string image_config:no_image
    mode:file_mode
guest cpu_kind:string cpus:count memory_mb:count max_memory_mb:count gpu_kind:no_gpu
    gpus:no_gpu host_dedication_id:string kernel_args:[string] persist_rootfs:persist
    size:string
init &command tty:boolean swap_size_mb:count kernel_args:[string]
mount encrypted:boolean path:string size_gb:count volume:string name:string
    extend_threshold_percent:count add_size_gb:count size_gb_limit:count
process_secret env_var!:variable name:string
field env_var!:variable field_ref!:id|version|app_name|private_ip|region|image
process &command name:string user:string env:variables secrets:[process_secret]
    ignore_app_secrets:boolean env_from:[field]
tls alpn:[string] versions:[string] default_self_signed:boolean
response headers:{any} pristine:boolean
replay path_prefix:string ttl_seconds:count type:cookie|header name:string
    allow_bypass:boolean
http compress:boolean response:response h2_backend:boolean idle_timeout:count
    headers_read_timeout:count replay_cache:[replay]
proxy version:string
service_port port:port start_port:port end_port:port handlers:[string]
    force_https:boolean tls_options:tls http_options:http proxy_proto_options:proxy
concurrency type:string hard_limit:count soft_limit:count
service protocol:string internal_port:port autostop:autostop autostart:boolean
    min_machines_running:count ports:[service_port] checks:[check]
    concurrency:concurrency force_instance_key:string
    force_instance_description:string
restart policy:no|always|on-failure|spot-price max_retries:count gpu_bid_price:number
stop_config signal:signal timeout:stop_timeout
metrics port:port path:string https:boolean
static guest_path!:string url_prefix!:string tigris_bucket:string index_document:string
dns_option name:string value:string
dns_rule basename:string addr:string
dns skip_registration:boolean nameservers:[string] searches:[string]
    options:[dns_option] dns_forward_rules:[dns_rule] hostname:string
    hostname_fqdn:string
rootfs persist:persist size_gb:count
cache_drive size_mb:count
spot max_price_fraction:number
config image!:string init:init env:variables metadata:{string} guest:guest size:string
    restart:restart auto_destroy:boolean stop_config:stop_config
    schedule:hourly|daily|weekly|monthly files:[file] processes:[process]
    mounts:[mount] services:[service] checks:{named_check} metrics:metrics
    statics:[static] dns:dns standbys:[string] rootfs:rootfs cache_drive:cache_drive
    spot:spot disable_machine_autostart:boolean containers:no_containers
    volumes:no_volumes
"""


def checked_config(raw: object) -> dict[str, Any]:
    """A copy of a machine's config as the API keeps it.

    Durations are as Go prints them, the guest is complete, and `init`, `env` and
    `metadata` are always there.
    """
    config: dict[str, Any] = _CHECKS["config"]({} if raw is None else raw, "config")
    for part in ("init", "env", "metadata"):
        config.setdefault(part, {})
    for at, file in enumerate(config.get("files", ())):
        if "raw_value" not in file and not file.get("secret_name"):
            raise invalid(f"config.files[{at}]", "needs raw_value or secret_name")
    _check_supported(config)
    config["guest"] = complete_guest(config)
    return config


def complete_guest(config: dict[str, Any]) -> dict[str, Any]:
    """The guest of a config, or of its old field `size`, with Fly's defaults."""
    raw, where = config.get("guest") or {}, "config.guest"
    if isinstance(raw, dict):
        raw = {**raw, "size": raw.get("size") or config.get("size")}
    raw = _CHECKS["guest"](raw, where)
    size, memory = raw.pop("size", None), raw.get("memory_mb")
    try:
        kind, cpus = raw.get("cpu_kind") or "shared", raw.get("cpus") or 1
        smallest = Guest.parse(size) if size else Guest.smallest(kind, cpus)
        if memory and memory < smallest.memory_mb:
            least = smallest.memory_mb
            raise ApiError(
                400, f"invalid {where}.memory_mb, minimum required {least} MiB"
            )
        guest = dataclasses.replace(smallest, memory_mb=memory or smallest.memory_mb)
    except ConfigError as exc:
        raise ApiError(400, f"invalid {where}: {exc}") from exc
    return {**raw, **guest.as_config()}


def _check_supported(config: dict[str, Any]) -> None:
    """Refuse volumes and more than one process."""
    if len(config.get("processes", ())) > 1:
        raise _unsupported("config.processes", "runs one for each machine")
    mounts = config.get("mounts", ())
    if len(mounts) > 1:
        raise ApiError(400, "invalid config.mounts, only 1 volume supported")
    for mount in mounts:
        name = mount.get("volume") or mount.get("name") or ""
        what = f'config.mounts[0].volume: volume "{name[:80]}" not found'
        raise _unsupported(what, "has no volumes")


def _unsupported(where: str, what: str) -> ApiError:
    return invalid_argument(f"{where}: the emulator {what}")


def _nothing(what: str) -> Check:
    """An empty value only: the emulator does not have such a thing."""

    def check(value: Any, where: str) -> None:
        if value:
            raise _unsupported(where, what)

    return check


def _persist(value: Any, where: str) -> str | None:
    """A word, or its number as in the old protocol."""
    if type(value) is int:
        value = dict(enumerate(_PERSIST)).get(value, "?")
    found: str | None = one_of(*_PERSIST)(value, where)
    return found if found != "none" else None


def _autostop(value: Any, where: str) -> bool | str:
    """`off` and `stop` as booleans, as Fly shows them to old clients."""
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


def _file_path(value: Any, where: str) -> str:
    path = string(value, where)
    if not path.startswith("/") or path.endswith(("/", "/.", "/..")):
        raise invalid(where, "must be an absolute path of a file")
    return path


def _base64(value: Any, where: str) -> str:
    encoded = string(value, where)
    try:
        decoded(encoded)
    except ValueError as exc:
        raise invalid(where, "must be base64") from exc
    return encoded


def decoded(encoded: str) -> bytes:
    """The bytes of a base64 text, which may be in lines, as Go reads it.

    Raises:
        ValueError: it is not base64.
    """
    try:
        return base64.b64decode(encoded.translate({10: None, 13: None}), validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64") from exc


_CHECKS = tables(
    _TABLES,
    persist=_persist,
    autostop=_autostop,
    stop_timeout=_stop_timeout,
    file_path=_file_path,
    file_mode=integer(0, 0o7777),
    base64=_base64,
    no_image=_nothing("cannot read an image's config"),
    no_gpu=_nothing("has no GPUs"),
    no_containers=_nothing("runs no containers within a machine"),
    no_volumes=_nothing("has no volumes"),
)
