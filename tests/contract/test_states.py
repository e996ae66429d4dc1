"""States, their order, and the events that tell of them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from waiting import until

from .client import SLEEP, boot_delay, on_every_runtime, shell

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

STUBBORN = shell("trap '' INT TERM; echo ready; while :; do sleep 0.05; done")
POLITE = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")


@on_every_runtime
def test_a_machine_that_ends_is_stopped(api: Api) -> None:
    """Policy `no`, no auto_destroy: created, started, stopped."""
    machine_id = api.create(["true"])["id"]
    api.wait(machine_id, "stopped")

    expected = ["launch/created/user", "start/started/flyd", "exit/stopped/flyd"]
    assert expected == api.steps(machine_id)


@on_every_runtime
@pytest.mark.parametrize("code", [0, 3])
def test_a_machine_with_auto_destroy_ends_destroyed(api: Api, code: int) -> None:
    """Whatever its exit code; nobody has asked for it, so there is one event only."""
    machine_id = api.create(shell(f"exit {code}"), auto_destroy=True)["id"]
    api.wait(machine_id, "destroyed")

    expected = [
        *("launch/created/user", "start/started/flyd", "exit/stopped/flyd"),
        "destroy/destroyed/flyd",
    ]
    assert expected == api.steps(machine_id)
    assert code == api.exit_event(machine_id)["exit_code"]


@on_every_runtime
def test_an_exit_event_shows_every_field(api: Api) -> None:
    """Zeros and false values are there, not left out."""
    machine_id = api.create(["true"])["id"]
    api.wait(machine_id, "stopped")

    event = api.exit_event(machine_id)

    assert event.pop("exited_at").endswith("Z")
    assert {
        "exit_code": 0,
        "guest_exit_code": 0,
        "guest_signal": -1,
        "signal": -1,
        "oom_killed": False,
        "requested_stop": False,
        "restarting": False,
    } == event


@on_every_runtime
def test_a_machine_killed_by_a_signal_exits_with_128_and_its_number(api: Api) -> None:
    """SIGKILL shows as exit code 137 and guest signal 9, with no stop requested."""
    machine_id = api.create(shell("kill -9 $$"))["id"]
    api.wait(machine_id, "stopped")

    event = api.exit_event(machine_id)

    assert (137, 9) == (event["exit_code"], event["guest_signal"])
    assert not event["requested_stop"]
    assert not event["oom_killed"]


@on_every_runtime
def test_a_command_that_cannot_be_executed_exits_with_127(api: Api) -> None:
    """The machine starts and ends, and its log says why."""
    machine_id = api.create(["/no/such/command"])["id"]
    api.wait(machine_id, "stopped")

    assert 127 == api.exit_event(machine_id)["exit_code"]
    assert "/no/such/command" in api.log(machine_id)


@on_every_runtime
def test_skip_launch_prepares_a_machine(api: Api) -> None:
    """It is `created`, then `stopped`, and has never run."""
    view = api.create(top={"skip_launch": True})

    assert "created" == view["state"]
    assert "stopped" == api.wait(view["id"], "stopped")["state"]
    assert 0 == api.emulator.billing()["started_s"]


def test_a_machine_cannot_be_started_before_it_is_prepared(
    start_emulator: StartEmulator,
) -> None:
    """412 while it is `created`: wait for `stopped` first."""
    api = start_emulator(prepare_delay=30.0)
    machine_id = api.create(top={"skip_launch": True})["id"]

    reply = api.post(machine_id, "start")

    assert 412 == reply.status_code
    assert "unable to start machine from current state: 'created'" in reply.text


@on_every_runtime
def test_a_stopped_machine_starts_again(api: Api) -> None:
    """Start tells the previous state, and adds the user's and flyd's events."""
    machine_id = api.prepare()

    reply = api.post(machine_id, "start")

    expected = {"previous_state": "stopped", "migrated": False, "new_host": ""}
    assert expected == reply.json()
    api.wait(machine_id, "started")
    assert ["start/starting/user", "start/started/flyd"] == api.steps(machine_id)[-2:]


@on_every_runtime
def test_starting_a_started_machine_changes_nothing(api: Api) -> None:
    """200, and no second event."""
    machine_id = api.run()
    steps = api.steps(machine_id)

    assert "started" == api.post(machine_id, "start").json()["previous_state"]
    assert steps == api.steps(machine_id)


def test_start_is_refused_while_created(start_emulator: StartEmulator) -> None:
    """412 with Fly's text, until the image is there."""
    api = start_emulator(faults=boot_delay(30.0))
    machine_id = api.create()["id"]

    reply = api.post(machine_id, "start")

    assert 412 == reply.status_code
    assert (
        "failed_precondition: unable to start machine from current state: 'created'"
        == reply.json()["error"]
    )


