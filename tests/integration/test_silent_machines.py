"""Machines that were not heard of in time: given more time, or replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed
from sweeps import launched, running, sweep, sweeper_of
from waiting import until

from worker_lib.calls import codec, pickling
from worker_lib.emulator import FaultRule
from worker_lib.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fly_server import Fly

    from worker_lib.machines.types import Machine


def test_a_slot_that_its_owner_never_launched_is_launched(fly: Fly) -> None:
    """The process that took it has died in between."""
    _, stored = fly.rig.enqueue()
    fly.rig.pass_time(11)
    sweep(fly)

    assert [f"wl-{stored.slot}"] == fly.names()


def test_a_machine_that_is_still_booting_is_given_time(fly: Fly) -> None:
    """Fly says that it is up, so it may claim any moment."""
    _, slot, _ = launched(fly)
    fly.rig.pass_time(11)
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert {slot} == fly.rig.slots()
    assert 4 < fly.rig.timers()[f"s:{slot}"] <= 5


def test_a_machine_that_never_claims_is_destroyed_and_replaced(fly: Fly) -> None:
    """Twice its time to boot is enough; the next one comes after a pause."""
    job, slot, _ = launched(fly)
    fly.rig.pass_time(21)
    sweep(fly)
    assert set() == fly.rig.slots()
    assert 4 < fly.rig.timers()["p:pool"] <= 5
    fly.rig.pass_time(6)
    sweep(fly)
    (new,) = fly.rig.slots()

    assert new != slot
    assert [f"wl-{new}"] == fly.names()
    assert ("queued", "0") == (
        fly.rig.status(job),
        fly.rig.record(job)["lost"],
    )


def test_a_machine_that_was_never_created_is_replaced(fly: Fly) -> None:
    """The process that had the token died before its request."""
    _, stored = fly.rig.enqueue()
    fly.rig.store.launch(stored.slot, 10.0, fly.launcher.who)
    fly.rig.pass_time(11)
    sweep(fly)
    (new,) = fly.rig.slots()

    assert new != stored.slot
    assert [f"wl-{new}"] == fly.names()


def test_an_idle_machine_that_lives_is_left_alone(fly: Fly) -> None:
    """It lingers; that is what it was told."""
    _, slot, machine = launched(fly, linger=60.0)
    verbs = fly.rig.machine(slot, machine)
    verbs.report(claimed(verbs), "succeeded")
    fly.rig.pass_time(95)
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert {slot} == fly.rig.slots()


def test_an_idle_machine_that_is_gone_gives_its_slot_back(fly: Fly) -> None:
    """Nobody waits, so nothing takes its place."""
    _, slot, machine = launched(fly, linger=60.0)
    verbs = fly.rig.machine(slot, machine)
    verbs.report(claimed(verbs), "succeeded")
    fly.api.destroy_machine(machine)
    fly.rig.pass_time(95)
    sweep(fly)

    assert (set(), {}, []) == (fly.rig.slots(), fly.rig.timers(), fly.machines())


def test_a_job_whose_machine_is_gone_runs_again_elsewhere(fly: Fly) -> None:
    """Its lease is over by Redis's clock, and Fly has its machine no more."""
    job, slot, machine = running(fly)
    fly.api.destroy_machine(machine)
    fly.rig.pass_time(31)
    sweep(fly)
    (new,) = fly.rig.slots()

    assert new != slot
    assert [f"wl-{new}"] == fly.names()
    assert ("queued", "1") == (fly.rig.status(job), fly.rig.record(job)["lost"])


def test_a_machine_that_lives_but_is_silent_is_destroyed_before_it_is_replaced(
    fly: Fly,
) -> None:
    """It hangs, or is cut off: two of them would be paid."""
    _, slot, _ = running(fly)
    fly.rig.pass_time(31)
    sweep(fly)
    (new,) = fly.rig.slots()

    assert new != slot
    assert [f"wl-{new}"] == until(
        lambda: names if 1 == len(names := fly.names()) else []
    )


def test_a_job_that_may_not_run_twice_fails_with_a_signed_reason(fly: Fly) -> None:
    """Whoever waits can verify and read it like any other outcome."""
    job, _, machine = running(fly, policy={"on_lost": "fail"})
    fly.api.destroy_machine(machine)
    fly.rig.pass_time(31)
    sweep(fly)
    outcome = fly.rig.store.wait(job, 1)
    assert outcome is not None
    body = fly.rig.codec.open(
        outcome.envelope, kind=codec.OUTCOME, job_id=job, fence=outcome.fence
    )
    good, error = pickling.load_outcome(body, job)

    assert ("failed", False) == (outcome.status, good)
    assert isinstance(error, JobFailed)
    assert "lost" == error.kind
    assert f"machine {machine}" in str(error)


