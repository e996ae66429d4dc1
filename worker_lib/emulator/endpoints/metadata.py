"""A machine's metadata; a change makes no new version and needs no lease.

Source: the OpenAPI file, `Machines_*_metadata`; "The Machine runtime environment".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.emulator.events import now_text
from worker_lib.emulator.messages import Reply, failed_precondition, not_found
from worker_lib.emulator.validation import checked_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.state import Machine

_NO_CONTENT = Reply(status=204)


def get_all(backend: Backend, request: Request) -> Reply:
    """Every key with its value."""
    with backend.fleet.lock:
        return Reply(body=dict(backend.shown(request).config["metadata"]))


def get_key(backend: Backend, request: Request) -> Reply:
    """One value."""
    key = request.params["key"]
    with backend.fleet.lock:
        metadata = backend.shown(request).config["metadata"]
        if key not in metadata:
            raise not_found(f'metadata key "{key}" not found')
        return Reply(body={"value": metadata[key]})


def set_key(backend: Backend, request: Request) -> Reply:
    """Set one key; an empty value removes it."""
    value = checked_metadata({request.params["key"]: request.json().get("value")})
    with backend.fleet.lock:
        machine = _machine(backend, request)
        _merge(machine, value)
    return _NO_CONTENT


def delete_key(backend: Backend, request: Request) -> Reply:
    """Remove one key; nothing happens if it does not exist."""
    with backend.fleet.lock:
        _merge(_machine(backend, request), {request.params["key"]: None})
    return _NO_CONTENT


def replace(backend: Backend, request: Request) -> Reply:
    """Replace all keys."""
    return _change(backend, request, keep=False)


def patch(backend: Backend, request: Request) -> Reply:
    """Set some keys and keep the others."""
    return _change(backend, request, keep=True)


def _change(backend: Backend, request: Request, *, keep: bool) -> Reply:
    body = request.json()
    values = checked_metadata(body.get("metadata"))
    with backend.fleet.lock:
        machine = _machine(backend, request)
        if body.get("machine_version") not in (None, "", machine.instance_id):
            raise failed_precondition(
                f"machine_version does not match machine version {machine.instance_id}"
            )
        gone = {} if keep else dict.fromkeys(machine.config["metadata"])
        _merge(machine, {**gone, **values})
    return _NO_CONTENT


def _machine(backend: Backend, request: Request) -> Machine:
    return backend.fleet.machine(
        request.params["app"], request.params["machine"], destroyed=False
    )


def _merge(machine: Machine, values: Mapping[str, str | None]) -> None:
    merged = {**machine.config["metadata"], **values}
    kept = {key: value for key, value in merged.items() if value}
    machine.config = {**machine.config, "metadata": kept}
    machine.updated_at = now_text()