def test_a_machine_destroyed_while_created_never_boots(
    start_emulator: StartEmulator,
) -> None:
    """The scheduled boot is cancelled."""
    api = start_emulator(faults=boot_delay(0.1))
    machine_id = api.create()["id"]
    api.destroy(machine_id)

    reply = api.call("GET", f"machines/{machine_id}/wait?state=started&timeout=1")

    assert 404 == reply.status_code
    assert 0 == api.emulator.billing()["started_s"]


@on_every_runtime
def test_stop_sends_the_given_signal(api: Api) -> None:
    """A process that obeys ends by itself, with the stop noted as requested."""
    machine_id = api.create(POLITE)["id"]
    api.printed(machine_id, "ready")

    assert {"ok": True} == api.post(machine_id, "stop", signal="SIGTERM").json()

    api.wait(machine_id, "stopped")
    assert ["stop/stopping/user", "exit/stopped/flyd"] == api.steps(machine_id)[-2:]
    event = api.exit_event(machine_id)
    assert (0, True) == (event["exit_code"], event["requested_stop"])


@on_every_runtime
@pytest.mark.parametrize("timeout", ["0.1s", 100_000_000])
def test_stop_kills_after_the_grace(api: Api, timeout: object) -> None:
    """Who ignores the signal is killed; a grace is text or nanoseconds."""
    machine_id = api.create(STUBBORN)["id"]
    api.printed(machine_id, "ready")

    api.post(machine_id, "stop", signal="SIGTERM", timeout=timeout)

    api.wait(machine_id, "stopped")
    assert 137 == api.exit_event(machine_id)["exit_code"]


@on_every_runtime
def test_stop_follows_the_machine_s_own_stop_config(api: Api) -> None:
    """Signal and grace of the config count when the request has none."""
    stop_config = {"signal": "SIGTERM", "timeout": "200ms"}
    machine_id = api.create(STUBBORN, stop_config=stop_config)["id"]
    api.printed(machine_id, "ready")

    api.post(machine_id, "stop")

    api.wait(machine_id, "stopped")
    assert 137 == api.exit_event(machine_id)["exit_code"]


@on_every_runtime
def test_stop_sends_sigint_by_default(api: Api) -> None:
    """SIGINT is what the configuration reference says."""
    script = "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"
    machine_id = api.create(shell(script))["id"]
    api.printed(machine_id, "ready")

    api.post(machine_id, "stop")

    api.wait(machine_id, "stopped")
    assert 7 == api.exit_event(machine_id)["exit_code"]


