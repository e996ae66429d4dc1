"""Machines that have to go: destroyed sooner or later, and only if they are ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from store_rig import claimed
from sweeps import launched, reap, running, sweep, sweeper_of
from waiting import until

from worker_lib import sweep as sweep_module
from worker_lib.emulator import FaultRule
from worker_lib.fly.naming import METADATA_SLOT
from worker_lib.machines.types import Machine
from worker_lib.sweep import Sweep

if TYPE_CHECKING:
    from fly_server import Fly


@pytest.mark.parametrize("status", [404, 500])
def test_a_machine_that_could_not_be_looked_up_is_destroyed_later(
    fly: Fly, status: int
) -> None:
    """Its job is handed on, as its lease is over; any process destroys it then."""
    job, slot, machine = running(fly)
    fly.fail(
        *(
            FaultRule(action=one, status=status)
            for one in ("get", "list", "destroy")
            if not (one == "destroy" and status == 404)
        )
    )
    fly.rig.pass_time(31)
    sweep(fly)

    assert "queued" == fly.rig.status(job)
    assert slot not in fly.rig.slots()
    assert machine in [one["id"] for one in fly.machines()]
    fly.rig.pass_time(3)
    sweep(fly)
    fly.fail()
    fly.rig.pass_time(11)
    sweep(fly)
    until(lambda: machine not in [one["id"] for one in fly.machines()])
    assert f"m:{slot}" not in fly.rig.timers()
    assert {} == fly.rig.redis.hgetall(fly.rig.key("stray", slot))


def test_who_dies_between_the_decision_and_the_destruction_leaves_no_machine(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be destroyed stands in Redis, for any process."""
    _, slot, machine_id = running(fly)
    fly.rig.pass_time(31)
    with monkeypatch.context() as patched:
        patched.setattr(Sweep, "_destroy", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep(fly)
    assert machine_id in [one["id"] for one in fly.machines()]
    fly.rig.pass_time(3)
    sweep(fly)

    until(lambda: machine_id not in [one["id"] for one in fly.machines()])
    assert f"m:{slot}" not in fly.rig.timers()


def test_a_machine_whose_host_is_lost_is_destroyed_when_the_host_is_back(
    fly: Fly,
) -> None:
    """However long it takes: each look is later than the one before."""
    _, slot, machine_id = running(fly)
    fly.fail(*(FaultRule(action=one, status=503) for one in ("get", "destroy")))
    fly.rig.pass_time(31)
    sweep(fly)
    waits = []
    for _ in range(17):
        fly.rig.pass_time(3601)
        sweep(fly)
        waits.append(round(fly.rig.timers()[f"m:{slot}"]))

    assert [1] * 4 + [2**n for n in range(1, 12)] + [3600] * 2 == waits
    fly.fail()
    fly.rig.pass_time(3601)
    sweep(fly)
    until(lambda: machine_id not in [one["id"] for one in fly.machines()])
    assert f"m:{slot}" not in fly.rig.timers()


def test_a_machine_whose_host_does_not_answer_is_not_taken_for_a_strangers(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fly shows it without its config, and so without what says that it is ours."""
    _, slot, machine_id = running(fly)
    unreachable = Machine(id=machine_id, state="started", host_status="unreachable")
    fly.rig.pass_time(31)
    with monkeypatch.context() as patched:
        patched.setattr(fly.api, "get_machine", lambda _: unreachable)
        sweep(fly)
        fly.rig.pass_time(3)
        sweep(fly)
    assert machine_id in [one["id"] for one in fly.machines()]
    assert f"m:{slot}" in fly.rig.timers()
    fly.rig.pass_time(3)
    sweep(fly)

    until(lambda: machine_id not in [one["id"] for one in fly.machines()])


def test_a_machine_that_no_list_shows_is_destroyed_by_its_name_when_one_does(
    fly: Fly,
) -> None:
    """Its create's reply was lost, so no id of it is known; it hangs as it starts."""
    fly.fail(
        FaultRule(action="list", effect="omit"),
        FaultRule(state="starting", effect="hang"),
    )
    _, stored = fly.rig.enqueue()
    config = {"image": "local", "init": {"exec": ["sleep", "60"]}}
    fly.rig.store.launch(stored.slot, 10.0, fly.launcher.who)
    fly.api.create_machine(
        name=f"wl-{stored.slot}",
        region=None,
        config={**config, "metadata": {METADATA_SLOT: stored.slot}},
    )
    fly.rig.pass_time(21)
    sweep(fly)
    assert f"wl-{stored.slot}" in fly.names()
    fly.fail()
    fly.rig.pass_time(3)
    sweep(fly)

    until(lambda: f"wl-{stored.slot}" not in fly.names())
    assert f"m:{stored.slot}" not in fly.rig.timers()


def test_a_machine_that_hangs_as_it_starts_is_found_by_its_id(fly: Fly) -> None:
    """Though no list shows it: the create's reply told its id."""
    fly.fail(
        FaultRule(action="list", effect="omit"),
        FaultRule(state="starting", effect="hang"),
    )
    _, stored = fly.rig.enqueue()
    fly.launcher.launch(stored.slot)
    fly.settle()
    assert "starting" == fly.machines()[0]["state"]
    fly.rig.pass_time(21)
    sweep(fly)

    until(lambda: f"wl-{stored.slot}" not in fly.names())


@pytest.mark.parametrize("where", ["slot", "stray"])
def test_whoever_writes_to_redis_cannot_have_other_machines_destroyed(
    fly: Fly, where: str
) -> None:
    """Such as those of a website in the same app."""
    config = {"image": fly.settings.image, "init": {"exec": ["sleep", "60"]}}
    website = fly.api.create_machine(name="web", region=None, config=config)
    _, stored = fly.rig.enqueue()
    if where == "slot":
        claimed(fly.rig.machine(stored.slot, website.id))
        fly.rig.pass_time(31)
    else:
        fly.rig.store.strays.remember("5107", website.id)
        fly.rig.pass_time(3601)
    for _ in range(2):
        sweep(fly)

    assert "web" in fly.names()


@pytest.mark.parametrize(("expected", "patience"), [(0, -10_000.0), (1, 600.0)])
def test_machines_that_nobody_knows_are_destroyed_once_they_are_old(
    fly: Fly, monkeypatch: pytest.MonkeyPatch, expected: int, patience: float
) -> None:
    """Younger ones may be in the middle of being created."""
    monkeypatch.setattr(sweep_module, "_ORPHAN_AFTER", patience)
    _, slot, orphan = launched(fly)
    fly.rig.redis.delete(fly.rig.key("slot", slot))
    _, stored = fly.rig.enqueue(pool="other")
    fly.rig.store.launch(stored.slot, 10.0, "me")
    fly.rig.pass_time(11)
    sweep(fly)

    left = [one["id"] for one in fly.machines() if one["id"] == orphan]
    assert expected == len(left)


def test_machines_of_the_old_secret_are_reaped_too(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those made before the secret was changed; not those of a stranger."""
    monkeypatch.setattr(sweep_module, "_ORPHAN_AFTER", -10_000.0)
    old = fly.settings.secret
    _, slot, orphan = launched(fly)
    fly.rig.redis.delete(fly.rig.key("slot", slot))
    fly.settings = replace(fly.settings, secret="n" * 64, old_secret="o" * 64)
    reap(fly)
    assert [orphan] == [one["id"] for one in fly.machines()]
    fly.settings = replace(fly.settings, secret="n" * 64, old_secret=old)
    reap(fly)

    until(lambda: [] == fly.machines())


def test_an_orphan_that_cannot_be_destroyed_is_remembered(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process that looks goes on with it."""
    monkeypatch.setattr(sweep_module, "_ORPHAN_AFTER", -10_000.0)
    _, slot, _ = launched(fly)
    fly.rig.redis.delete(fly.rig.key("slot", slot))
    fly.fail(FaultRule(action="destroy", status=503))
    reap(fly)
    fly.fail()
    fly.rig.pass_time(3)
    sweeper_of(fly).sweep()

    until(lambda: [] == fly.machines())