def while_looked_up(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> None:
    """Have something happen between Fly's answer on a machine and what follows."""
    real = fly.api.get_machine

    def get_machine(machine_id: str) -> Machine:
        found = real(machine_id)
        act()
        return found

    monkeypatch.setattr(fly.api, "get_machine", get_machine)


def test_a_machine_that_renews_its_lease_during_the_look_up_lives(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis decides, and only then something is destroyed."""
    _, stored = fly.rig.enqueue()
    fly.launcher.launch(stored.slot)
    fly.settle()
    (found,) = fly.machines()
    machine = fly.rig.machine(stored.slot, found["id"])
    job = claimed(machine)
    fly.rig.pass_time(31)
    while_looked_up(fly, monkeypatch, lambda: machine.heartbeat(job))
    sweep(fly)

    assert [f"wl-{stored.slot}"] == fly.names()
    assert ("running", "0") == (
        fly.rig.status(job.id),
        fly.rig.record(job.id)["lost"],
    )
    assert machine.report(job, "succeeded")[0]


def test_a_machine_that_claims_during_the_look_up_lives(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came late, past twice its time to boot, but it came."""
    job, slot, machine_id = launched(fly)
    machine = fly.rig.machine(slot, machine_id)
    fly.rig.pass_time(21)
    while_looked_up(fly, monkeypatch, lambda: machine.claim("stay"))
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert ("running", {slot}) == (fly.rig.status(job), fly.rig.slots())


def test_an_idle_machine_that_takes_a_job_during_the_look_up_lives(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called, did not come in time, and is there now."""
    _, slot, machine_id = launched(fly, linger=60.0)
    machine = fly.rig.machine(slot, machine_id)
    machine.report(claimed(machine), "succeeded")
    job, _ = fly.rig.enqueue(linger=60.0)
    fly.rig.pass_time(11)
    while_looked_up(fly, monkeypatch, lambda: machine.claim("stay"))
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert "running" == fly.rig.status(job)


def test_a_machine_whose_id_was_stored_during_the_look_up_is_looked_at_again(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its create took long; no list showed it when the sweep asked."""
    _, stored = fly.rig.enqueue()
    fly.rig.store.launch(stored.slot, 10.0, fly.launcher.who)
    fly.rig.pass_time(11)

    def list_machines(**_: Any) -> list[Machine]:
        fly.rig.store.created(stored.slot, "m1")
        return []

    monkeypatch.setattr(fly.api, "list_machines", list_machines)
    sweep(fly)

    assert {stored.slot} == fly.rig.slots()


def test_a_slow_look_up_and_another_sweep_still_lead_to_an_end(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see the same silence; the first to come back decides."""
    job, slot, machine_id = running(fly)
    fly.rig.pass_time(31)

    def other_sweep() -> None:
        fly.rig.pass_time(11)
        assert [slot] == [one.slot for one in fly.rig.store.sweep().checks]

    while_looked_up(fly, monkeypatch, other_sweep)
    sweep(fly)

    assert ("queued", "1") == (fly.rig.status(job), fly.rig.record(job)["lost"])
    until(lambda: machine_id not in [one["id"] for one in fly.machines()])


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        *((True, one) for one in ("created", "creating", "pending", "starting")),
        *((True, one) for one in ("started", "restarting", "updating", "replacing")),
        (True, "a state of tomorrow"),
        *((False, one) for one in ("stopped", "failed", "destroyed", "launch_failed")),
    ],
)
def test_only_a_known_end_is_evidence_that_a_machine_does_not_come(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, expected: bool, state: str
) -> None:
    """In any other state it may still claim."""
    _, slot, _ = launched(fly)
    fly.rig.pass_time(11)
    get = fly.api.get_machine
    monkeypatch.setattr(
        fly.api, "get_machine", lambda machine: replace(get(machine), state=state)
    )
    sweeper_of(fly).sweep()

    assert expected is (slot in fly.rig.slots())


def test_while_the_api_is_down_nothing_is_concluded_of_a_booting_machine(
    fly: Fly,
) -> None:
    """It is looked at again later."""
    _, slot, _ = launched(fly)
    fly.fail(FaultRule(status=500))
    fly.rig.pass_time(21)
    sweep(fly)

    assert {slot} == fly.rig.slots()
    assert [f"wl-{slot}"] == fly.names()
    assert 0 < fly.rig.timers()[f"s:{slot}"] <= 10
