"""Faults of requests; counts and costs of requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from waiting import until

from worker_lib.emulator import FaultRule
from worker_lib.emulator.faults.effects import ACTIONS, ERROR_REPLIES
from worker_lib.emulator.routes import _APP_ROUTES, _MACHINE_ROUTES, _OTHER_ROUTES

if TYPE_CHECKING:
    from .client import Api

CONFIG = {"image": "x", "init": {"exec": ["sleep", "60"]}}


def script(api: Api, *rules: dict[str, Any]) -> None:
    """Put faults in force over HTTP."""
    assert 200 == api.call("POST", "/_emulator/faults", json=list(rules)).status_code


def test_a_forced_status_before_the_work_leaves_nothing_behind(api: Api) -> None:
    """It applies as often as told, then the request goes through."""
    script(api, {"action": "create", "status": 503, "times": 1})

    assert 503 == api.create_raw(config=CONFIG).status_code
    assert [] == api.call("GET", "machines").json()
    assert 200 == api.create_raw(config=CONFIG).status_code


def test_a_lost_reply_leaves_a_machine_and_then_a_taken_name(api: Api) -> None:
    """The work is done without a reply: a second try gets 409."""
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


def test_a_delay_after_the_work_does_not_delay_the_boot(api: Api) -> None:
    """The machine runs while its create is still waiting for the reply."""
    script(api, {"action": "create", "delay": 0.3, "after_commit": True})

    began = time.time()
    machine_id = api.create(["date", "+%s.%N"])["id"]

    assert time.time() - began >= 0.3
    api.wait(machine_id, "stopped")
    assert float(api.log(machine_id)) - began < 0.3


def test_a_new_machine_can_be_hidden_for_a_while(api: Api) -> None:
    """GET and wait answer 404 although it runs."""
    script(
        api,
        {"action": "get", "effect": "stale", "delay": 30},
        {"action": "wait", "effect": "stale", "delay": 30},
    )
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
    ("rule", "told"),
    [
        ({}, "needs an effect, a status or a delay"),
        (1, "a fault is an object"),
        ({"actoin": "get", "status": 500}, "did you mean 'action'?"),
        ({"action": "crate", "status": 500}, "did you mean 'create'?"),
        ({"status": 5003}, "did you mean '503'?"),
        ({"status": "503"}, "status of a fault is '503', which is not a whole number"),
        ({"effect": "hagn", "state": "starting"}, "did you mean 'hang'?"),
        ({"effect": "hang", "state": "staring"}, "did you mean 'starting'?"),
        ({"effect": "hang", "state": "started"}, "hang applies to machines in state"),
        ({"effect": "kill"}, "kill applies to machines in state started or"),
        ({"effect": "stale", "action": "stop"}, "stale applies to events or get"),
        ({"effect": "drop", "state": "started"}, "drop applies to requests"),
        ({"status": 500, "state": "started"}, "it answers no request"),
        ({"delay": 1, "state": "started"}, "needs an effect"),
        ({"status": 500, "region": "amz"}, "did you mean 'ams'?"),
        ({"status": 500, "size": "shared"}, "such as shared-cpu-2x"),
        ({"status": 500, "times": 0.5}, "not a whole number"),
        ({"status": 500, "times": 0}, "must be 1 or more"),
        ({"status": 500, "nth": 0}, "must be 1 or more"),
        ({"status": 500, "probability": 2}, "must be 0 to 1"),
        ({"delay": [2, 1]}, "[min, max]"),
        (
            {"action": "create", "region": "ams", "delay": 1},
            "only answer with an error",
        ),
        ({"delay": -1}, "[min, max]"),
    ],
)
def test_a_wrong_fault_is_refused(api: Api, rule: object, told: str) -> None:
    """400 with the nearest known name, so that no rule is useless unseen."""
    reply = api.call("POST", "/_emulator/faults", json=[rule])

    assert (400, True) == (reply.status_code, told in reply.json()["error"]), reply.text


@pytest.mark.parametrize("body", [{}, {"rules": 1}, {"rules": [], "sed": 1}, 1])
def test_a_wrong_plan_is_refused(api: Api, body: object) -> None:
    """Rules are a list, alone or beside a seed."""
    assert 400 == api.call("POST", "/_emulator/faults", json=body).status_code


@pytest.mark.parametrize(
    ("effect", "status", "told"),
    [(name, reply.status, reply.error) for name, reply in ERROR_REPLIES.items()],
)
def test_an_error_of_fly_can_be_named(
    api: Api, effect: str, status: int, told: str
) -> None:
    """Each of Fly's own, with its status and text."""
    script(api, {"action": "list", "effect": effect})

    reply = api.call("GET", "machines")

    assert (status, told) == (reply.status_code, reply.json()["error"])


def test_retry_after_is_sent_if_it_is_set(api: Api) -> None:
    """Fly is not known to send it, so both must be met."""
    script(api, {"effect": "rate_limited", "times": 1})
    assert "Retry-After" not in api.call("GET", "machines").headers

    script(api, {"effect": "rate_limited", "retry_after": 7})
    assert "7" == api.call("GET", "machines").headers["Retry-After"]


def test_a_reset_connection_is_told_from_one_that_ended(api: Api) -> None:
    """RST, after the work was done."""
    script(api, {"action": "create", "effect": "reset", "after_commit": True})

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.create_raw(config=CONFIG)

    assert 1 == len(api.call("GET", "machines").json())


