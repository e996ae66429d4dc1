"""Putting right what was lost, on positive evidence only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from worker_lib import codec, pickling, sweeper
from worker_lib.codec import Codec
from worker_lib.emulator import FaultRule
from worker_lib.errors import JobFailed
from worker_lib.machines.types import Machine
from worker_lib.store.store import Check
from worker_lib.sweeper import Cause, Sweeper, cause_of

from .store.ground import claimed, eventually

if TYPE_CHECKING:
    from .fly import Fly
    from .store.ground import Ground


def sweeper_of(fly: Fly) -> Sweeper:
    """Return the sweeper of this launcher's process."""
    return Sweeper(
        fly.ground.store, fly.launcher, codec_of(fly.ground), fly.settings, set()
    )


def codec_of(ground: Ground) -> Codec:
    """Return what signs in this namespace."""
    return Codec(ground.settings.secret, ground.settings.namespace, max_bytes=1 << 20)


def sweep(fly: Fly) -> None:
    """Sweep, and wait for what it launches."""
    sweeper_of(fly).sweep()
    fly.settle()


def launched(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a call that was launched."""
    job, slot = fly.launch(**changes)
    found = fly.api.find_machine(f"wl-{slot}")
    assert found is not None
    return job, slot, found.id


def running(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a job that runs there."""
    job, slot, machine = launched(fly, **changes)
    assert job == claimed(fly.ground.machine(slot, machine)).id
    return job, slot, machine


def test_a_slot_that_its_owner_never_launched_is_launched(fly: Fly) -> None:
    """The process that took it has died in between."""
    _, stored = fly.ground.enqueue()
    fly.ground.pass_time(11)
    sweep(fly)

    assert [f"wl-{stored.slot}"] == fly.names()


def test_a_machine_that_is_still_booting_is_given_time(fly: Fly) -> None:
    """Fly says that it is up, so it may claim any moment."""
    _, slot, _ = launched(fly)
    fly.ground.pass_time(11)
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert {slot} == fly.ground.slots()
    assert 4 < fly.ground.timers()[f"s:{slot}"] <= 5


def test_a_machine_that_never_claims_is_destroyed_and_replaced(fly: Fly) -> None:
    """Twice its time to boot is enough."""
    job, slot, _ = launched(fly)
    fly.ground.pass_time(21)
    sweep(fly)
    (new,) = fly.ground.slots()

    assert new != slot
    assert [f"wl-{new}"] == fly.names()
    assert ("queued", "0") == (
        fly.ground.status(job),
        fly.ground.record(job)["lost"],
    )


def test_a_machine_that_was_never_created_is_replaced(fly: Fly) -> None:
    """The process that had the token died before its request."""
    _, stored = fly.ground.enqueue()
    fly.ground.store.launch(stored.slot, 10.0, fly.launcher.who)
    fly.ground.pass_time(11)
    sweep(fly)
    (new,) = fly.ground.slots()

    assert new != stored.slot
    assert [f"wl-{new}"] == fly.names()


def test_an_idle_machine_that_lives_is_left_alone(fly: Fly) -> None:
    """It lingers; that is what it was told."""
    _, slot, machine = launched(fly, linger=60.0)
    verbs = fly.ground.machine(slot, machine)
    verbs.finish(claimed(verbs), "succeeded")
    fly.ground.pass_time(95)
    sweep(fly)

    assert [f"wl-{slot}"] == fly.names()
    assert {slot} == fly.ground.slots()


def test_an_idle_machine_that_is_gone_gives_its_slot_back(fly: Fly) -> None:
    """Nobody waits, so nothing takes its place."""
    _, slot, machine = launched(fly, linger=60.0)
    verbs = fly.ground.machine(slot, machine)
    verbs.finish(claimed(verbs), "succeeded")
    fly.api.destroy_machine(machine, force=True)
    fly.ground.pass_time(95)
    sweep(fly)

    assert (set(), {}, []) == (fly.ground.slots(), fly.ground.timers(), fly.machines())


def test_a_job_whose_machine_is_gone_runs_again_elsewhere(fly: Fly) -> None:
    """Its lease is over by Redis's clock, and Fly has its machine no more."""
    job, slot, machine = running(fly)
    fly.api.destroy_machine(machine, force=True)
    fly.ground.pass_time(31)
    sweep(fly)
    (new,) = fly.ground.slots()

    assert new != slot
    assert [f"wl-{new}"] == fly.names()
    assert ("queued", "1") == (fly.ground.status(job), fly.ground.record(job)["lost"])


def test_a_machine_that_lives_but_is_silent_is_destroyed_before_it_is_replaced(
    fly: Fly,
) -> None:
    """It hangs, or is cut off: two of them would be paid."""
    _, slot, _ = running(fly)
    fly.ground.pass_time(31)
    sweep(fly)
    (new,) = fly.ground.slots()

    assert new != slot
    assert [f"wl-{new}"] == eventually(
        lambda: names if 1 == len(names := fly.names()) else []
    )


def test_a_job_that_may_not_run_twice_fails_with_a_signed_reason(fly: Fly) -> None:
    """Whoever waits can verify and read it like any other outcome."""
    job, _, machine = running(fly, policy={"on_lost": "fail"})
    fly.api.destroy_machine(machine, force=True)
    fly.ground.pass_time(31)
    sweep(fly)
    outcome = fly.ground.store.wait(job, 1)
    assert outcome is not None
    body = codec_of(fly.ground).open(
        outcome.envelope, kind=codec.OUTCOME, job_id=job, fence=outcome.fence
    )
    good, error = pickling.load_outcome(body, job)

    assert ("failed", False) == (outcome.status, good)
    assert isinstance(error, JobFailed)
    assert "lost" == error.kind
    assert f"machine {machine}" in str(error)


@pytest.mark.parametrize("status", [404, 500])
def test_nothing_is_destroyed_because_it_was_not_found(fly: Fly, status: int) -> None:
    """The job is handed on, as its lease is over; the machine is not touched."""
    job, slot, machine = running(fly)
    fly.fail(
        FaultRule(action="get", status=status), FaultRule(action="list", status=status)
    )
    fly.ground.pass_time(31)
    sweep(fly)

    assert "queued" == fly.ground.status(job)
    assert slot not in fly.ground.slots()
    assert machine in [one["id"] for one in fly.machines()]


def test_while_the_api_is_down_nothing_is_concluded_of_a_booting_machine(
    fly: Fly,
) -> None:
    """It is looked at again later."""
    _, slot, _ = launched(fly)
    fly.fail(FaultRule(status=500))
    fly.ground.pass_time(21)
    sweep(fly)

    assert {slot} == fly.ground.slots()
    assert [f"wl-{slot}"] == fly.names()
    assert 0 < fly.ground.timers()[f"s:{slot}"] <= 10


@pytest.mark.parametrize(("expected", "patience"), [(0, -10_000.0), (1, 600.0)])
def test_machines_that_nobody_knows_are_destroyed_once_they_are_old(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, expected: int, patience: float
) -> None:
    """Younger ones may be in the middle of being created."""
    monkeypatch.setattr(sweeper, "_ORPHAN_AFTER", patience)
    _, slot, orphan = launched(fly)
    fly.ground.redis.delete(fly.ground.key("slot", slot))
    _, stored = fly.ground.enqueue(pool="other")
    fly.ground.store.launch(stored.slot, 10.0, "me")
    fly.ground.pass_time(11)
    sweep(fly)

    left = [one["id"] for one in fly.machines() if one["id"] == orphan]
    assert expected == len(left)


def test_a_process_without_a_token_does_not_sweep(ground: Ground) -> None:
    """It would take up what somebody with a token could have launched."""
    before = threading.active_count()
    Sweeper(ground.store, None, codec_of(ground), ground.settings, {"j"}).arm(-1)

    assert before == threading.active_count()


def test_a_sweeper_ends_when_nothing_is_left_to_look_after(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread while jobs are under way, none when idle."""
    monkeypatch.setattr(sweeper, "_PATIENCE", 0.0)
    monkeypatch.setattr(sweeper, "_GRACE", 0.01)
    _, stored = fly.ground.enqueue()
    made = Sweeper(
        fly.ground.store, fly.launcher, codec_of(fly.ground), fly.settings, {"j1"}
    )
    fly.ground.pass_time(11)
    made.arm(-1)
    eventually(lambda: [f"wl-{stored.slot}"] == fly.names())
    machine = fly.ground.machine(stored.slot)
    machine.finish(claimed(machine), "succeeded")
    fly.ground.redis.rpush(fly.ground.key("calls"), "look")

    eventually(
        lambda: "worker_lib-sweeper" not in [one.name for one in threading.enumerate()]
    )


CHECK = Check("51", "busy", "m1", "pool", "j1", "1", 40.0)


def machine_with(**exit_event: Any) -> Machine:
    """Return a machine as Fly shows it after its end."""
    event = {"type": "exit", "request": {"exit_event": exit_event}}
    return Machine.from_json({"id": "m1", "state": "destroyed", "events": [event]})


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        (
            Cause("out_of_memory", "machine m1 ran out of memory"),
            machine_with(oom_killed=True, exit_code=137),
        ),
        (
            Cause("lost", "machine m1 ended with exit code 1"),
            machine_with(exit_code=1, requested_stop=False),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            machine_with(exit_code=0, requested_stop=True),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            Machine.from_json({"id": "m1", "state": "started", "events": []}),
        ),
        (
            Cause("lost", "machine m1 was not heard of for longer than its lease"),
            None,
        ),
    ],
)
def test_the_cause_is_taken_from_the_machines_own_record(
    expected: Cause, machine: Machine | None
) -> None:
    """Where Fly still has it; else only that it is silent is known."""
    assert expected == cause_of(CHECK, machine)


def test_a_machine_without_an_id_is_called_by_its_name() -> None:
    """It never claimed, so Redis never learnt its id."""
    check = CHECK._replace(machine_id="")

    assert "machine wl-51 was not heard of" in cause_of(check, None).error
