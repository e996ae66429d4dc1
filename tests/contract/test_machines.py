"""Create, get, list, update and destroy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

CONFIG: dict[str, Any] = {"image": "x", "init": {"exec": ["sleep", "60"]}}


def test_create_replies_at_once_in_state_created(api: Api) -> None:
    """The reply shows the machine before its boot, with its first event."""
    view = api.create(top={"name": "one", "region": "ams"})

    assert ("created", "one", "ams") == (view["state"], view["name"], view["region"])
    assert re.fullmatch(r"[0-9a-f]{14}", view["id"])
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", view["instance_id"])
    assert ["launch"] == [event["type"] for event in view["events"]]


def test_create_fills_in_the_default_guest(api: Api) -> None:
    """A config without a guest runs on Fly's smallest."""
    view = api.create()

    expected = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    assert expected == view["config"]["guest"]


def test_create_takes_a_size_by_name(api: Api) -> None:
    """`size` stands for kind, CPUs and the least memory of a guest."""
    view = api.create(guest={"size": "performance-2x"})

    expected = {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096}
    assert expected == view["config"]["guest"]


def test_every_reply_carries_a_request_id(api: Api) -> None:
    """Good and bad replies both have Fly's `fly-request-id`."""
    good, bad = api.call("GET", "machines"), api.call("GET", "machines/none")

    assert 200 == good.status_code
    assert good.headers["fly-request-id"] != bad.headers["fly-request-id"]


def test_a_name_in_use_is_refused_with_the_holder_s_id(api: Api) -> None:
    """409 names the machine that has the name, so that it can be adopted."""
    first = api.create(top={"name": "one"})

    reply = api.create_raw(name="one", config=CONFIG)

    assert 409 == reply.status_code
    expected = (
        "already_exists: unique machine name violation, machine ID "
        f'{first["id"]} already exists with name "one"'
    )
    assert expected == reply.json()["error"]


def test_a_name_is_free_again_once_its_machine_is_destroyed(api: Api) -> None:
    """By default a destroyed machine does not hold its name."""
    first = api.create(top={"name": "one"})
    api.destroy(first["id"])
    api.wait(first["id"], "destroyed")

    assert first["id"] != api.create(top={"name": "one"})["id"]


def test_a_name_can_be_kept_from_reuse(start_emulator: StartEmulator) -> None:
    """With `name_reuse` off a destroyed machine's name stays taken."""
    api = start_emulator(name_reuse=False)
    first = api.create(top={"name": "one"})
    api.destroy(first["id"])
    api.wait(first["id"], "destroyed")

    assert 409 == api.create_raw(name="one", config=CONFIG).status_code


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "config.image is required"),
        ({"config": {"image": ""}}, 400, "config.image is required"),
        ({"config": []}, 400, "config must be an object"),
        ({"config": {**CONFIG, "guest": {"cpus": 3}}}, 400, "1, 2, 4, 6, 8"),
        ({"config": {**CONFIG, "guest": {"memory_mb": 300}}}, 400, "steps of 256"),
        (
            {"config": {**CONFIG, "guest": {"cpus": 4, "memory_mb": 256}}},
            400,
            "invalid config.guest.memory_mb, minimum required 1024 MiB",
        ),
        ({"config": {**CONFIG, "guest": {"cpu_kind": "x"}}}, 400, "'performance'"),
        ({"config": {**CONFIG, "guest": {"cpus": "1"}}}, 400, "whole number"),
        ({"config": {**CONFIG, "restart": {"policy": "x"}}}, 400, "on-failure"),
        ({"config": {**CONFIG, "env": {"A": 1}}}, 400, "config.env.A must be a string"),
        ({"config": {**CONFIG, "init": {"exec": [1]}}}, 400, "init.exec"),
        ({"config": {**CONFIG, "stop_config": {"timeout": "6m"}}}, 400, "300s"),
        ({"config": {**CONFIG, "stop_config": {"signal": "X"}}}, 400, "SIGTERM"),
        (
            {"config": {**CONFIG, "files": [{"guest_path": "a", "raw_value": ""}]}},
            400,
            "absolute path",
        ),
        ({"config": CONFIG, "region": "xyz"}, 400, "valid are ams"),
        ({"config": CONFIG, "name": "a b"}, 400, "letters, digits"),
    ],
)
def test_create_refuses_what_cannot_be(
    api: Api, body: dict[str, Any], status: int, text: str
) -> None:
    """The error names the field and what is valid, and nothing is made."""
    reply = api.create_raw(**body)

    assert status == reply.status_code
    assert text in reply.json()["error"]
    assert [] == api.call("GET", "machines").json()