def test_a_signal_that_the_emulator_ignores_is_not_ignored_in_machines(
    api: Api,
) -> None:
    """A shell starts its background jobs so, and what they start inherits it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        script = "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"
        machine_id = api.create(shell(script))["id"]
        api.printed(machine_id, "ready")
    finally:
        signal.signal(signal.SIGINT, before)
    api.post(machine_id, "stop")

    api.wait(machine_id, "stopped")
    assert 7 == api.exit_event(machine_id)["exit_code"]


@on_every_runtime
def test_start_is_refused_while_stopping(api: Api) -> None:
    """412 until the old run is over."""
    machine_id = api.create(STUBBORN)["id"]
    api.printed(machine_id, "ready")
    api.post(machine_id, "stop", timeout="30s")

    reply = api.post(machine_id, "start")

    assert 412 == reply.status_code
    assert "machine still active, refusing to start" in reply.json()["error"]


@on_every_runtime
def test_stopping_a_stopped_machine_changes_nothing(api: Api) -> None:
    """200, and no event."""
    machine_id = api.prepare()
    steps = api.steps(machine_id)

    assert 200 == api.post(machine_id, "stop").status_code
    assert steps == api.steps(machine_id)


@on_every_runtime
def test_stopping_a_machine_with_auto_destroy_destroys_it(api: Api) -> None:
    """It is complete, so it goes."""
    machine_id = api.run(auto_destroy=True)

    api.post(machine_id, "stop", signal="SIGKILL")

    assert "destroyed" == api.wait(machine_id, "destroyed")["state"]


@on_every_runtime
def test_policy_always_restarts_even_after_success(
    start_emulator: StartEmulator,
) -> None:
    """Exit code 0 is followed by a new run; the exit event says so."""
    api = start_emulator(restart_backoff=0.01)
    script = "echo run; echo x >> runs; [ $(wc -l < runs) -lt 3 ] || exec sleep 60"
    machine_id = api.create(
        shell(script), restart={"policy": "always"}, auto_destroy=True
    )["id"]

    api.printed(machine_id, "run\nrun\nrun\n")

    event = api.exit_event(machine_id)
    assert (0, True) == (event["exit_code"], event["restarting"])


@on_every_runtime
def test_policy_on_failure_stops_after_max_retries(
    start_emulator: StartEmulator,
) -> None:
    """Two retries make three runs; the last exit is not restarting."""
    api = start_emulator(restart_backoff=0.01)
    restart = {"policy": "on-failure", "max_retries": 2}
    machine_id = api.create(shell("echo run; exit 1"), restart=restart)["id"]

    api.wait(machine_id, "stopped")

    assert 3 == api.log(machine_id).count("run")
    assert not api.exit_event(machine_id)["restarting"]


@on_every_runtime
def test_on_failure_is_the_default_and_leaves_success_alone(api: Api) -> None:
    """Without a policy, a clean exit ends the machine."""
    machine_id = api.create(["true"], restart=None)["id"]

    assert "stopped" == api.wait(machine_id, "stopped")["state"]


@on_every_runtime
def test_a_restart_by_policy_can_be_stopped_in_its_pause(
    start_emulator: StartEmulator,
) -> None:
    """Between two runs it is `starting`, and a stop ends it for good."""
    api = start_emulator(restart_backoff=60.0)
    machine_id = api.create(["false"], restart={"policy": "always"})["id"]
    until(lambda: "starting" == api.get(machine_id)["state"])

    api.post(machine_id, "stop")

    assert "stopped" == api.get(machine_id)["state"]


@on_every_runtime
def test_restart_ends_one_run_and_begins_another(api: Api) -> None:
    """The machine keeps its version and gets a new process."""
    before = api.get(api.run(stop_config={"signal": "SIGTERM"}))

    reply = api.call("POST", f"machines/{before['id']}/restart?timeout=10s")

    assert 200 == reply.status_code
    api.wait(before["id"], "started")
    expected = ["restart/restarting/user", "exit/stopped/flyd", "start/started/flyd"]
    assert expected == api.steps(before["id"])[-3:]
    assert before["instance_id"] == api.get(before["id"])["instance_id"]


@on_every_runtime
@pytest.mark.parametrize(
    "query", ["force_stop=true", "timeout=100000000&signal=SIGTERM", "timeout=0.1s"]
)
def test_restart_kills_who_does_not_obey(api: Api, query: str) -> None:
    """At once with `force_stop`, else after the timeout in any of its forms."""
    machine_id = api.create(STUBBORN)["id"]
    api.printed(machine_id, "ready")

    api.call("POST", f"machines/{machine_id}/restart?{query}")

    api.wait(machine_id, "started")
    assert 137 == api.exit_event(machine_id)["exit_code"]


@on_every_runtime
@pytest.mark.parametrize("number", ["SIGTERM", "TERM", 15, "15"])
def test_a_signal_goes_to_the_main_process(api: Api, number: object) -> None:
    """By name or by number; the end it causes is not a requested stop."""
    machine_id = api.run(SLEEP)

    assert {"ok": True} == api.post(machine_id, "signal", signal=number).json()

    api.wait(machine_id, "stopped")
    event = api.exit_event(machine_id)
    assert (15, False) == (event["guest_signal"], event["requested_stop"])


def test_an_unknown_signal_is_refused_with_the_valid_ones(api: Api) -> None:
    """400 names all fourteen."""
    reply = api.post(api.create()["id"], "signal", signal="SIGSTOP")

    assert 400 == reply.status_code
    assert "SIGUSR2" in reply.json()["error"]


@on_every_runtime
def test_a_stopped_machine_takes_no_signal(api: Api) -> None:
    """412: nothing runs there."""
    machine_id = api.prepare()

    assert 412 == api.post(machine_id, "signal", signal="SIGTERM").status_code


def test_cordon_and_uncordon_are_shown(api: Api) -> None:
    """They change the flag and nothing else."""
    machine_id = api.create()["id"]

    assert 200 == api.post(machine_id, "cordon").status_code
    assert api.get(machine_id)["cordoned"]
    assert 200 == api.post(machine_id, "uncordon").status_code
    assert not api.get(machine_id)["cordoned"]


@on_every_runtime
def test_a_destroyed_machine_cannot_be_acted_upon(api: Api) -> None:
    """404 for start, stop and destroy, although GET still shows it."""
    machine_id = api.create()["id"]
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")

    assert 404 == api.post(machine_id, "start").status_code
    assert 404 == api.post(machine_id, "stop").status_code
    assert 404 == api.destroy(machine_id).status_code


@on_every_runtime
def test_events_are_newest_first_and_limited(api: Api) -> None:
    """`limit` counts from the newest; ids grow with time."""
    machine_id = api.create(["true"])["id"]
    api.wait(machine_id, "stopped")

    events = api.call("GET", f"machines/{machine_id}/events?limit=2").json()

    assert ["exit", "start"] == [event["type"] for event in events]
    assert events[0]["id"] > events[1]["id"]
    assert events[0]["timestamp"] >= events[1]["timestamp"]


@pytest.mark.parametrize("limit", ["0", "51", "x"])
def test_a_limit_of_events_has_bounds(api: Api, limit: str) -> None:
    """400 outside of 1 to 50."""
    machine_id = api.create()["id"]

    reply = api.call("GET", f"machines/{machine_id}/events?limit={limit}")

    assert 400 == reply.status_code
