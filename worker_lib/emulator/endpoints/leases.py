"""Machine leases: only the holder may change a machine.

Source: "Machines API", Leases (409 on a second acquire); fly-go,
flaps/flaps_machines.go (`?ttl=`, the envelope with `status` and `data`).
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.backend import LEASE_NONCE_HEADER
from worker_lib.emulator.endpoints.machines import new_lease
from worker_lib.emulator.messages import Reply, not_found
from worker_lib.emulator.validation import checked

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.state import MachineLease

_DEFAULT_TTL = 30


def acquire(backend: Backend, request: Request) -> Reply:
    """Take a lease, or renew one's own by sending its nonce."""
    given = checked("lease", request.json() | _query(request))
    nonce = request.headers.get(LEASE_NONCE_HEADER, "")
    with backend.fleet.lock:
        machine = backend.changeable(request)
        held = machine.lease
        known = nonce if held is not None and held.nonce == nonce else ""
        machine.lease = new_lease(
            machine,
            ttl=given.get("ttl") or _DEFAULT_TTL,
            description=given.get("description", ""),
            nonce=known,
        )
        return Reply(status=201, body=_envelope(machine.lease))


def get(backend: Backend, request: Request) -> Reply:
    """The lease that is held."""
    with backend.fleet.lock:
        lease = backend.shown(request).lease
    if lease is None or lease.expires_at <= time.time():
        raise not_found("lease not found")
    return Reply(body=_envelope(lease))


def release(backend: Backend, request: Request) -> Reply:
    """Give up a lease; its nonce is needed."""
    with backend.fleet.lock:
        backend.changeable(request).lease = None
    return Reply(body={"ok": True})


def _query(request: Request) -> dict[str, Any]:
    """The ttl in the query, where fly-go sends it."""
    ttl = request.number("ttl")
    return {} if ttl is None else {"ttl": ttl}


def _envelope(lease: MachineLease) -> dict[str, Any]:
    """Both documented shapes at once: fly-go's envelope, and the bare lease."""
    view = asdict(lease) | {"expires_at": int(lease.expires_at)}
    return {"status": "success", "data": view, **view}