def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    """400, and the connection can still be used."""
    assert 400 == api.call("POST", "machines", data=b"{").status_code
    assert 400 == api.call("POST", "machines", data=b"[]").status_code


def test_an_alias_of_regions_takes_its_first(api: Api) -> None:
    """`eu` stands for European regions; the reply tells which one it became."""
    assert "ams" == api.create(top={"region": "eu,any"})["region"]


@pytest.mark.parametrize("path", ["machines", "machines/0123456789abcd", "secrets"])
def test_an_unknown_app_is_not_found(api: Api, path: str) -> None:
    """404 with a text, whatever is asked of it."""
    reply = api.call("GET", f"/v1/apps/none/{path}")

    assert (404, 'not_found: app "none" not found') == (
        reply.status_code,
        reply.json()["error"],
    )


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/apps/demo/nothing", "/_emulator"])
def test_an_unknown_path_is_not_found_in_json(api: Api, path: str) -> None:
    """404 is JSON too."""
    reply = api.call("GET", path)

    assert 404 == reply.status_code
    assert reply.json()["error"].startswith("not_found: no such path")


def test_an_unknown_machine_is_not_found(api: Api) -> None:
    """GET, wait and DELETE of an id that never was answer 404."""
    path = "machines/0123456789abcd"

    for method, what in (("GET", path), ("GET", f"{path}/wait"), ("DELETE", path)):
        reply = api.call(method, what)
        assert 404 == reply.status_code
        assert "machine not found" in reply.json()["error"]


def test_a_machine_of_another_app_is_not_found(start_emulator: StartEmulator) -> None:
    """A machine is only there below its own app."""
    api = start_emulator(apps=("demo", "other"))
    machine_id = api.create()["id"]

    assert 404 == api.call("GET", f"/v1/apps/other/machines/{machine_id}").status_code


def test_list_filters_by_state_region_and_metadata(api: Api) -> None:
    """Filters are joined with and; states may be a comma list."""
    plain = api.create(top={"region": "ams"}, metadata={"pool": "a"})["id"]
    other = api.prepare(region="fra")

    def ids(query: str) -> list[str]:
        return [m["id"] for m in api.call("GET", f"machines?{query}").json()]

    assert [plain, other] == ids("")
    assert [plain] == ids("state=started")
    assert [plain, other] == ids("state=started,stopped")
    assert [other] == ids("region=fra")
    assert [plain] == ids("metadata.pool=a")
    assert [] == ids("metadata.pool=a&state=stopped")


def test_a_summary_leaves_out_config_and_events(api: Api) -> None:
    """`summary` keeps the list small."""
    api.create()

    (view,) = api.call("GET", "machines?summary=true").json()

    assert not {"config", "events"} & view.keys()


def test_destroyed_machines_are_listed_only_on_demand(api: Api) -> None:
    """A list hides them without `include_deleted`; GET by id still shows them."""
    machine_id = api.create()["id"]
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")

    assert [] == api.call("GET", "machines").json()
    (shown,) = api.call("GET", "machines?include_deleted=true").json()
    assert machine_id == shown["id"]
    assert "destroyed" == api.get(machine_id)["state"]


def test_a_destroyed_machine_vanishes_in_the_end(start_emulator: StartEmulator) -> None:
    """After `destroyed_retention` GET answers 404."""
    api = start_emulator(destroyed_retention=0.0)
    machine_id = api.create()["id"]
    api.destroy(machine_id)

    path = f"machines/{machine_id}"
    assert until(lambda: 404 == api.call("GET", path).status_code)
    assert 404 == api.call("GET", f"{path}/wait?state=destroyed").status_code


