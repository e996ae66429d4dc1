"""Requests that go wrong on purpose, and the counts and bills of those that do not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from worker_lib.emulator import FaultRule

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

CONFIG = {"image": "x", "init": {"exec": ["sleep", "60"]}}


def script(api: Api, *rules: dict[str, Any]) -> None:
    """Put faults in force over HTTP."""
    assert 200 == api.call("POST", "/_emulator/faults", json=list(rules)).status_code


def test_a_forced_status_before_the_work_leaves_nothing_behind(api: Api) -> None:
    """It strikes as often as told, then the request goes through."""
    script(api, {"action": "create", "status": 503, "times": 1})

    assert 503 == api.create_raw(config=CONFIG).status_code
    assert [] == api.call("GET", "machines").json()
    assert 200 == api.create_raw(config=CONFIG).status_code


def test_a_lost_reply_leaves_a_machine_and_then_a_taken_name(api: Api) -> None:
    """The work is done and nobody knows: a second try meets 409."""
    script(
        api, {"action": "create", "effect": "drop", "after_commit": True, "times": 1}
    )

    with pytest.raises(requests.ConnectionError):
        api.create_raw(name="one", config=CONFIG)

    (machine,) = api.call("GET", "machines").json()
    reply = api.create_raw(name="one", config=CONFIG)
    assert 409 == reply.status_code
    assert machine["id"] in reply.json()["error"]


def test_a_forced_status_after_the_work_is_ambiguous(api: Api) -> None:
    """408 although the machine is there."""
    script(api, {"action": "create", "status": 408, "after_commit": True})

    assert 408 == api.create_raw(config=CONFIG).status_code
    assert 1 == len(api.call("GET", "machines").json())


def test_a_dropped_request_is_not_worked(api: Api) -> None:
    """The connection ends before anything was done."""
    script(api, {"action": "create", "effect": "drop", "times": 1})

    with pytest.raises(requests.ConnectionError):
        api.create_raw(config=CONFIG)

    assert [] == api.call("GET", "machines").json()


def test_a_region_without_room_is_passed_over(api: Api) -> None:
    """A list of regions falls back to the next one."""
    script(api, {"action": "create", "region": "ams"})

    reply = api.create_raw(config=CONFIG, region="ams,fra")

    assert "fra" == reply.json()["region"]


def test_no_room_anywhere_is_refused_as_fly_does(api: Api) -> None:
    """422 `insufficient_capacity` by default, another refusal if told."""
    script(
        api,
        {"action": "create", "region": "ams"},
        {"action": "create", "region": "fra", "effect": "host_full"},
    )

    first = api.create_raw(config=CONFIG, region="ams")
    second = api.create_raw(config=CONFIG, region="fra")

    assert (422, "insufficient_capacity") == (
        first.status_code,
        first.json()["status"],
    )
    assert 409 == second.status_code
    assert "insufficient CPUs available" in second.json()["error"]


def test_a_delay_holds_a_request_back(api: Api) -> None:
    """By action; others are not delayed."""
    script(api, {"action": "get", "delay": 0.2})
    machine_id = api.create()["id"]

    began = time.monotonic()
    api.get(machine_id)

    assert time.monotonic() - began >= 0.2


def test_a_reply_delay_does_not_delay_the_boot(start_emulator: StartEmulator) -> None:
    """The machine runs while its create is still waiting for the reply."""
    api = start_emulator(reply_delays={"create": 0.3})

    began = time.time()
    machine_id = api.create(["date", "+%s.%N"])["id"]

    assert time.time() - began >= 0.3
    api.wait(machine_id, "stopped")
    assert float(api.log(machine_id)) - began < 0.3


def test_a_new_machine_can_be_hidden_for_a_while(start_emulator: StartEmulator) -> None:
    """GET and wait answer 404 although it runs."""
    api = start_emulator(hidden_after_create=30.0)
    machine_id = api.create()["id"]

    assert 404 == api.call("GET", f"machines/{machine_id}").status_code
    assert 404 == api.call("GET", f"machines/{machine_id}/wait").status_code
    assert [machine_id] == [m["id"] for m in api.call("GET", "machines").json()]


def test_faults_are_replaced_and_shown(api: Api) -> None:
    """A new list takes the place of the old; an empty one clears."""
    script(api, {"action": "get", "status": 500, "times": 2})
    (rule,) = api.call("GET", "/_emulator/faults").json()
    assert ("get", 500, 2) == (rule["action"], rule["status"], rule["times"])

    script(api)

    assert [] == api.call("GET", "/_emulator/faults").json()


@pytest.mark.parametrize(
    "body", [{}, [1], [{"actoin": "get"}], [{"status": "503"}], [{"times": 0.5}]]
)
def test_a_wrong_fault_is_refused(api: Api, body: object) -> None:
    """400, so that no test relies on a fault that never strikes."""
    assert 400 == api.call("POST", "/_emulator/faults", json=body).status_code


def test_faults_can_be_scripted_without_http(api: Api) -> None:
    """The same rules from Python, for every action."""
    api.emulator.script_faults([FaultRule(status=500, code="unknown")])

    reply = api.call("GET", "machines")

    assert (500, "unknown") == (reply.status_code, reply.json()["status"])


def test_calls_are_counted_by_action(api: Api) -> None:
    """Refused calls count, the emulator's own paths do not."""
    machine_id = api.create()["id"]
    api.get(machine_id)
    api.call("GET", "machines/0123456789abcd")

    counts = api.call("GET", "/_emulator/requests").json()

    assert {"total": 3, "actions": {"create": 1, "get": 2}} == counts
    assert counts == api.emulator.requests()


def test_only_started_time_is_billed(api: Api) -> None:
    """At the price of the guest, with the region's markup; not while suspended."""
    guest = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    machine_id = api.create(guest=guest, top={"region": "fra"})["id"]
    api.post(machine_id, "suspend")

    (line,) = api.call("GET", "/_emulator/billing").json()["machines"]
    again = api.emulator.billing()["machines"][0]

    assert (machine_id, "fra", guest) == (line["id"], line["region"], line["guest"])
    assert 0 < line["started_s"] == again["started_s"]
    assert line["usd"] == pytest.approx(line["started_s"] * 7.50e-7 * 1.154, rel=0.01)
    assert not line["running"]


def test_a_bill_grows_while_a_machine_runs_and_outlives_it(api: Api) -> None:
    """Started seconds grow until the end and stay afterwards."""
    machine_id = api.create()["id"]
    early = api.emulator.billing()["started_s"]
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")

    late = api.emulator.billing()["started_s"]

    assert 0 <= early < late == api.emulator.billing()["started_s"]
