"""Create, read, update, destroy and wait for machines.

Source: the OpenAPI file, tag Machines; fly-go, flaps/flaps_machines.go.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.environment import check_secrets
from worker_lib.emulator.machine_config import checked_config
from worker_lib.emulator.messages import Reply, failed_precondition, invalid_argument
from worker_lib.emulator.schema import integer
from worker_lib.emulator.state import MachineLease
from worker_lib.emulator.validation import (
    checked,
    checked_name,
    checked_regions,
    requested_target,
)
from worker_lib.emulator.views import (
    events_view,
    machine_view,
    org_machine_view,
    process_view,
)
from worker_lib.emulator.waiting import WaitFor
from worker_lib.emulator.waiting import wait as wait_for
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.state import App, Machine

_DEFAULT_EVENTS, _MAX_EVENTS = 20, 50
_LIMIT = integer(1, _MAX_EVENTS)
_METADATA_PREFIX = "metadata."


def create(backend: Backend, request: Request) -> Reply:
    """Create a machine; the reply says `created`, its boot has begun by then."""
    body = request.json()
    given = checked("launch", body)
    config = checked_config(given.get("config"))
    name = checked_name(given["name"]) if given.get("name") else ""
    wanted = checked_regions(given.get("region") or backend.options.region)
    _check_image(backend, config)
    backend.injector.pause(backend.options.latencies.create)
    with backend.fleet.lock:
        app = backend.fleet.app(request.params["app"])
        secrets = _secrets(app, config, given)
        region = backend.injector.place(wanted, requested_target(body))
        machine = backend.fleet.add_machine(
            app=app.name, name=name, region=region, config=config, secrets=secrets
        )
        backend.lifecycle.launched(machine)
        view = machine_view(machine) | _new_lease_nonce(machine, given)
        backend.lifecycle.begin(machine, skip_launch=given.get("skip_launch", False))
    return Reply(body=view)


def _check_image(backend: Backend, config: dict[str, Any]) -> None:
    """Refuse a machine whose image nothing can take the place of.

    Raises:
        ApiError: 400.
    """
    try:
        backend.options.host_image(config["env"])
    except ConfigError as exc:
        raise invalid_argument(f"{exc}") from exc


def _secrets(app: App, config: dict[str, Any], given: dict[str, Any]) -> dict[str, str]:
    """The secrets of a new version of a machine.

    Raises:
        ApiError: 400, the config names a secret that does not exist; 412, their
            version does not exist.
    """
    secrets = app.secrets_for(
        skip=given.get("skip_secrets", False),
        least_version=given.get("min_secrets_version", 0),
    )
    check_secrets(config, secrets)
    return secrets


def _new_lease_nonce(machine: Machine, given: dict[str, Any]) -> dict[str, str]:
    """Lease a machine to its creator or updater, if `lease_ttl` asks for that.

    A lease that is held already keeps its nonce.
    """
    if not given.get("lease_ttl"):
        return {}
    held = machine.lease
    known = held.nonce if held is not None and held.expires_at > time.time() else ""
    machine.lease = new_lease(machine, ttl=given["lease_ttl"], nonce=known)
    return {"nonce": machine.lease.nonce}


def list_machines(backend: Backend, request: Request) -> Reply:
    """The machines of an app."""
    app = request.params["app"]
    with backend.fleet.lock:
        backend.fleet.app(app)
        found = [m for m in backend.fleet.machines(app) if matches(m, request)]
        summary, visibility = request.flag("summary"), request.visibility
        views = [machine_view(m, summary=summary, visibility=visibility) for m in found]
        return Reply(body=views)


def list_org_machines(backend: Backend, request: Request) -> Reply:
    """The machines of an organization, always as one page."""
    org = request.params["org"]
    with backend.fleet.lock:
        apps = {app.name for app in backend.fleet.apps() if app.org == org}
        found = [
            machine
            for machine in backend.fleet.machines()
            if machine.app in apps and matches(machine, request)
        ]
        summary, visibility = request.flag("summary"), request.visibility
        views = [
            org_machine_view(m, summary=summary, visibility=visibility) for m in found
        ]
    last = views[-1] if views else {"id": "", "updated_at": ""}
    return Reply(
        body={
            "machines": views,
            "last_machine_id": last["id"],
            "last_updated_at": last["updated_at"],
            "next_cursor": "",
            "error_regions": [],
        }
    )


def matches(machine: Machine, request: Request) -> bool:
    """Whether a machine passes the filters of a list's query."""
    metadata = machine.config["metadata"]
    asked = {
        name.removeprefix(_METADATA_PREFIX): request.value(name)
        for name in request.query
        if name.startswith(_METADATA_PREFIX)
    }
    states, region = request.values("state"), request.value("region")
    seen = request.visibility.of(machine)
    state = machine.state_before(seen.lag)
    if seen.omitted or not state or (states and state not in states):
        return False
    if region and machine.region != region:
        return False
    if state == "destroyed" and not (
        request.flag("include_deleted") or "destroyed" in states
    ):
        return False
    return all(metadata.get(key) == value for key, value in asked.items())