def test_a_running_machine_is_not_destroyed_without_force(api: Api) -> None:
    """412, and it goes on running."""
    machine_id = api.create()["id"]

    reply = api.call("DELETE", f"machines/{machine_id}")

    assert 412 == reply.status_code
    assert reply.json()["error"].startswith("failed_precondition: ")
    assert "started" == api.get(machine_id)["state"]


@pytest.mark.parametrize("word", ["force", "kill"])
def test_force_and_kill_destroy_a_running_machine(api: Api, word: str) -> None:
    """The documented word and fly-go's word mean the same."""
    machine_id = api.create()["id"]

    reply = api.call("DELETE", f"machines/{machine_id}?{word}=true")

    assert {"ok": True} == reply.json()
    assert "destroyed" == api.wait(machine_id, "destroyed")["state"]


def test_update_replaces_the_config_and_boots_it(api: Api) -> None:
    """A running machine is replaced: new version, new config, started again."""
    before = api.create(env={"A": "1"}, stop_config={"signal": "SIGKILL"})
    body = {"config": {**CONFIG, "env": {"B": "2"}}}

    after = api.call("POST", f"machines/{before['id']}", json=body).json()
    api.call("GET", f"machines/{before['id']}/wait?version={after['instance_id']}")

    assert before["instance_id"] != after["instance_id"]
    assert {"B": "2"} == api.get(before["id"])["config"]["env"]
    expected = [
        *("launch/created/user", "start/started/flyd", "update/replacing/user"),
        *("exit/stopped/flyd", "start/started/flyd"),
    ]
    api.wait(before["id"], "started")
    assert expected == api.steps(before["id"])


def test_update_of_a_stopped_machine_starts_it(api: Api) -> None:
    """Without `skip_launch` an updated machine runs."""
    machine_id = api.prepare()

    view = api.call("POST", f"machines/{machine_id}", json={"config": CONFIG}).json()

    assert "created" == view["state"]
    assert "started" == api.get(machine_id)["state"]


def test_update_with_skip_launch_leaves_a_machine_stopped(api: Api) -> None:
    """`skip_launch` only changes the config."""
    machine_id = api.prepare()
    body = {"config": CONFIG, "skip_launch": True}

    assert (
        "stopped"
        == api.call("POST", f"machines/{machine_id}", json=body).json()["state"]
    )


def test_update_holds_to_the_version_it_was_made_for(api: Api) -> None:
    """A stale `current_version` is refused with 412."""
    machine_id = api.create()["id"]
    body = {"config": CONFIG, "current_version": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}

    assert 412 == api.call("POST", f"machines/{machine_id}", json=body).status_code


@pytest.mark.parametrize("field", [{"name": "other"}, {"region": "fra"}])
def test_name_and_region_cannot_be_updated(api: Api, field: dict[str, str]) -> None:
    """Both are immutable."""
    machine_id = api.create()["id"]
    body = {"config": CONFIG, **field}

    assert 400 == api.call("POST", f"machines/{machine_id}", json=body).status_code


def test_versions_are_listed_newest_first(api: Api) -> None:
    """Each update adds a version with the config it had."""
    machine_id = api.prepare(env={"A": "1"})
    body = {"config": {**CONFIG, "env": {"A": "2"}}, "skip_launch": True}
    newest = api.call("POST", f"machines/{machine_id}", json=body).json()["instance_id"]

    versions = api.call("GET", f"machines/{machine_id}/versions").json()

    assert ["2", "1"] == [v["user_config"]["env"]["A"] for v in versions]
    assert newest == versions[0]["version"]


def test_an_organisation_lists_the_machines_of_its_apps(api: Api) -> None:
    """Each is shown with the app that it belongs to."""
    machine_id = api.create()["id"]

    body = api.call("GET", "/v1/orgs/personal/machines").json()

    assert [(machine_id, "demo")] == [
        (m["id"], m["app_name"]) for m in body["machines"]
    ]
    assert [] == api.call("GET", "/v1/orgs/other/machines").json()["machines"]


def test_regions_have_a_nearest(api: Api) -> None:
    """Both the OpenAPI file's and fly-go's names are there."""
    body = api.call("GET", "/v1/platform/regions").json()

    assert "iad" == body["nearest"] == body["Nearest"]
    assert {"ams", "iad"} <= {region["code"] for region in body["regions"]}
