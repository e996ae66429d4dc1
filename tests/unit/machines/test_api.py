"""Every verb: what it sends, and what it makes of the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from responses.matchers import (
    header_matcher,
    json_params_matcher,
    query_param_matcher,
)

from worker_lib.errors import (
    ApiUnavailable,
    ConfigError,
    InvalidRequest,
    MachineConflict,
    MachineNotFound,
    MachineWaitTimeout,
    Unauthorized,
)
from worker_lib.machines.api import MachinesApi
from worker_lib.machines.types import App, Lease, Machine, MachineEvent, MachineVersion

from .conftest import APP, BASE, CANARY, MACHINES

if TYPE_CHECKING:
    from collections.abc import Callable

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
        "skip_launch": True,
    }
    fly.post(MACHINES, json=REPLY, match=[json_params_matcher(body)])

    machine = api.create_machine(
        name="jobs-1", region="fra,ams", config=CONFIG, skip_launch=True
    )

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
    query = {
        "metadata.pool": "p1",
        "include_deleted": "true",
        "region": "ams",
        "state": "started,stopped",
    }
    mine = REPLY | {"config": {"metadata": {"pool": "p1", "slot": "3"}}}
    other = REPLY | {"id": "2", "config": {"metadata": {"pool": "p2"}}}
    fly.get(MACHINES, json=[other, mine, "?"], match=[query_param_matcher(query)])

    machines = api.list_machines(
        metadata={"pool": "p1"},
        include_deleted=True,
        region="ams",
        states=["started", "stopped"],
    )

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

    found = api.find_machine("jobs-1")

    assert found is not None
    assert "3" == found.id
    assert api.find_machine("jobs-9") is None


def test_find_narrows_by_metadata(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly need not send the whole app."""
    fly.get(MACHINES, json=[], match=[query_param_matcher({"metadata.pool": "p1"})])

    assert api.find_machine("jobs-1", metadata={"pool": "p1"}) is None


