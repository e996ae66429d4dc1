"""Faults of machines: delayed, hung, killed, migrated, their host lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from waiting import until

from worker_lib.emulator import EmulatorOptions, FaultPlan, FaultRule
from worker_lib.emulator.faults import FaultInjector
from worker_lib.emulator.fleet import Fleet
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest

from .client import shell

if TYPE_CHECKING:
    from pathlib import Path

    from .client import Api
    from .conftest import StartEmulator


def set_fault(api: Api, state: str, effect: str = "", delay: float = 0.0) -> None:
    """Apply a fault to every machine that enters a state."""
    api.emulator.script_faults([FaultRule(state=state, effect=effect, delay=delay)])


def state_of(api: Api, machine_id: str) -> str:
    """Return the state that a machine is in."""
    return str(api.get(machine_id)["state"])


@pytest.mark.parametrize("state", ["created", "starting"])
def test_a_boot_can_be_delayed(api: Api, state: str) -> None:
    """It stays in the state for so long, then starts."""
    set_fault(api, state, delay=0.2)
    machine_id = api.create()["id"]

    assert state == state_of(api, machine_id)
    assert "started" == api.wait(machine_id, "started")["state"]


def test_random_delays_depend_on_the_seed() -> None:
    """Between minimum and maximum; the same seed gives the same delays."""
    config = {"image": "x", "guest": Guest.parse().as_config()}
    machine = Fleet(EmulatorOptions(apps=("demo",))).add_machine(
        app="demo", name="", region="ams", config=config, secrets={}
    )

    def delays(seed: int) -> list[float]:
        injector = FaultInjector()
        rule = FaultRule(state="created", delay=(0.01, 0.2))
        injector.set_rules([rule], seed=seed)
        return [injector.on_state("created", machine).delay for _ in range(20)]

    first = delays(3)

    assert all(0.01 <= delay <= 0.2 for delay in first)
    assert first == delays(3) != delays(4)


@pytest.mark.parametrize("state", ["created", "starting"])
def test_a_boot_can_hang(api: Api, state: str) -> None:
    """It never starts, and can only be destroyed by force."""
    set_fault(api, state, "hang")
    machine_id = api.create()["id"]

    assert state == state_of(api, machine_id)
    assert 412 == api.call("DELETE", f"machines/{machine_id}").status_code
    api.destroy(machine_id)
    assert "destroyed" == api.wait(machine_id, "destroyed")["state"]
    assert "start/started/flyd" not in api.steps(machine_id)


@pytest.mark.parametrize("state", ["created", "starting"])
def test_a_launch_can_fail(api: Api, state: str) -> None:
    """It goes by `launch_failed` to `destroyed`, and has never run."""
    set_fault(api, state, "launch_failed")
    machine_id = api.create()["id"]

    steps = ["launch/launch_failed/flyd", "destroy/destroyed/flyd"]
    assert steps == api.steps(machine_id)[-2:]
    assert 0 == api.emulator.billing()["started_s"]


def test_a_stop_can_hang(api: Api) -> None:
    """It stays `stopping`, its process running, until it is destroyed."""
    set_fault(api, "stopping", "hang")
    machine_id = api.create()["id"]
    api.post(machine_id, "stop", signal="SIGKILL")

    assert "stopping" == state_of(api, machine_id)
    assert api.emulator.billing()["machines"][0]["running"]
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")


def test_a_stop_hangs_after_the_exit_too(api: Api) -> None:
    """The exit has its event, and the state stays."""
    set_fault(api, "stopping", "hang")
    machine_id = api.create(["sleep", "0.2"])["id"]
    api.post(machine_id, "stop")

    until(lambda: "exit/stopped/flyd" in api.steps(machine_id))
    assert "stopping" == state_of(api, machine_id)


def test_a_stop_can_be_delayed(api: Api) -> None:
    """The signal is late."""
    set_fault(api, "stopping", delay=0.2)
    machine_id = api.create()["id"]
    api.post(machine_id, "stop", signal="SIGKILL")

    assert "stopping" == state_of(api, machine_id)
    assert "stopped" == api.wait(machine_id, "stopped")["state"]


def test_the_grace_of_a_stop_can_be_cut_short(api: Api) -> None:
    """Fly calls its `kill_timeout` best effort."""
    set_fault(api, "stopping", "kill", delay=0.1)
    stubborn = shell("trap : TERM; echo up; while :; do sleep 0.01; done")
    machine_id = api.create(stubborn)["id"]
    api.printed(machine_id, "up")
    began = time.monotonic()
    api.post(machine_id, "stop", signal="SIGTERM", timeout="60s")
    api.wait(machine_id, "stopped")

    assert time.monotonic() - began < 5
    assert (137, True) == _how(api, machine_id)


def test_a_destroy_can_hang(api: Api) -> None:
    """It is `destroying` for ever; a second request does not help."""
    set_fault(api, "destroying", "hang")
    machine_id = api.create(["true"], auto_destroy=True)["id"]

    until(lambda: "destroying" == state_of(api, machine_id))
    assert 200 == api.destroy(machine_id).status_code
    assert "destroying" == state_of(api, machine_id)


def test_auto_destroy_can_lag(api: Api) -> None:
    """The machine has ended and is still there."""
    set_fault(api, "destroying", delay=0.3)
    machine_id = api.create(["true"], auto_destroy=True)["id"]

    until(lambda: "exit/stopped/flyd" in api.steps(machine_id))
    assert "destroying" == state_of(api, machine_id)
    api.wait(machine_id, "destroyed")


def test_a_destroyed_machine_can_be_shown_for_a_while(api: Api) -> None:
    """By its id, then 404."""
    set_fault(api, "destroyed", delay=0.2)
    machine_id = api.create(["true"], auto_destroy=True)["id"]
    api.wait(machine_id, "destroyed")

    assert "destroyed" == state_of(api, machine_id)
    path = f"machines/{machine_id}"
    until(lambda: 404 == api.call("GET", path).status_code)


def test_a_machine_can_be_killed_without_a_signal_before(api: Api) -> None:
    """Nobody asked for it: the exit event says so, and the policy decides."""
    set_fault(api, "started", "kill", delay=0.1)
    machine_id = api.create()["id"]
    api.wait(machine_id, "stopped")

    assert (137, False) == _how(api, machine_id)


def test_a_disruption_does_not_affect_the_next_run(api: Api) -> None:
    """It was scheduled for a run that has ended before."""
    set_fault(api, "started", "kill", delay=0.2)
    machine_id = api.create(["sleep", "0.05"])["id"]
    api.wait(machine_id, "stopped")
    api.emulator.script_faults([])
    api.call("POST", f"machines/{machine_id}", json={"config": _sleeper()})
    api.wait(machine_id, "started")
    time.sleep(0.3)

    assert "started" == state_of(api, machine_id)


def test_a_host_can_be_lost(api: Api) -> None:
    """Its process is gone and it is still `started`; only force gets rid of it."""
    set_fault(api, "started", "lose_host")
    machine_id = api.create()["id"]

    def lost() -> bool:
        return not api.emulator.billing()["machines"][0]["running"]

    until(lost)
    machine = api.get(machine_id)
    assert ("started", "unreachable") == (machine["state"], machine["host_status"])
    assert "config" not in machine
    assert "exit/stopped/flyd" not in api.steps(machine_id)
    assert 503 == api.post(machine_id, "stop").status_code
    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")


def test_a_machine_can_be_migrated(api: Api) -> None:
    """It is told to stop by SIGTERM and boots as another version of the same id."""
    api.emulator.script_faults(
        [FaultRule(state="started", effect="migrate", delay=0.2, times=1)]
    )
    told = shell("trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.01; done")
    before = api.create(told, auto_destroy=True)
    api.printed(before["id"], "told")

    until(lambda: 2 == api.steps(before["id"]).count("start/started/flyd"))
    after = api.get(before["id"])
    assert before["instance_id"] != after["instance_id"]
    assert (0, True) == _how(api, before["id"])


def test_faults_can_be_in_force_from_the_start(start_emulator: StartEmulator) -> None:
    """As an option, which the command line reads from a file."""
    plan = FaultPlan(rules=(FaultRule(action="list", effect="unavailable"),))

    assert 503 == start_emulator(faults=plan).call("GET", "machines").status_code


def test_faults_are_read_from_a_file(tmp_path: Path) -> None:
    """A list of rules and a seed."""
    file = tmp_path / "faults.json"
    file.write_text('{"seed": 7, "rules": [{"state": "created", "delay": [1, 2]}]}')

    rule = FaultRule(state="created", delay=(1, 2))
    assert FaultPlan(rules=(rule,), seed=7) == FaultPlan.read(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ('[{"staet": "created"}]', "rule 1: unknown key of a fault 'staet': did you"),
        (None, "cannot read"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(
    tmp_path: Path, text: str | None, told: str
) -> None:
    """In a sentence that names what is wrong."""
    file = tmp_path / "faults.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=told):
        FaultPlan.read(file)


def _how(api: Api, machine_id: str) -> tuple[int, bool]:
    """Return the last run's exit code, and whether it was asked for."""
    event = api.exit_event(machine_id)
    return event["exit_code"], event["requested_stop"]


def _sleeper() -> dict[str, object]:
    return {"image": "x", "init": {"exec": ["sleep", "60"]}}
