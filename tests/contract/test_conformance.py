"""The emulator beside Fly's own description: what it has, and what it leaves out.

Copied from the OpenAPI file of the Machines API, 3.0.1, version 1.0, so that a
difference has to be written down here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client import Api

OPERATIONS = """
GET /apps
POST /apps
GET /apps/{app}
DELETE /apps/{app}
GET /apps/{app}/machines
POST /apps/{app}/machines
GET /apps/{app}/machines/{id}
POST /apps/{app}/machines/{id}
DELETE /apps/{app}/machines/{id}
POST /apps/{app}/machines/{id}/cordon
GET /apps/{app}/machines/{id}/events
POST /apps/{app}/machines/{id}/exec
GET /apps/{app}/machines/{id}/lease
POST /apps/{app}/machines/{id}/lease
DELETE /apps/{app}/machines/{id}/lease
GET /apps/{app}/machines/{id}/metadata
PUT /apps/{app}/machines/{id}/metadata
PATCH /apps/{app}/machines/{id}/metadata
GET /apps/{app}/machines/{id}/metadata/{key}
POST /apps/{app}/machines/{id}/metadata/{key}
DELETE /apps/{app}/machines/{id}/metadata/{key}
GET /apps/{app}/machines/{id}/ps
POST /apps/{app}/machines/{id}/restart
POST /apps/{app}/machines/{id}/signal
POST /apps/{app}/machines/{id}/start
POST /apps/{app}/machines/{id}/stop
POST /apps/{app}/machines/{id}/suspend
POST /apps/{app}/machines/{id}/uncordon
GET /apps/{app}/machines/{id}/versions
GET /apps/{app}/machines/{id}/wait
GET /apps/{app}/secrets
POST /apps/{app}/secrets
GET /apps/{app}/secrets/{key}
POST /apps/{app}/secrets/{key}
DELETE /apps/{app}/secrets/{key}
GET /orgs/{org}/machines
GET /platform/regions
GET /tokens/current
""".strip().splitlines()

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

MACHINE = {
    *("checks", "config", "created_at", "events", "host_status", "id", "image_ref"),
    *("instance_id", "name", "private_ip", "region", "state", "updated_at"),
}
EVENT = {"id", "request", "source", "status", "timestamp", "type"}
IMAGE_REF = {"digest", "labels", "registry", "repository", "tag"}
APP = {
    *("id", "machine_count", "name", "network", "organization", "status"),
    "volume_count",
}
SECRET = {"created_at", "digest", "name", "updated_at"}
LEASE = {"description", "expires_at", "nonce", "owner", "version"}
PROCESS = {
    *("command", "cpu", "directory", "listen_sockets", "pid", "rss", "rtime", "stime"),
}
REGION = {
    *("code", "deprecated", "gateway_available", "geo_region", "latitude"),
    *("longitude", "name", "requires_paid_plan"),
}
TOKEN = {
    *("apps", "org_slug", "organization", "restricted_to_machine"),
    *("source_machine_id", "token_id", "user"),
}
ORG_MACHINE = {
    *("app_name", "config", "created_at", "id", "instance_id", "name", "private_ip"),
    *("region", "state", "updated_at", "version"),
}
ORG_MACHINES = {
    *("error_regions", "last_machine_id", "last_updated_at", "machines", "next_cursor"),
}


def ask(api: Api, operation: str) -> dict[str, Any]:
    """Send an empty request of one operation and return the body of the reply."""
    method, path = operation.split()
    path = path.format(app="demo", id="0123456789abcd", key="k", org="personal")
    reply = api.call(method, f"/v1{path}")
    return {"text": reply.text, "status": reply.status_code}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_of_fly_s_is_there(api: Api, operation: str) -> None:
    """It may refuse the empty request, but it knows the path."""
    assert "no such path" not in ask(api, operation)["text"]


@pytest.mark.parametrize("operation", LEFT_OUT)
def test_an_operation_that_is_left_out_says_so(api: Api, operation: str) -> None:
    """404, not a reply that looks like success."""
    assert 404 == ask(api, operation)["status"]


def test_replies_have_every_field_that_fly_describes(api: Api) -> None:
    """More is allowed, because Go clients know of more; less is not."""
    machine = api.create(["sleep", "60"])
    path = f"machines/{machine['id']}"
    api.call("POST", "secrets/A", json={"value": "1"})

    def body(what: str) -> Any:
        return api.call("GET", what).json()

    assert machine.keys() >= MACHINE
    assert machine["image_ref"].keys() >= IMAGE_REF
    assert body(f"{path}/events")[0].keys() >= EVENT
    assert body("/v1/apps/demo").keys() >= APP
    assert body("secrets")["secrets"][0].keys() >= SECRET
    assert api.post(machine["id"], "lease").json().keys() >= LEASE
    assert body(f"{path}/ps")[0].keys() >= PROCESS
    assert body("/v1/platform/regions")["regions"][0].keys() >= REGION
    assert body("/v1/tokens/current")["tokens"][0].keys() >= TOKEN
    organisation = body("/v1/orgs/personal/machines")
    assert organisation.keys() >= ORG_MACHINES
    assert organisation["machines"][0].keys() >= ORG_MACHINE
