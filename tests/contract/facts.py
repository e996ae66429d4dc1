"""What the Machines API has, as far as this project touches it, as data.

Every operation with what may be sent to it and what comes back, kept by hand and
checked against Fly's OpenAPI file 1.0 when it was written; a `+` marks what is not in
there but in Fly's guide or its own Go client. A difference between this project and
Fly has to be written down here to pass the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

Shape: TypeAlias = "dict[str, Any] | list[Any] | None"
"""Fields with their shapes, a list of one shape, or None for anything."""


def fields(words: str, **nested: Shape) -> dict[str, Any]:
    """Return a shape: plain fields by their names, and those with fields of theirs."""
    return dict.fromkeys(words.replace("+", "").split()) | nested


GUEST = fields(
    "cpu_kind cpus memory_mb +max_memory_mb gpu_kind gpus host_dedication_id "
    "kernel_args persist_rootfs"
)
COMMAND = "cmd entrypoint exec"
CONFIG = fields(
    "auto_destroy cache_drive checks containers disable_machine_autostart dns env "
    "image metadata metrics mounts rootfs schedule services size standbys statics "
    "+volumes +spot",
    guest=GUEST,
    init=fields(f"{COMMAND} kernel_args swap_size_mb tty"),
    restart=fields("gpu_bid_price max_retries policy"),
    stop_config=fields("signal timeout"),
    processes=[fields(f"{COMMAND} env env_from ignore_app_secrets secrets user +name")],
    files=[fields("guest_path image_config mode raw_value secret_name")],
)
EXIT = fields(
    "+exit_code +exited_at +guest_exit_code +guest_signal +oom_killed "
    "+requested_stop +restarting +signal"
)
EVENT = fields(
    "id source status timestamp type",
    request=fields("+restart_count +error", exit_event=EXIT),
)
MACHINE = fields(
    "checks created_at host_status id instance_id name nonce private_ip region state "
    "updated_at +version +cordoned",
    config=CONFIG,
    incomplete_config=CONFIG,
    events=[EVENT],
    image_ref=fields("digest labels registry repository tag"),
)
LEASE = fields("description expires_at nonce owner version")
APP = fields(
    "id internal_numeric_id machine_count name network status volume_count",
    organization=fields("name slug internal_numeric_id"),
)
SECRET = fields("created_at digest name updated_at value")
VERSION = fields("version Version")
PROCESS = fields("command cpu directory pid rss rtime stime listen_sockets")
REGION = fields(
    "code deprecated gateway_available geo_region latitude longitude name "
    "requires_paid_plan"
)
REGIONS = fields("nearest +Nearest", regions=[REGION], Regions=[REGION])
TOKEN = fields(
    "apps org_slug organization restricted_to_machine source_machine_id token_id user"
)
ORG_MACHINE = fields(
    "app_name created_at id instance_id name private_ip region state updated_at "
    "version",
    config=fields("guest image metadata"),
)
ORG_MACHINES = fields(
    "error_regions last_machine_id last_updated_at next_cursor",
    machines=[ORG_MACHINE],
)
OK = fields("+ok")
ERROR = fields("details error status +message")
ERRORS = frozenset({*range(400, 405), 408, 409, 411, 412, 413, 421, 422, 429})
CREATE = fields(
    "lease_ttl lsvd min_secrets_version name region skip_launch skip_secrets "
    "skip_service_registration",
    config=CONFIG,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One of them: what may be sent, and a success."""

    method: str
    path: str
    query: str = ""
    body: Shape = None
    status: int = 200
    reply: Shape = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _of(line: str, query: str = "", **more: Any) -> Operation:
    method, path = line.split()
    return Operation(method=method, path=path, query=query.replace("+", ""), **more)


_M = "/apps/{app}/machines/{id}"
_LIST = "include_deleted region state summary"
_NEW_METADATA = fields("machine_version metadata updated_at")

