"""Apps and their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from waiting import until

if TYPE_CHECKING:
    from .client import Api


@pytest.mark.parametrize("field", ["name", "app_name"])
def test_an_app_is_made_under_either_name_of_the_field(api: Api, field: str) -> None:
    """The OpenAPI file says `name`, the docs say `app_name`."""
    reply = api.call("POST", "/v1/apps", json={field: "fresh", "org_slug": "acme"})

    assert 201 == reply.status_code
    assert {"id", "created_at", "name", "status", "organization"} <= reply.json().keys()
    shown = api.call("GET", "/v1/apps/fresh").json()
    assert ("fresh", "acme") == (shown["name"], shown["organization"]["slug"])


def test_a_taken_name_is_refused(api: Api) -> None:
    """422 with `name_taken`."""
    reply = api.call("POST", "/v1/apps", json={"name": "demo"})

    assert (422, "name_taken") == (reply.status_code, reply.json()["status"])


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "x" * 63])
def test_an_impossible_name_is_refused(api: Api, name: str) -> None:
    """422: lowercase letters, digits and dashes, fewer than 63."""
    assert 422 == api.call("POST", "/v1/apps", json={"name": name}).status_code


def test_apps_are_listed_by_organisation(api: Api) -> None:
    """Each with its number of machines."""
    api.create()
    api.call("POST", "/v1/apps", json={"name": "fresh", "org_slug": "acme"})

    every = api.call("GET", "/v1/apps").json()
    acme = api.call("GET", "/v1/apps?org_slug=acme").json()

    assert [("demo", 1), ("fresh", 0)] == [
        (app["name"], app["machine_count"]) for app in every["apps"]
    ]
    assert (1, ["fresh"]) == (acme["total_apps"], [app["name"] for app in acme["apps"]])


def test_an_app_is_deleted_with_its_machines(api: Api) -> None:
    """202, and nothing of it runs any more."""
    api.create()

    assert 202 == api.call("DELETE", "/v1/apps/demo?force=true").status_code
    assert 404 == api.call("GET", "/v1/apps/demo").status_code
    until(lambda: ["destroyed"] == [m["state"] for m in api.emulator.machines()])


def test_an_app_with_running_machines_needs_force(api: Api) -> None:
    """412, and both go on."""
    api.create()

    assert 412 == api.call("DELETE", "/v1/apps/demo").status_code
    assert 200 == api.call("GET", "/v1/apps/demo").status_code


def test_secrets_are_never_shown(api: Api) -> None:
    """Name, digest and times come back, the value does not."""
    reply = api.call("POST", "secrets", json={"values": {"A": "canary-1", "B": "x"}})

    assert ["A", "B"] == [secret["name"] for secret in reply.json()["secrets"]]
    assert 1 == reply.json()["version"]
    everything = [reply.text, api.call("GET", "secrets").text]
    everything.append(api.call("GET", "secrets/A?show_secrets=true").text)
    assert "canary-1" not in "".join(everything)


def test_a_secret_is_set_changed_and_removed(api: Api) -> None:
    """Each change raises the version; the digest tells values apart."""
    first = api.call("POST", "secrets/A", json={"value": "1"})
    second = api.call("POST", "secrets/A", json={"value": "2"})

    assert (201, 1, 2) == (
        first.status_code,
        first.json()["version"],
        second.json()["version"],
    )
    assert first.json()["digest"] != second.json()["digest"]
    assert {"version": 3, "Version": 3} == api.call("DELETE", "secrets/A").json()
    assert 404 == api.call("GET", "secrets/A").status_code


def test_null_removes_a_secret_from_many(api: Api) -> None:
    """Others stay."""
    api.call("POST", "secrets", json={"values": {"A": "1", "B": "2"}})

    reply = api.call("POST", "secrets", json={"values": {"A": None}})

    assert ["B"] == [secret["name"] for secret in reply.json()["secrets"]]


@pytest.mark.parametrize("values", [None, ["A"], {"A": 1}])
def test_secrets_must_be_texts_by_name(api: Api, values: object) -> None:
    """400 for anything else."""
    reply = api.call("POST", "secrets", json={"values": values})

    assert 400 == reply.status_code


def test_secrets_set_over_http_reach_the_next_machine(api: Api) -> None:
    """They are in the environment of a machine that is made afterwards."""
    api.call("POST", "secrets", json={"values": {"WORD": "hello"}})
    machine_id = api.create(["/bin/sh", "-c", "echo $WORD"])["id"]
    api.wait(machine_id, "stopped")

    assert "hello\n" == api.log(machine_id)
