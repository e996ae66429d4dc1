"""Machines, apps and secrets as the API shows them.

Source: the OpenAPI file, `Machine`, `App`, `AppSecret`, `OrgMachine`; fly-go,
machine_types.go (`version`, `cordoned`).
"""

from __future__ import annotations

import hashlib
import time
import zlib
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.environment import private_ip
from worker_lib.emulator.visibility import FULL_VISIBILITY
from worker_lib.fly.images import parse_image

if TYPE_CHECKING:
    from worker_lib.emulator.runtimes import ProcessInfo
    from worker_lib.emulator.state import App, Machine
    from worker_lib.emulator.visibility import Visibility

_SHOWN_EVENTS = 20
_DIGEST_LENGTH = 16
_INT32_MAX = 2**31 - 1


def machine_view(
    machine: Machine, *, summary: bool = False, visibility: Visibility = FULL_VISIBILITY
) -> dict[str, Any]:
    """A machine; `summary` leaves out config and events."""
    seen = visibility.of(machine)
    view = {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state_before(seen.lag),
        "region": machine.region,
        "instance_id": machine.instance_id,
        "version": machine.instance_id,
        "private_ip": private_ip(machine.id),
        "image_ref": image_ref(machine.config["image"]),
        "created_at": machine.created_at,
        "updated_at": machine.updated_at,
        "cordoned": machine.cordoned,
        "host_status": machine.host_status,
        "checks": [],
    }
    if summary:
        return view
    view["events"] = events_view(machine, _SHOWN_EVENTS, lag=seen.lag)
    if seen.partial or machine.host_status != "ok":
        return view | _without_host(machine)
    return view | {"config": machine.config}


def events_view(
    machine: Machine, limit: int, *, lag: float = 0.0
) -> list[dict[str, Any]]:
    """The latest `limit` events, newest first, as of `lag` seconds ago."""
    moment = (time.time() - lag) * 1000
    known = (e for e in reversed(machine.events) if not lag or e.timestamp <= moment)
    return [asdict(event) for event in islice(known, limit)]


def _without_host(machine: Machine) -> dict[str, Any]:
    """The part of a view that is known while the host does not answer.

    Source: fly-go, machine_types.go (`HostStatus`, `IncompleteConfig`, `GetConfig`).
    """
    kept = {part: machine.config[part] for part in ("guest", "image", "metadata")}
    return {"host_status": "unreachable", "incomplete_config": kept}


def org_machine_view(
    machine: Machine, *, summary: bool, visibility: Visibility
) -> dict[str, Any]:
    """A machine in the list of an organization."""
    kept = ("id", "name", "state", "region", "instance_id", "version", "private_ip")
    whole = machine_view(machine, summary=True, visibility=visibility)
    view = {key: whole[key] for key in (*kept, "created_at", "updated_at")}
    view["app_name"] = machine.app
    if not summary:
        parts = ("guest", "image", "metadata")
        view["config"] = {part: machine.config[part] for part in parts}
    return view


def image_ref(image: str) -> dict[str, Any]:
    """The parts of an image's name, with Docker's defaults and a made-up digest."""
    parts = parse_image(image) or {"repository": image}
    return {
        "registry": parts.get("registry") or "registry-1.docker.io",
        "repository": parts["repository"],
        "tag": parts.get("tag") or "latest",
        "digest": parts.get("digest") or f"sha256:{_sha256(image)}",
        "labels": {},
    }


def app_view(app: App, machine_count: int) -> dict[str, Any]:
    """An app."""
    return {
        "id": app.id,
        "internal_numeric_id": _numeric_id(app.id),
        "name": app.name,
        "status": "deployed" if machine_count else "pending",
        "machine_count": machine_count,
        "volume_count": 0,
        "network": app.network or "default",
        "organization": {
            "internal_numeric_id": _numeric_id(app.org),
            "name": app.org,
            "slug": app.org,
        },
    }


def secret_view(app: App, name: str) -> dict[str, Any]:
    """A secret without its value; the short digest differs between values."""
    created_at, updated_at = app.secrets_changed[name]
    return {
        "name": name,
        "digest": _sha256(app.name + app.secrets[name])[:_DIGEST_LENGTH],
        "created_at": created_at,
        "updated_at": updated_at,
    }


def process_view(process: ProcessInfo) -> dict[str, Any]:
    """A process; nothing is known of its sockets."""
    return asdict(process) | {"listen_sockets": []}


def _numeric_id(text: str) -> int:
    """A number that fits an int32: Go's client refuses to decode a larger one.

    Source: fly-go, flaps/flaps_apps.go (`InternalNumericID int32`).
    """
    return zlib.crc32(text.encode()) % _INT32_MAX + 1


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