def test_update_replaces_the_config_under_the_lease(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Version and lease guard against a change by somebody else."""
    body = {"config": CONFIG, "current_version": "01H", "skip_launch": True}
    nonce = header_matcher({"fly-machine-lease-nonce": "n1"})
    fly.post(ONE, json=REPLY, match=[json_params_matcher(body), nonce])

    machine = api.update_machine(
        "148e",
        config=CONFIG,
        current_version="01H",
        skip_launch=True,
        lease_nonce="n1",
    )

    assert "148e" == machine.id


@pytest.mark.parametrize(
    ("expected", "act"),
    [
        ("start", lambda api: api.start_machine("148e", lease_nonce="n1")),
        ("stop", lambda api: api.stop_machine("148e", lease_nonce="n1")),
        ("suspend", lambda api: api.suspend_machine("148e", lease_nonce="n1")),
        ("restart", lambda api: api.restart_machine("148e", lease_nonce="n1")),
        ("cordon", lambda api: api.cordon("148e", lease_nonce="n1")),
        ("uncordon", lambda api: api.uncordon("148e", lease_nonce="n1")),
    ],
)
def test_change_of_state_goes_to_its_path_under_the_lease(
    expected: str,
    act: Callable[[MachinesApi], None],
    api: MachinesApi,
    fly: responses.RequestsMock,
) -> None:
    """Each is one POST, and a body that says nothing is not read."""
    fly.post(f"{ONE}/{expected}", body=b"")

    act(api)

    assert "n1" == sent_headers(fly)["fly-machine-lease-nonce"]


def test_no_lease_header_without_a_lease(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """An empty nonce is not sent: it would be a wrong one."""
    fly.post(f"{ONE}/start", json={"previous_state": "stopped"})

    api.start_machine("148e")

    assert "fly-machine-lease-nonce" not in sent_headers(fly)


def test_stop_names_the_signal_and_the_grace(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The signal is always said, the time as Go spells it."""
    for body in ({"signal": "SIGTERM"}, {"signal": "SIGINT", "timeout": "1.5s"}):
        fly.post(f"{ONE}/stop", json={"ok": True}, match=[json_params_matcher(body)])

    api.stop_machine("148e")
    api.stop_machine("148e", signal="SIGINT", timeout=1.5)


def test_restart_says_how_in_the_query(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The API takes these two as parameters, not as a body."""
    query = {"signal": "SIGINT", "timeout": "30s"}
    fly.post(f"{ONE}/restart", match=[query_param_matcher(query)])

    api.restart_machine("148e", signal="SIGINT", timeout=30)


def test_signal_is_sent_by_name(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Names are what the API documents."""
    fly.post(f"{ONE}/signal", match=[json_params_matcher({"signal": "SIGUSR1"})])

    api.signal_machine("148e", "SIGUSR1")


@pytest.mark.parametrize(
    ("expected", "force"), [({}, False), ({"force": "true"}, True)]
)
def test_destroy_forces_only_if_told(
    expected: dict[str, str],
    api: MachinesApi,
    fly: responses.RequestsMock,
    *,
    force: bool,
) -> None:
    """A running machine is not killed by accident."""
    fly.delete(ONE, json={"ok": True}, match=[query_param_matcher(expected)])

    api.destroy_machine("148e", force=force)


def test_destroy_of_a_machine_that_is_gone_is_done(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Two sweepers may destroy the same machine."""
    fly.delete(ONE, status=404, json={"error": "not_found: machine not found"})

    api.destroy_machine("148e")


def test_destroy_of_a_running_machine_is_refused(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly's 412 comes through."""
    fly.delete(ONE, status=412, json={"error": "failed_precondition: is started"})

    with pytest.raises(MachineConflict):
        api.destroy_machine("148e")


@pytest.mark.parametrize(
    ("expected", "timeout"),
    [("1", -5), ("1", 0), ("1", 0.2), ("1", 1.9), ("30", 30), ("60", 60), ("60", 1e9)],
)
def test_wait_asks_for_whole_seconds_that_fly_accepts(
    expected: str, timeout: float, api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Outside 1 to 60 Fly answers 400."""
    query = {"state": "started", "timeout": expected}
    fly.get(f"{ONE}/wait", json={"ok": True}, match=[query_param_matcher(query)])
    fly.get(ONE, json=REPLY | {"state": "started"})

    assert STARTED == api.wait("148e", "started", timeout)


def test_wait_listens_longer_than_fly_waits(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Our own time-out never cuts a wait short."""
    fly.get(f"{ONE}/wait", json={"ok": True})
    fly.get(ONE, json=REPLY)

    api.wait("148e", "started", 60)

    keywords = [call.request.req_kwargs for call in fly.calls]  # type: ignore[attr-defined] # set by responses
    assert [(10.0, 70.0), (10.0, 10.0)] == [each["timeout"] for each in keywords]


def test_wait_can_be_for_one_version(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """After an update the old version's state says nothing."""
    query = {"state": "stopped", "timeout": "5", "version": "01HZ"}
    fly.get(f"{ONE}/wait", json={"ok": True}, match=[query_param_matcher(query)])
    fly.get(ONE, json=REPLY)

    api.wait("148e", "stopped", 5, instance_id="01HZ")


def test_wait_that_ends_too_early_is_a_timeout(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The machine may still arrive, and the error says so."""
    said = "deadline_exceeded: machine failed to reach desired state, started"
    fly.get(f"{ONE}/wait", status=408, json={"error": said})

    with pytest.raises(MachineWaitTimeout, match="148e was not started after 7 s"):
        api.wait("148e", "started", 7)


def test_wait_for_the_end_of_a_machine_that_is_gone_succeeds(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Fly forgets destroyed machines."""
    fly.get(f"{ONE}/wait", status=404, json={"error": "machine not found"})

    assert Machine(id="148e", state="destroyed") == api.wait("148e", "destroyed", 5)


def test_wait_for_the_end_succeeds_if_it_is_forgotten_right_after(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Between the wait and the look the machine may vanish."""
    fly.get(f"{ONE}/wait", json={"ok": True})
    fly.get(ONE, status=404, json={"error": "machine not found"})

    assert Machine(id="148e", state="destroyed") == api.wait("148e", "destroyed", 5)


def test_wait_for_anything_else_of_a_machine_that_is_gone_fails(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """It will never start."""
    fly.get(f"{ONE}/wait", status=404, json={"error": "machine not found"})

    with pytest.raises(MachineNotFound):
        api.wait("148e", "started", 5)


def test_wait_is_sent_once(
    api: MachinesApi, fly: responses.RequestsMock, pauses: list[float]
) -> None:
    """Its time would start anew with every try."""
    fly.get(f"{ONE}/wait", status=503)

    with pytest.raises(ApiUnavailable) as caught:
        api.wait("148e", "started", 5)

    assert ("retry", []) == (caught.value.refusal, pauses)


def test_events_are_read_newest_first(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The order is Fly's."""
    query = query_param_matcher({"limit": "50"})
    fly.get(f"{ONE}/events", json=[{"id": "2"}, {"id": "1"}], match=[query])

    expected = [MachineEvent(id="2"), MachineEvent(id="1")]
    assert expected == api.events("148e", limit=50)


def test_versions_are_read(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Each is an id and the config of that time."""
    fly.get(f"{ONE}/versions", json=[{"version": "01H", "user_config": CONFIG}])

    expected = [MachineVersion(version="01H", user_config=CONFIG)]
    assert expected == api.list_versions("148e")


def test_lease_is_acquired_refreshed_read_and_released(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The nonce of the first goes along with the ones after it."""
    lease = {"nonce": "n1", "expires_at": 7}
    nonce = header_matcher({"fly-machine-lease-nonce": "n1"})
    ask = json_params_matcher({"ttl": 30, "description": "resize"})
    again = json_params_matcher({"ttl": 60})
    url = f"{ONE}/lease"
    fly.post(url, status=201, json={"status": "success", "data": lease}, match=[ask])
    fly.post(url, status=201, json=lease | {"expires_at": 9}, match=[again, nonce])
    fly.get(url, json=lease)
    fly.delete(url, match=[nonce])

    held = api.acquire_lease("148e", ttl=30, description="resize")
    assert Lease(nonce="n1", expires_at=7) == held
    assert 9 == api.refresh_lease("148e", held.nonce, ttl=60).expires_at
    assert "n1" == api.get_lease("148e").nonce
    api.release_lease("148e", held.nonce)


def test_lease_that_is_gone_counts_as_released(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """It may have run out in the meantime."""
    fly.delete(f"{ONE}/lease", status=404, json={"error": "lease not found"})

    api.release_lease("148e", "n1")


def test_metadata_is_read_set_and_removed(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """A key is escaped, for people choose it."""
    fly.get(f"{ONE}/metadata", json={"pool": "p1"})
    fly.post(
        f"{ONE}/metadata/a%2Fb", status=204, match=[json_params_matcher({"value": "1"})]
    )
    fly.delete(f"{ONE}/metadata/pool", status=204)
    fly.delete(f"{ONE}/metadata/gone", status=404)

    assert {"pool": "p1"} == api.get_metadata("148e")
    api.set_metadata("148e", "a/b", "1")
    api.delete_metadata("148e", "pool")
    api.delete_metadata("148e", "gone")


def test_app_is_created(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Its name is known although the reply does not repeat it."""
    body = json_params_matcher({"name": "jobs-2", "org_slug": "acme"})
    fly.post(f"{BASE}/v1/apps", status=201, json={"id": "x1"}, match=[body])

    expected = App(id="x1", name="jobs-2")
    assert expected == api.create_app("jobs-2", org_slug="acme")


def test_app_is_read(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Without a name it is the client's own."""
    fly.get(APP, json={"name": "jobs"})
    fly.get(f"{BASE}/v1/apps/other", status=403, json={"error": "unauthorized"})

    assert App(name="jobs") == api.get_app()
    with pytest.raises(Unauthorized):
        api.get_app("other")


def test_apps_are_listed(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """An organization without apps has an empty list, not an error."""
    for apps in ([{"name": "jobs"}], None):
        fly.get(
            f"{BASE}/v1/apps",
            json={"apps": apps},
            match=[query_param_matcher({"org_slug": "acme"})],
        )

    assert [App(name="jobs")] == api.list_apps(org_slug="acme")
    assert [] == api.list_apps(org_slug="acme")


def test_app_is_deleted(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Deleting twice is deleting."""
    url = f"{BASE}/v1/apps/old"
    fly.delete(url, status=202, match=[query_param_matcher({"force": "true"})])
    fly.delete(url, status=404, match=[query_param_matcher({})])

    api.delete_app("old", force=True)
    api.delete_app("old")


def test_secrets_are_set_and_removed(
    api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The version tells from when on machines can have them."""
    body = json_params_matcher({"values": {"A": "1", "B": None}})
    fly.post(f"{APP}/secrets", json={"version": 12}, match=[body])

    assert 12 == api.set_secrets({"A": "1", "B": None})


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
        api.destroy_machine(machine_id, force=True)


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
