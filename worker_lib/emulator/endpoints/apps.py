"""Apps and their secrets.

Source: the OpenAPI file, tags Apps and Secrets; fly-go, flaps/flaps_apps.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.emulator.messages import Reply, invalid_argument, not_found
from worker_lib.emulator.validation import checked, checked_app_name, checked_secrets
from worker_lib.emulator.views import app_view, secret_view

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.state import App


def create(backend: Backend, request: Request) -> Reply:
    """Create an app; the guide calls its name `app_name`, the OpenAPI file `name`.

    The reply is the app: fly-go, flaps/flaps_apps.go, decodes it as one.
    """
    body = request.json()
    name = checked_app_name(body.get("name") or body.get("app_name"))
    given = checked("app", body)
    with backend.fleet.lock:
        app = backend.fleet.add_app(
            name, org=given.get("org_slug", ""), network=given.get("network", "")
        )
        view = app_view(app, 0) | {"created_at": app.created_at}
    return Reply(status=201, body=view)


def list_apps(backend: Backend, request: Request) -> Reply:
    """The apps of an organization, or all; no app has an `app_role`."""
    org, role = request.value("org_slug"), request.value("app_role")
    with backend.fleet.lock:
        found = [
            app for app in backend.fleet.apps() if org in ("", app.org) and not role
        ]
        views = [_view(backend, app) for app in found]
    return Reply(body={"total_apps": len(views), "apps": views})


def get(backend: Backend, request: Request) -> Reply:
    """One app."""
    with backend.fleet.lock:
        return Reply(body=_view(backend, backend.fleet.app(request.params["app"])))


def delete(backend: Backend, request: Request) -> Reply:
    """Delete an app and destroy its machines; running ones only with `force`."""
    name = request.params["app"]
    with backend.fleet.lock:
        backend.fleet.app(name)
        machines, force = list(backend.fleet.machines(name)), request.flag("force")
        for machine in machines:
            backend.lifecycle.check_destroyable(machine, force=force)
        for machine in machines:
            backend.lifecycle.destroy(machine, force=force)
        backend.fleet.remove_app(name)
    return Reply(status=202)


def list_secrets(backend: Backend, request: Request) -> Reply:
    """An app's secrets, without their values."""
    with backend.fleet.lock:
        app = backend.fleet.app(request.params["app"])
        return Reply(body={"secrets": _secrets(app)})


def set_secrets(backend: Backend, request: Request) -> Reply:
    """Set many secrets at once; null removes one."""
    values = request.json().get("values")
    if not isinstance(values, dict):
        raise invalid_argument("values must be an object")
    with backend.fleet.lock:
        app = backend.fleet.app(request.params["app"])
        _set(app, values)
        version = app.secrets_version
        return Reply(
            body={"secrets": _secrets(app), "version": version, "Version": version}
        )


def get_secret(backend: Backend, request: Request) -> Reply:
    """One secret, without its value."""
    with backend.fleet.lock:
        app = _app_with_secret(backend, request)
        return Reply(body=secret_view(app, request.params["secret"]))


def set_secret(backend: Backend, request: Request) -> Reply:
    """Set one secret."""
    name, value = request.params["secret"], request.json().get("value")
    with backend.fleet.lock:
        app = backend.fleet.app(request.params["app"])
        _set(app, {name: "" if value is None else value})
        body = {**secret_view(app, name), "version": app.secrets_version}
    return Reply(status=201, body=body)


def delete_secret(backend: Backend, request: Request) -> Reply:
    """Delete one secret."""
    with backend.fleet.lock:
        app = _app_with_secret(backend, request)
        _set(app, {request.params["secret"]: None})
        version = app.secrets_version
    return Reply(body={"version": version, "Version": version})


def _set(app: App, values: dict[str, Any]) -> None:
    for name, value in checked_secrets(values).items():
        app.set_secret(name, value)
    app.secrets_version += 1


def _secrets(app: App) -> list[dict[str, Any]]:
    return [secret_view(app, name) for name in app.secrets]


def _app_with_secret(backend: Backend, request: Request) -> App:
    app = backend.fleet.app(request.params["app"])
    name = request.params["secret"]
    if name not in app.secrets:
        raise not_found(f'secret "{name}" not found')
    return app


def _view(backend: Backend, app: App) -> dict[str, Any]:
    machines = backend.fleet.machines(app.name)
    return app_view(app, sum(machine.state != "destroyed" for machine in machines))