def get(backend: Backend, request: Request) -> Reply:
    """One machine; for a while also a destroyed one."""
    with backend.fleet.lock:
        return Reply(
            body=machine_view(backend.shown(request), visibility=request.visibility)
        )


def update(backend: Backend, request: Request) -> Reply:
    """Replace the whole config."""
    given = checked("launch", request.json())
    with backend.fleet.lock:
        machine = backend.changeable(request)
        _check_update(machine, given)
        config = checked_config(given.get("config"))
        secrets = _secrets(backend.fleet.app(machine.app), config, given)
        launch = not given.get("skip_launch", False)
        backend.lifecycle.update(machine, config, secrets, launch=launch)
        view = machine_view(machine) | _new_lease_nonce(machine, given)
        if machine.state == "created":
            backend.lifecycle.begin(machine, skip_launch=False)
    return Reply(body=view)


def _check_update(machine: Machine, body: dict[str, Any]) -> None:
    for name in ("name", "region"):
        if body.get(name) not in (None, "", getattr(machine, name)):
            raise invalid_argument(f"{name} of a machine is immutable")
    if body.get("current_version") not in (None, "", machine.instance_id):
        raise failed_precondition(
            f"current_version does not match machine version {machine.instance_id}"
        )


def destroy(backend: Backend, request: Request) -> Reply:
    """Destroy a machine; fly-go's `kill` is the same as `force`."""
    with backend.fleet.lock:
        machine = backend.changeable(request)
        backend.lifecycle.destroy(machine, force=request.flag("force", "kill"))
    return Reply(body={"ok": True})


def wait(backend: Backend, request: Request) -> Reply:
    """Block until a machine is in a state."""
    wanted = WaitFor.of(request)
    with backend.fleet.lock:
        machine = backend.shown(request)
        return Reply(body=wait_for(backend.fleet, machine, wanted))


def events(backend: Backend, request: Request) -> Reply:
    """The latest events, the newest first."""
    limit = request.number("limit")
    limit = _LIMIT(_DEFAULT_EVENTS if limit is None else limit, "limit")
    with backend.fleet.lock:
        return Reply(body=events_view(backend.shown(request), limit))


def versions(backend: Backend, request: Request) -> Reply:
    """Every config that the machine has had, the newest first."""
    with backend.fleet.lock:
        machine = backend.shown(request)
        return Reply(
            body=[
                {"version": version, "user_config": config}
                for version, config in reversed(machine.versions)
            ]
        )


def processes(backend: Backend, request: Request) -> Reply:
    """The processes of a machine, sorted by any number or text of them."""
    with backend.fleet.lock:
        instance = backend.lifecycle.instance(backend.shown(request))
    views = [process_view(process) for process in instance.processes()]
    sort_by = request.value("sort_by", "pid")
    if any(sort_by not in view or sort_by == "listen_sockets" for view in views):
        raise invalid_argument(f'unable to sort by "{sort_by}"')
    reverse = request.value("order").lower() == "desc"
    return Reply(body=sorted(views, key=lambda view: view[sort_by], reverse=reverse))


def new_lease(
    machine: Machine, *, ttl: int, description: str = "", nonce: str = ""
) -> MachineLease:
    """A lease of `ttl` seconds from now on; "" as `nonce`: a new one."""
    return MachineLease(
        nonce=nonce or secrets.token_hex(6),
        expires_at=time.time() + ttl,
        owner="emulator@localhost",
        description=description,
        version=machine.instance_id,
    )
