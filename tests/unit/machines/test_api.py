"""Every verb: what it sends, and what it makes of the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from responses.matchers import json_params_matcher, query_param_matcher

from worker_lib.errors import (
    ApiUnavailable,
    ConfigError,
    InvalidRequest,
    MachinesApiError,
    MachineWaitTimeout,
)
from worker_lib.machines.api import MachinesApi
from worker_lib.machines.types import Machine

from .conftest import BASE, CANARY, MACHINES

if TYPE_CHECKING:
    import responses

ONE = f"{MACHINES}/148e"
REPLY = {"id": "148e", "name": "jobs-1", "state": "created", "region": "ams"}
STARTED = Machine(id="148e", name="jobs-1", state="started", region="ams")
CONFIG = {"image": "registry.fly.io/jobs:1", "env": {"A": "b"}}


def sent_headers(fly: responses.RequestsMock) -> dict[str, Any]:
    """Return the headers of the last request."""
    return dict(fly.calls[-1].request.headers)


def test_create_sends_all_and_returns_the_machine(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The reply says where the machine is, whatever was asked for."""
    body = {
        "name": "jobs-1",
        "region": "fra,ams",
        "config": CONFIG,
    }
    fly.post(MACHINES, json=REPLY, match=[json_params_matcher(body)])

    machine = api.create_machine(name="jobs-1", region="fra,ams", config=CONFIG)

    assert Machine(id="148e", name="jobs-1", state="created", region="ams") == machine