OPERATIONS = (
    _of("GET /apps", "org_slug app_role", reply=fields("total_apps", apps=[APP])),
    _of(
        "POST /apps",
        "+wait",
        body=fields("enable_subdomains name +app_name network org_slug +app_role_id"),
        status=201,
        reply=APP | fields("+created_at"),
    ),
    _of("GET /apps/{app}", reply=APP),
    _of("DELETE /apps/{app}", "+force", status=202),
    _of("GET /apps/{app}/machines", f"{_LIST} +metadata.", reply=[MACHINE]),
    _of("POST /apps/{app}/machines", body=CREATE, reply=MACHINE),
    _of(f"GET {_M}", reply=MACHINE),
    _of(f"POST {_M}", body=CREATE | fields("current_version"), reply=MACHINE),
    _of(f"DELETE {_M}", "force +kill", reply=OK),
    _of(f"POST {_M}/cordon", reply=OK),
    _of(f"GET {_M}/events", "limit", reply=[EVENT]),
    _of(
        f"POST {_M}/exec",
        body=fields("cmd command container stdin timeout"),
        reply=fields("exit_code exit_signal stderr stdout"),
    ),
    _of(f"GET {_M}/lease", reply=LEASE | fields("+status", data=LEASE)),
    _of(
        f"POST {_M}/lease",
        "+ttl",
        body=fields("description ttl"),
        status=201,
        reply=LEASE | fields("+status", data=LEASE),
    ),
    _of(f"DELETE {_M}/lease", reply=OK),
    _of(f"GET {_M}/metadata"),
    _of(f"PUT {_M}/metadata", body=_NEW_METADATA, status=204),
    _of(f"PATCH {_M}/metadata", body=_NEW_METADATA, status=204),
    _of(f"GET {_M}/metadata/{{key}}", reply=fields("value")),
    _of(f"POST {_M}/metadata/{{key}}", body=fields("updated_at value"), status=204),
    _of(f"DELETE {_M}/metadata/{{key}}", status=204),
    _of(f"GET {_M}/ps", "sort_by order", reply=[PROCESS]),
    _of(f"POST {_M}/restart", "timeout signal +force_stop", reply=OK),
    _of(f"POST {_M}/signal", body=fields("signal"), reply=OK),
    _of(f"POST {_M}/start", reply=fields("+previous_state +migrated +new_host")),
    _of(f"POST {_M}/stop", body=fields("signal timeout"), reply=OK),
    _of(f"POST {_M}/suspend", reply=OK),
    _of(f"POST {_M}/uncordon", reply=OK),
    _of(f"GET {_M}/versions", reply=[{"version": None, "user_config": CONFIG}]),
    _of(
        f"GET {_M}/wait",
        "version instance_id from_event_id timeout state",
        reply=fields("event_id ok state version"),
    ),
    _of(
        "GET /apps/{app}/secrets",
        "min_version show_secrets",
        reply={"secrets": [SECRET]},
    ),
    _of(
        "POST /apps/{app}/secrets",
        body=fields("values"),
        reply=VERSION | {"secrets": [SECRET]},
    ),
    _of("GET /apps/{app}/secrets/{key}", "min_version show_secrets", reply=SECRET),
    _of(
        "POST /apps/{app}/secrets/{key}",
        body=fields("value"),
        status=201,
        reply=SECRET | VERSION,
    ),
    _of("DELETE /apps/{app}/secrets/{key}", reply=VERSION),
    _of(
        "GET /orgs/{org}/machines",
        f"{_LIST} updated_after cursor limit",
        reply=ORG_MACHINES,
    ),
    _of("GET /platform/regions", reply=REGIONS),
    _of("GET /tokens/current", reply={"tokens": [TOKEN]}),
)

LEFT_OUT = """
GET /apps/{app}/certificates
POST /apps/{app}/deploy_token
GET /apps/{app}/ip_assignments
GET /apps/{app}/machines/{id}/memory
GET /apps/{app}/secretkeys
GET /apps/{app}/volumes
GET /orgs/{org}/volumes
POST /platform/placements
POST /tokens/authenticate
POST /tokens/authorize
POST /tokens/kms
POST /tokens/oidc
""".strip().splitlines()


def operation_of(method: str, path: str) -> Operation | None:
    """Return the operation of a path from `/v1` on, if there is one."""
    steps = path.removeprefix("/v1").split("/")
    for operation in OPERATIONS:
        known = operation.path.split("/")
        if operation.method == method and len(known) == len(steps):
            pairs = zip(known, steps, strict=True)
            if all(word.startswith("{") or word == step for word, step in pairs):
                return operation
    return None


def misfits(value: Any, shape: Shape, where: str = "") -> list[str]:
    """Return what a value has that its shape has not."""
    if shape is None or value is None:
        return []
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [m for item in value for m in misfits(item, shape[0], f"{where}[]")]
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    unknown = [f"{where}.{name}" for name in value if name not in shape]
    inner = [
        misfit
        for name in value.keys() & shape.keys()
        for misfit in misfits(value[name], shape[name], f"{where}.{name}")
    ]
    return unknown + inner


def lacks(value: Any, shape: Shape, where: str = "") -> list[str]:
    """Return the plain fields that a shape has and a value has not."""
    if isinstance(shape, list):
        return lacks(value[0], shape[0], f"{where}[]") if value else [f"{where} is []"]
    return [f"{where}.{name}" for name in shape or {} if name not in value]


def odd_request(method: str, url: str, body: Any) -> list[str]:
    """Return what a request has that its operation does not take."""
    parts = urlsplit(url)
    operation = operation_of(method, parts.path)
    if operation is None:
        return [f"{method} {parts.path} is unknown"]
    known = operation.query.split()
    odd = [
        f"{operation}?{name}"
        for name in parse_qs(parts.query)
        if name not in known and f"{name.split('.')[0]}." not in known
    ]
    if operation.body is None:
        return odd + ([f"{operation} takes no body"] if body else [])
    return odd + misfits(body, operation.body, f"{operation}: body")


def odd_reply(method: str, url: str, status: int, body: Any) -> list[str]:
    """Return what a reply has that its operation does not give."""
    path = urlsplit(url).path
    operation = operation_of(method, path)
    if status >= 400:
        odd = [] if status in ERRORS or status >= 500 else [f"{path}: {status}"]
        return odd + misfits(body, ERROR, f"{path}: error")
    if operation is None:
        return [f"{method} {path} is unknown"]
    if status != operation.status:
        return [f"{operation}: {status} and not {operation.status}"]
    return misfits(body, operation.reply, f"{operation}: reply")