def test_a_truncated_reply_ends_half_way(api: Api) -> None:
    """Its length was announced, so the client notices."""
    script(api, {"action": "create", "effect": "truncate"})

    with pytest.raises(requests.RequestException, match="IncompleteRead"):
        api.create_raw(config=CONFIG)

    assert 1 == len(api.call("GET", "machines").json())


def test_a_reply_can_be_a_page_of_html(api: Api) -> None:
    """A proxy's page: after the work with its status, or in its place."""
    script(api, {"action": "create", "effect": "html", "after_commit": True})
    done = api.create_raw(config=CONFIG)
    script(api, {"action": "create", "effect": "html"})
    undone = api.create_raw(config=CONFIG)

    assert (200, 502) == (done.status_code, undone.status_code)
    assert done.text.startswith("<html>")
    assert done.text == undone.text
    assert 1 == len(api.call("GET", "machines").json())


def test_a_fault_can_begin_at_a_count(api: Api) -> None:
    """A token that is revoked: from the third request on, for ever."""
    script(api, {"effect": "unauthorized", "nth": 3})

    statuses = [api.call("GET", "machines").status_code for _ in range(5)]

    assert [200, 200, 401, 401, 401] == statuses


def test_a_fault_can_begin_and_end_at_a_time(api: Api) -> None:
    """Seconds from when it was scripted."""
    script(api, {"effect": "unauthorized", "since": 0.2, "until": 0.4})

    def status() -> int:
        return api.call("GET", "machines").status_code

    assert 200 == status()
    until(lambda: 401 == status())
    until(lambda: 200 == status())


def test_the_same_seed_affects_the_same_requests(api: Api) -> None:
    """Another seed affects others; about as many as the probability says."""
    rule = {"status": 500, "probability": 0.3}

    def statuses(seed: int) -> list[int]:
        plan = {"seed": seed, "rules": [rule]}
        api.call("POST", "/_emulator/faults", json=plan)
        return [api.call("GET", "machines").status_code for _ in range(60)]

    first = statuses(7)
    assert first == statuses(7) != statuses(8)
    assert 5 < first.count(500) < 35


def test_a_fault_can_be_for_some_machines_only(api: Api) -> None:
    """By region, size and how the name begins; for requests about one of them."""
    guest = {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}
    affected = api.create(top={"name": "one-a", "region": "fra"}, guest=guest)["id"]
    other = api.create(top={"name": "two-b", "region": "ams"})["id"]

    for only in ({"region": "fra"}, {"size": "shared-cpu-2x"}, {"machine": "one-"}):
        script(api, {"action": "get", "status": 500, **only})
        assert 500 == api.call("GET", f"machines/{affected}").status_code
        assert 200 == api.call("GET", f"machines/{other}").status_code


def test_a_size_without_room_is_refused(api: Api) -> None:
    """In one region or in all, other sizes being sold."""
    big = {**CONFIG, "guest": {"cpu_kind": "performance", "cpus": 2}}
    rule = {"action": "create", "effect": "no_capacity", "size": "performance-2x"}
    script(api, {**rule, "region": "ams"})

    assert 422 == api.create_raw(config=big, region="ams").status_code
    assert "fra" == api.create_raw(config=big, region="ams,fra").json()["region"]
    assert 200 == api.create_raw(config=CONFIG, region="ams").status_code
    script(api, rule)
    assert 422 == api.create_raw(config=big).status_code
    assert 200 == api.create_raw(config=CONFIG).status_code


def test_a_stale_list_shows_what_was(api: Api) -> None:
    """A machine is not in it yet, and later still runs although it is gone."""
    machine_id = api.create()["id"]

    def listed(lag: float) -> list[str]:
        script(api, {"action": "list", "effect": "stale", "delay": lag})
        return [m["state"] for m in api.call("GET", "machines").json()]

    assert [] == listed(5)
    time.sleep(0.3)
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")
    assert [] == listed(0.001)
    assert ["started"] == listed(0.25)


def test_a_stale_get_does_not_know_a_new_machine(api: Api) -> None:
    """404 just after the create, then 200."""
    script(api, {"action": "get", "effect": "stale", "delay": 0.2})
    path = f"machines/{api.create()['id']}"

    assert 404 == api.call("GET", path).status_code
    until(lambda: 200 == api.call("GET", path).status_code)


def test_machines_can_be_left_out_of_a_list(api: Api) -> None:
    """All of them, or those of one region."""
    api.create(top={"region": "ams"})
    other = api.create(top={"region": "fra"})["id"]

    script(api, {"action": "list", "effect": "omit", "region": "ams"})
    assert [other] == [m["id"] for m in api.call("GET", "machines").json()]
    script(api, {"action": "list", "effect": "omit"})
    assert [] == api.call("GET", "machines").json()


def test_a_list_can_lack_configs(api: Api) -> None:
    """As from hosts that do not answer: what is known stands in another field."""
    api.create(metadata={"pool": "a"}, env={"SECRET": "1"})
    script(api, {"action": "list", "effect": "partial"})

    (machine,) = api.call("GET", "machines").json()

    assert "unreachable" == machine["host_status"]
    assert "config" not in machine
    assert {"guest", "image", "metadata"} == machine["incomplete_config"].keys()


def test_a_rule_can_name_every_action() -> None:
    """The names that a rule may hold are those of the routes."""
    routes = (*_APP_ROUTES, *_MACHINE_ROUTES, *_OTHER_ROUTES)

    assert {route.action for route in routes if not route.is_admin} == ACTIONS


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
