"""Waiting for a state."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from .client import Api

if TYPE_CHECKING:
    from .conftest import StartEmulator


def test_wait_returns_at_once_when_the_state_is_there(api: Api) -> None:
    """The reply has state, version and the event that led there."""
    view = api.create()

    body = api.wait(view["id"], "started")

    newest = api.get(view["id"])["events"][0]["id"]
    expected = {
        "ok": True,
        "state": "started",
        "event_id": newest,
        "version": view["instance_id"],
    }
    assert expected == body


def test_wait_for_started_is_the_default(api: Api) -> None:
    """Without a state it is `started` that is waited for."""
    machine_id = api.create()["id"]

    assert "started" == api.call("GET", f"machines/{machine_id}/wait").json()["state"]


def test_wait_wakes_up_when_the_state_comes(api: Api) -> None:
    """A waiter hears of the change at once, long before its timeout."""
    machine_id = api.create()["id"]
    with ThreadPoolExecutor() as pool, Api(api.emulator) as other:
        waiting = pool.submit(other.wait, machine_id, "destroyed")
        assert not waiting.done()
        began = time.monotonic()
        api.destroy(machine_id)

        assert "destroyed" == waiting.result()["state"]
        assert time.monotonic() - began < 2


def test_wait_times_out_with_the_state_it_is_in(api: Api) -> None:
    """408 with Fly's text after the least timeout there is."""
    machine_id = api.prepare()

    reply = api.call("GET", f"machines/{machine_id}/wait?state=started&timeout=1")

    assert 408 == reply.status_code
    assert (
        "deadline_exceeded: machine failed to reach desired state, "
        "started, currently stopped" == reply.json()["error"]
    )


@pytest.mark.parametrize("timeout", ["0", "61", "-1", "2m", "0.5"])
def test_a_timeout_out_of_bounds_is_refused(api: Api, timeout: str) -> None:
    """400 with Fly's text: 1 to 60 seconds are allowed."""
    machine_id = api.create()["id"]

    reply = api.call("GET", f"machines/{machine_id}/wait?timeout={timeout}")

    assert 400 == reply.status_code
    assert (
        "invalid_argument: invalid WaitMachineRequest.Timeout: "
        "value must be inside range [1s, 1m0s]" == reply.json()["error"]
    )


@pytest.mark.parametrize("query", ["state=running", "timeout=soon"])
def test_nonsense_is_refused(api: Api, query: str) -> None:
    """400 for an unknown state or a timeout that is no time."""
    machine_id = api.create()["id"]

    assert 400 == api.call("GET", f"machines/{machine_id}/wait?{query}").status_code


@pytest.mark.parametrize(
    "query", ["state=stopped,started", "state=stopped&state=started"]
)
def test_wait_takes_several_states(api: Api, query: str) -> None:
    """A comma list or a repeated parameter: whichever comes first."""
    machine_id = api.create()["id"]

    reply = api.call("GET", f"machines/{machine_id}/wait?{query}")

    assert "started" == reply.json()["state"]


def test_settled_is_any_lasting_state(start_emulator: StartEmulator) -> None:
    """`created` is not settled, what follows is."""
    api = start_emulator(prepare_delay=0.1)
    machine_id = api.prepare()

    assert "stopped" == api.wait(machine_id, "settled")["state"]


def test_waiting_for_another_state_ends_when_the_machine_is_gone(api: Api) -> None:
    """404: it was destroyed and can never get there."""
    machine_id = api.create(["true"], auto_destroy=True)["id"]

    reply = api.call("GET", f"machines/{machine_id}/wait?state=stopped")

    assert 404 == reply.status_code
    assert "machine not found" in reply.json()["error"]


def test_a_state_that_has_passed_counts_from_an_event_on(api: Api) -> None:
    """`from_event_id` finds a state entered after it, although it is over."""
    machine_id = api.create(["true"])["id"]
    api.wait(machine_id, "stopped")
    launch = api.get(machine_id)["events"][-1]["id"]

    path = f"machines/{machine_id}/wait?state=started&from_event_id={launch}"

    assert "started" == api.call("GET", path).json()["state"]


def test_wait_holds_to_a_version(api: Api) -> None:
    """The right state in another version does not count."""
    view = api.create()
    path = f"machines/{view['id']}/wait?timeout=1"

    assert (
        200 == api.call("GET", f"{path}&instance_id={view['instance_id']}").status_code
    )
    assert (
        408 == api.call("GET", f"{path}&version=01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code
    )


def test_stopping_the_emulator_ends_every_wait(start_emulator: StartEmulator) -> None:
    """Waits end: 503, or the connection is closed."""
    api = start_emulator()
    machine_id = api.create()["id"]
    with ThreadPoolExecutor() as pool, Api(api.emulator) as other:
        path = f"machines/{machine_id}/wait?state=suspended"
        waiting = pool.submit(other.call, "GET", path)
        api.get(machine_id)
        began = time.monotonic()
        api.emulator.stop(grace=0.1)

        waiting.exception(timeout=5)
        assert time.monotonic() - began < 3
