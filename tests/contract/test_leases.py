"""Leases and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client import Api

NONCE = "fly-machine-lease-nonce"


@pytest.fixture
def machine_id(api: Api) -> str:
    """Return the id of a machine that runs."""
    return str(api.create()["id"])


def acquire(api: Api, machine_id: str, **body: Any) -> dict[str, Any]:
    """Take a lease and return it."""
    reply = api.post(machine_id, "lease", **body)
    assert 201 == reply.status_code
    lease: dict[str, Any] = reply.json()["data"]
    return lease


def test_a_lease_is_given_and_shown(api: Api, machine_id: str) -> None:
    """The nonce comes in the envelope and bare; GET shows the same."""
    reply = api.post(machine_id, "lease", ttl=60, description="why")

    body = reply.json()
    assert ("success", "why") == (body["status"], body["data"]["description"])
    assert body["nonce"] == body["data"]["nonce"]
    assert body == api.call("GET", f"machines/{machine_id}/lease").json()


def test_there_is_no_lease_before_one_is_taken(api: Api, machine_id: str) -> None:
    """404."""
    assert 404 == api.call("GET", f"machines/{machine_id}/lease").status_code


def test_a_second_lease_is_refused(api: Api, machine_id: str) -> None:
    """409 names the holder and the end."""
    lease = acquire(api, machine_id, ttl=60)

    reply = api.post(machine_id, "lease", ttl=60)

    assert 409 == reply.status_code
    error = reply.json()["error"]
    assert f"machine ID {machine_id} lease currently held by" in error
    assert f"expires at {lease['expires_at']}" in error
    assert lease["nonce"] not in error


def test_the_holder_refreshes_a_lease_with_its_nonce(api: Api, machine_id: str) -> None:
    """The nonce stays and the end moves; fly-go sends the ttl in the query."""
    lease = acquire(api, machine_id, ttl=10)

    reply = api.call(
        "POST", f"machines/{machine_id}/lease?ttl=100", headers={NONCE: lease["nonce"]}
    )

    assert 201 == reply.status_code
    assert lease["nonce"] == reply.json()["data"]["nonce"]
    assert reply.json()["data"]["expires_at"] > lease["expires_at"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/suspend"),
        ("POST", "/restart"),
        ("POST", "/cordon"),
        ("POST", ""),
        ("DELETE", "?force=true"),
        ("DELETE", "/lease"),
    ],
)
def test_a_leased_machine_is_changed_by_its_holder_only(
    api: Api, machine_id: str, method: str, path: str
) -> None:
    """Without the nonce 409, with a wrong one too."""
    acquire(api, machine_id, ttl=60)
    body = {"config": {"image": "x"}, "signal": "SIGTERM"}

    for headers in ({}, {NONCE: "wrong"}):
        reply = api.call(
            method, f"machines/{machine_id}{path}", json=body, headers=headers
        )
        assert 409 == reply.status_code


def test_the_holder_may_change_the_machine(api: Api, machine_id: str) -> None:
    """The nonce opens it."""
    lease = acquire(api, machine_id, ttl=60)

    reply = api.call(
        "DELETE", f"machines/{machine_id}?kill=true", headers={NONCE: lease["nonce"]}
    )

    assert 200 == reply.status_code


def test_a_released_lease_is_free(api: Api, machine_id: str) -> None:
    """Then anyone may change the machine again."""
    lease = acquire(api, machine_id, ttl=60)
    headers = {NONCE: lease["nonce"]}

    assert (
        200
        == api.call(
            "DELETE", f"machines/{machine_id}/lease", headers=headers
        ).status_code
    )
    assert 200 == api.post(machine_id, "cordon").status_code


def test_create_can_come_with_a_lease(api: Api) -> None:
    """`lease_ttl` gives the creator the nonce in the reply."""
    view = api.create(top={"lease_ttl": 60})

    assert 409 == api.post(view["id"], "cordon").status_code
    reply = api.call(
        "POST", f"machines/{view['id']}/cordon", headers={NONCE: view["nonce"]}
    )
    assert 200 == reply.status_code


@pytest.mark.parametrize("ttl", ["0", "-1", "x"])
def test_a_lease_needs_a_proper_ttl(api: Api, machine_id: str, ttl: str) -> None:
    """400 unless it is whole seconds."""
    reply = api.call("POST", f"machines/{machine_id}/lease?ttl={ttl}")

    assert 400 == reply.status_code


def test_metadata_is_set_read_and_removed_by_key(api: Api, machine_id: str) -> None:
    """204 for each change; an empty value removes as DELETE does."""
    path = f"machines/{machine_id}/metadata"

    assert 204 == api.call("POST", f"{path}/a", json={"value": "1"}).status_code
    assert {"value": "1"} == api.call("GET", f"{path}/a").json()
    assert {"a": "1"} == api.call("GET", path).json()
    assert 204 == api.call("POST", f"{path}/a", json={"value": ""}).status_code
    assert 404 == api.call("GET", f"{path}/a").status_code
    api.call("POST", f"{path}/b", json={"value": "2"})
    assert 204 == api.call("DELETE", f"{path}/b").status_code
    assert {} == api.call("GET", path).json()


def test_patch_merges_and_put_replaces(api: Api, machine_id: str) -> None:
    """Null removes one key of many."""
    path = f"machines/{machine_id}/metadata"
    api.call("PUT", path, json={"metadata": {"a": "1", "b": "2"}})

    api.call("PATCH", path, json={"metadata": {"a": None, "c": "3"}})
    assert {"b": "2", "c": "3"} == api.call("GET", path).json()

    api.call("PUT", path, json={"metadata": {"d": "4"}})
    assert {"d": "4"} == api.call("GET", path).json()


def test_metadata_writes_hold_to_a_version(api: Api, machine_id: str) -> None:
    """412 for a stale `machine_version`; the present one is fine."""
    path = f"machines/{machine_id}/metadata"
    version = api.get(machine_id)["instance_id"]

    stale = {"metadata": {"a": "1"}, "machine_version": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    fresh = {"metadata": {"a": "1"}, "machine_version": version}

    assert 412 == api.call("PUT", path, json=stale).status_code
    assert 204 == api.call("PATCH", path, json=fresh).status_code


def test_metadata_makes_no_version_and_needs_no_lease(
    api: Api, machine_id: str
) -> None:
    """It can be written while another client holds the lease."""
    version = api.get(machine_id)["instance_id"]
    acquire(api, machine_id, ttl=60)

    reply = api.call("POST", f"machines/{machine_id}/metadata/a", json={"value": "1"})

    assert 204 == reply.status_code
    assert version == api.get(machine_id)["instance_id"]


@pytest.mark.parametrize("body", [{}, {"metadata": []}, {"metadata": {"a": 1}}])
def test_metadata_must_be_texts_by_key(
    api: Api, machine_id: str, body: dict[str, Any]
) -> None:
    """400 for anything else."""
    reply = api.call("PATCH", f"machines/{machine_id}/metadata", json=body)

    assert 400 == reply.status_code
