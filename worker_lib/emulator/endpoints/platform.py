"""Regions, and the token in use.

Source: the OpenAPI file, `main.regionResponse` and `CurrentTokenResponse`; fly-go
reads the capitalised names.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from worker_lib.emulator.messages import Reply
from worker_lib.fly.regions import REGIONS

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request


def regions(backend: Backend, request: Request) -> Reply:  # noqa: ARG001 - a handler
    """Every region; the nearest is the one of the options."""
    views = [asdict(region) for region in REGIONS.values()]
    nearest = backend.options.region
    body = {"nearest": nearest, "regions": views}
    return Reply(body=body | {"Nearest": nearest, "Regions": views})


def current_token(backend: Backend, request: Request) -> Reply:  # noqa: ARG001 - a handler
    """What the token may do: everything in the one organization."""
    org = backend.options.org
    with backend.fleet.lock:
        apps = [app.name for app in backend.fleet.apps()]
    token = {
        "token_id": "emulator",
        "org_slug": org,
        "organization": org,
        "apps": apps,
        "user": "",
        "restricted_to_machine": "",
        "source_machine_id": "",
    }
    return Reply(body={"tokens": [token]})
