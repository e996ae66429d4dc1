"""The table of endpoints: method, path, action and handler of each.

The action is the name by which rate limits, faults and counts know an endpoint.
Source: the OpenAPI file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from worker_lib.emulator.endpoints import (
    admin,
    apps,
    controls,
    leases,
    machines,
    metadata,
    platform,
)
from worker_lib.emulator.messages import Reply, Request

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend

Handler = Callable[["Backend", Request], Reply]

_APP = "/v1/apps/{app}"
_SECRET = f"{_APP}/secrets/{{secret}}"
_MACHINE = f"{_APP}/machines/{{machine}}"
_KEY = f"{_MACHINE}/metadata/{{key}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint; `is_admin`: the emulator's own, without limits and faults."""

    method: str
    pattern: tuple[str, ...]
    action: str
    handler: Handler
    is_admin: bool = False

    def match(self, steps: tuple[str, ...]) -> dict[str, str] | None:
        """The values of the pattern's names in a path; None if it does not match."""
        params = {}
        for part, step in zip(self.pattern, steps, strict=True):
            if part.startswith("{"):
                params[part[1:-1]] = unquote(step)
            elif part != step:
                return None
        return params


def _route(method: str, path: str, action: str, handler: Handler) -> Route:
    return Route(
        method=method,
        pattern=tuple(path.strip("/").split("/")),
        action=action,
        handler=handler,
        is_admin=path.startswith("/_emulator/"),
    )


_APP_ROUTES = (
    _route("GET", "/v1/apps", "app_list", apps.list_apps),
    _route("POST", "/v1/apps", "app_create", apps.create),
    _route("GET", _APP, "app_get", apps.get),
    _route("DELETE", _APP, "app_delete", apps.delete),
    _route("GET", f"{_APP}/secrets", "secret_list", apps.list_secrets),
    _route("POST", f"{_APP}/secrets", "secret_update", apps.set_secrets),
    _route("GET", _SECRET, "secret_get", apps.get_secret),
    _route("POST", _SECRET, "secret_set", apps.set_secret),
    _route("DELETE", _SECRET, "secret_delete", apps.delete_secret),
)
_MACHINE_ROUTES = (
    _route("GET", f"{_APP}/machines", "list", machines.list_machines),
    _route("POST", f"{_APP}/machines", "create", machines.create),
    _route("GET", _MACHINE, "get", machines.get),
    _route("POST", _MACHINE, "update", machines.update),
    _route("DELETE", _MACHINE, "destroy", machines.destroy),
    _route("GET", f"{_MACHINE}/wait", "wait", machines.wait),
    _route("GET", f"{_MACHINE}/events", "events", machines.events),
    _route("GET", f"{_MACHINE}/versions", "versions", machines.versions),
    _route("GET", f"{_MACHINE}/ps", "ps", machines.processes),
    _route("POST", f"{_MACHINE}/start", "start", controls.start),
    _route("POST", f"{_MACHINE}/stop", "stop", controls.stop),
    _route("POST", f"{_MACHINE}/suspend", "suspend", controls.suspend),
    _route("POST", f"{_MACHINE}/restart", "restart", controls.restart),
    _route("POST", f"{_MACHINE}/signal", "signal", controls.send_signal),
    _route("POST", f"{_MACHINE}/cordon", "cordon", controls.cordon),
    _route("POST", f"{_MACHINE}/uncordon", "uncordon", controls.uncordon),
    _route("POST", f"{_MACHINE}/exec", "exec", controls.execute),
    _route("POST", f"{_MACHINE}/lease", "lease_acquire", leases.acquire),
    _route("GET", f"{_MACHINE}/lease", "lease_get", leases.get),
    _route("DELETE", f"{_MACHINE}/lease", "lease_release", leases.release),
    _route("GET", f"{_MACHINE}/metadata", "metadata_list", metadata.get_all),
    _route("PUT", f"{_MACHINE}/metadata", "metadata_update", metadata.replace),
    _route("PATCH", f"{_MACHINE}/metadata", "metadata_update", metadata.patch),
    _route("GET", _KEY, "metadata_get", metadata.get_key),
    _route("POST", _KEY, "metadata_set", metadata.set_key),
    _route("DELETE", _KEY, "metadata_delete", metadata.delete_key),
)
_OTHER_ROUTES = (
    _route("GET", "/v1/orgs/{org}/machines", "org_list", machines.list_org_machines),
    _route("GET", "/v1/platform/regions", "regions", platform.regions),
    _route("GET", "/v1/tokens/current", "token", platform.current_token),
    _route("GET", "/_emulator/faults", "faults", admin.get_faults),
    _route("POST", "/_emulator/faults", "faults", admin.set_faults),
    _route("GET", "/_emulator/requests", "requests", admin.get_requests),
    _route("GET", "/_emulator/billing", "billing", admin.get_billing),
    _route("GET", "/_emulator/machines/{machine}/log", "log", admin.get_log),
)


def _by_shape() -> dict[tuple[str, int], list[Route]]:
    table: dict[tuple[str, int], list[Route]] = {}
    for route in (*_APP_ROUTES, *_MACHINE_ROUTES, *_OTHER_ROUTES):
        table.setdefault((route.method, len(route.pattern)), []).append(route)
    return table


_ROUTES = _by_shape()


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request with the values of its names; None if there is none."""
    steps = tuple(path.strip("/").split("/"))
    for route in _ROUTES.get((method, len(steps)), ()):
        params = route.match(steps)
        if params is not None:
            return route, params
    return None