def test_create_leaves_defaults_to_fly(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """No region means near the caller, which only Fly can tell."""
    body = {"name": "jobs-1", "config": CONFIG}
    fly.post(MACHINES, json=REPLY, match=[json_params_matcher(body)])

    assert "148e" == api.create_machine(name="jobs-1", region=None, config=CONFIG).id


def test_get_returns_the_machine(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """A machine is read by its id."""
    fly.get(ONE, json=REPLY | {"state": "started"})

    assert STARTED == api.get_machine("148e")


def test_list_filters_at_fly_and_again_here(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """A server that ignores the metadata filter does not mislead anybody."""
    query = {"metadata.pool": "p1", "include_deleted": "true"}
    mine = REPLY | {"config": {"metadata": {"pool": "p1", "slot": "3"}}}
    other = REPLY | {"id": "2", "config": {"metadata": {"pool": "p2"}}}
    fly.get(MACHINES, json=[other, mine, "?"], match=[query_param_matcher(query)])

    machines = api.list_machines(metadata={"pool": "p1"}, include_deleted=True)

    assert ["148e"] == [machine.id for machine in machines]


def test_list_of_everything_has_no_filter(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Without arguments all machines come back."""
    fly.get(MACHINES, json=[REPLY], match=[query_param_matcher({})])

    assert ["148e"] == [machine.id for machine in api.list_machines()]


def test_find_takes_the_machine_of_that_name_that_lives(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """A machine on its way out is not adopted, nor one with a longer name."""
    fly.get(
        MACHINES,
        json=[
            REPLY | {"id": "1", "state": "destroying"},
            REPLY | {"id": "2", "name": "jobs-11"},
            REPLY | {"id": "3", "state": "starting"},
        ],
    )

    found = api.find_machine("jobs-1", metadata={})

    assert found is not None
    assert "3" == found.id
    assert api.find_machine("jobs-9", metadata={}) is None


def test_find_narrows_by_metadata(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly need not send the whole app."""
    fly.get(MACHINES, json=[], match=[query_param_matcher({"metadata.pool": "p1"})])

    assert api.find_machine("jobs-1", metadata={"pool": "p1"}) is None


def name_is_taken(api: MachinesApi, fly: responses.RequestsMock) -> MachinesApiError:
    """Return why a create failed whose name another machine has."""
    words = "unique machine name violation, machine ID 148e already exists"
    fly.post(MACHINES, status=409, json={"error": f"already_exists: {words}"})
    with pytest.raises(MachinesApiError) as caught:
        api.create_machine(name="jobs-1", region=None, config=CONFIG)
    return caught.value


def test_find_takes_the_machine_that_a_refused_create_names(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """No list need show it yet; it must have the metadata all the same."""
    refused = name_is_taken(api, fly)
    ours = {"metadata": {"pool": "p1"}}
    fly.get(ONE, json=REPLY | {"config": ours})

    found = api.find_machine("jobs-1", metadata={"pool": "p1"}, refused=refused)
    assert found is not None
    assert "148e" == found.id
    other = {"pool": "p2"}
    assert api.find_machine("jobs-1", metadata=other, refused=refused) is None


@pytest.mark.parametrize(
    "answer", [{"status": 404}, {"json": REPLY | {"state": "destroyed"}}]
)
def test_find_takes_no_machine_that_is_gone_or_too_new(
    answer: dict[str, Any], api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Whatever the refused create says of it."""
    refused = name_is_taken(api, fly)
    fly.get(ONE, **answer)

    assert api.find_machine("jobs-1", metadata={}, refused=refused) is None


@pytest.mark.parametrize("state", ["stopped", "suspended", "started"])
def test_start_tells_the_state_before(
    api: MachinesApi, fly: responses.RequestsMock, state: str
) -> None:
    """By which a machine that had not parked yet is told from one that will come."""
    reply = {"previous_state": state, "migrated": False, "new_host": ""}
    fly.post(f"{ONE}/start", json=reply)

    assert state == api.start_machine("148e")


@pytest.mark.parametrize(
    ("status", "text", "refusal"),
    [
        (404, "not_found: machine not found", "person"),
        (412, "failed_precondition: machine still active, refusing to start", "retry"),
        (
            409,
            "aborted: insufficient CPUs available to fulfill request",
            "next_region",
        ),
    ],
)
def test_a_refused_start_tells_what_to_do(
    api: MachinesApi,
    fly: responses.RequestsMock,
    status: int,
    text: str,
    refusal: str,
) -> None:
    """Ask again, or create another machine."""
    fly.post(f"{ONE}/start", status=status, json={"error": text})

    with pytest.raises(MachinesApiError) as caught:
        api.start_machine("148e")

    assert refusal == caught.value.refusal


def test_destroy_kills_what_runs(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Without `force` Fly refuses it with 412."""
    force = query_param_matcher({"force": "true"})
    fly.delete(ONE, json={"ok": True}, match=[force])

    api.destroy_machine("148e")


def test_destroy_of_a_machine_that_is_gone_is_done(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Two sweepers may destroy the same machine."""
    fly.delete(ONE, status=404, json={"error": "not_found: machine not found"})

    api.destroy_machine("148e")


@pytest.mark.parametrize(
    ("expected", "timeout"),
    [("1", -5), ("1", 0), ("1", 0.2), ("1", 1.9), ("30", 30), ("60", 60), ("60", 1e9)],
)
def test_wait_asks_for_whole_seconds_that_fly_accepts(
    expected: str, timeout: float, api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Outside 1 to 60 Fly answers 400."""
    query = {"state": "destroyed", "timeout": expected}
    fly.get(f"{ONE}/wait", json={"ok": True}, match=[query_param_matcher(query)])
    fly.get(ONE, json=REPLY | {"state": "destroying"})

    assert "destroying" == api.wait_until_destroyed("148e", timeout).state


def test_wait_listens_longer_than_fly_waits(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Our own time-out never cuts a wait short."""
    fly.get(f"{ONE}/wait", json={"ok": True})
    fly.get(ONE, json=REPLY)

    api.wait_until_destroyed("148e", 60)

    keywords = [call.request.req_kwargs for call in fly.calls]  # type: ignore[attr-defined] # set by responses
    assert [(10.0, 70.0), (10.0, 10.0)] == [each["timeout"] for each in keywords]


def test_wait_that_ends_too_early_is_a_timeout(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The machine may still arrive, and the error says so."""
    said = "deadline_exceeded: machine failed to reach desired state, destroyed"
    fly.get(f"{ONE}/wait", status=408, json={"error": said})

    with pytest.raises(MachineWaitTimeout, match="148e was not destroyed after 7 s"):
        api.wait_until_destroyed("148e", 7)


def test_wait_for_the_end_of_a_machine_that_is_gone_succeeds(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly forgets destroyed machines."""
    fly.get(f"{ONE}/wait", status=404, json={"error": "machine not found"})

    assert Machine(id="148e", state="destroyed") == api.wait_until_destroyed("148e", 5)


def test_wait_for_the_end_succeeds_if_it_is_forgotten_right_after(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Between the wait and the look the machine may vanish."""
    fly.get(f"{ONE}/wait", json={"ok": True})
    fly.get(ONE, status=404, json={"error": "machine not found"})

    assert Machine(id="148e", state="destroyed") == api.wait_until_destroyed("148e", 5)


def test_wait_is_sent_once(
    api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """Its time would start anew with every try."""
    fly.get(f"{ONE}/wait", status=503)

    with pytest.raises(ApiUnavailable) as caught:
        api.wait_until_destroyed("148e", 5)

    assert ("retry", []) == (caught.value.refusal, pauses)


def test_every_request_carries_the_token_and_who_asks(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """A macaroon goes in Fly's own scheme."""
    fly.post(MACHINES, json=REPLY)

    api.create_machine(name="jobs-1", region=None, config=CONFIG)

    headers = sent_headers(fly)
    assert f"FlyV1 {CANARY}" == headers["Authorization"]
    assert ("worker-lib", "application/json", "application/json") == (
        headers["User-Agent"],
        headers["Accept"],
        headers["Content-Type"],
    )


@pytest.mark.parametrize("machine_id", ["", ".."])
def test_id_that_names_no_machine_never_reaches_fly(
    machine_id: str, api: MachinesApi
) -> None:
    """DELETE of nothing in particular must not become DELETE of the app."""
    with pytest.raises(InvalidRequest, match="names nothing"):
        api.destroy_machine(machine_id)


@pytest.mark.parametrize(
    ("expected", "base_url", "token", "app"),
    [
        ("FLY_API_HOSTNAME", "http://api.machines.dev", "t", "jobs"),
        ("FLY_API_TOKEN", BASE, "", "jobs"),
        ("FLY_TASKS_APP", BASE, "t", ""),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    expected: str, base_url: str, token: str, app: str
) -> None:
    """The variable is named, and no call is made."""
    with pytest.raises(ConfigError, match=expected):
        MachinesApi(base_url, token, app)


def test_repr_shows_where_calls_go(api: MachinesApi) -> None:
    """And not the token."""
    expected = "MachinesApi(app='jobs', base_url='https://api.machines.dev')"

    assert expected == repr(api)
