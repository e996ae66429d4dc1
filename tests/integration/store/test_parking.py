"""Machines that are parked: who may be, who is started again, what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import claimed

if TYPE_CHECKING:
    from store_rig import RigMachine, StoreRig

DAY = 86400.0


def parked(rig: StoreRig, *, most: int = 1, lasts: float = DAY) -> RigMachine:
    """Return a machine that has run a job, and stands still."""
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")
    machine = rig.machine(stored.slot, parking=(most, lasts))
    _, claim = machine.report(claimed(machine), "succeeded", outcome=b"1")
    assert "park" == claim.verdict
    return machine


def only_slot(rig: StoreRig) -> str:
    """Return the only slot whose machine is parked."""
    (slot,) = parked_slots(rig)
    return slot


def parked_slots(rig: StoreRig) -> list[str]:
    """Return the slots whose machines are parked, the longest first."""
    found: list[str] = rig.redis.zrange(rig.key("parked", "pool"), 0, -1)
    return found


def test_the_machine_of_an_empty_pool_parks(rig: StoreRig) -> None:
    """It keeps its slot, and is none of the pool's machines meanwhile."""
    parked(rig)
    slot = only_slot(rig)

    assert "parked" == rig.slot(slot)["state"]
    assert set() == rig.slots()
    assert DAY == pytest.approx(float(rig.slot(slot)["parked_until"]) - now(rig), abs=5)


def now(rig: StoreRig) -> float:
    """Return Redis's time."""
    seconds: int
    seconds, _ = rig.redis.time()
    return float(seconds)


def test_a_machine_that_has_lingered_parks(rig: StoreRig) -> None:
    """First it waits, then it stands still."""
    _, stored = rig.enqueue(linger=5.0)
    machine = rig.machine(stored.slot, parking=(1, DAY))
    _, claim = machine.report(claimed(machine), "succeeded", outcome=b"1")

    assert "idle" == claim.verdict
    assert "park" == machine.claim("leave_if_idle").verdict


def test_no_more_machines_park_than_may(rig: StoreRig) -> None:
    """The others end, and somebody sees that they are gone."""
    first, second = (rig.enqueue()[1].slot for _ in range(2))
    machines = [rig.machine(slot, parking=(1, DAY)) for slot in (first, second)]
    jobs = [claimed(machine) for machine in machines]
    claims = [
        machine.report(job, "succeeded", outcome=b"1")[1]
        for machine, job in zip(machines, jobs, strict=True)
    ]

    assert ["park", "empty"] == [claim.verdict for claim in claims]
    assert [first] == parked_slots(rig)
    rig.pass_time(10)
    assert [(second, f"m-{second}")] == [tuple(one) for one in rig.store.sweep().strays]


def test_a_machine_that_may_not_park_is_no_stray(rig: StoreRig) -> None:
    """Its end destroys it."""
    machine, job = rig.running()

    assert "empty" == machine.report(job, "succeeded", outcome=b"1")[1].verdict
    rig.pass_time(10)
    assert [] == rig.store.sweep().strays


def test_asked_twice_a_parked_machine_parks(rig: StoreRig) -> None:
    """The first answer was lost."""
    machine = parked(rig)
    slot = only_slot(rig)

    assert "park" == machine.claim().verdict
    assert [slot] == parked_slots(rig)


def test_a_call_takes_a_parked_machine(rig: StoreRig) -> None:
    """The one that was parked last; it is started, and takes the job."""
    first, second = (rig.enqueue()[1].slot for _ in range(2))
    machines = [rig.machine(slot, parking=(2, DAY)) for slot in (first, second)]
    jobs = [claimed(machine) for machine in machines]
    for machine, job in zip(machines, jobs, strict=True):
        machine.report(job, "succeeded", outcome=b"1")

    job_id, stored = rig.enqueue()
    launch = rig.store.launch(stored.slot, 30.0, "who")

    assert second == stored.slot
    assert ("start", f"m-{second}") == (launch.verdict, launch.machine_id)
    machines[1].wake()
    assert job_id == claimed(machines[1]).id
    assert [first] == parked_slots(rig)


def test_a_start_takes_no_token_of_the_creates(rig: StoreRig) -> None:
    """Fly limits it for each machine."""
    parked(rig)
    _, stored = rig.enqueue()
    before = rig.redis.hgetall(rig.key("bucket"))

    assert "start" == rig.store.launch(stored.slot, 30.0, "who").verdict
    assert before == rig.redis.hgetall(rig.key("bucket"))


def test_who_waits_for_a_token_is_told_of_parked_machines(rig: StoreRig) -> None:
    """So that these need not wait as well."""
    parked(rig)
    _, parked_one = rig.enqueue()
    others = [rig.enqueue(pool=f"pool{number}")[1].slot for number in range(5)]
    answers = [
        rig.store.launch(slot, 30.0, "who", waiting=[parked_one.slot, *others])
        for slot in others
    ]

    assert "wait" == answers[-1].verdict
    assert {(parked_one.slot,)} == {answer.parked for answer in answers}


def test_a_parked_machine_hears_of_a_call_that_comes_meanwhile(rig: StoreRig) -> None:
    """It has not stopped yet, so it takes the job, and no start is needed."""
    machine = parked(rig)
    machine.listen()
    job_id, stored = rig.enqueue()

    assert job_id == claimed(machine).id
    assert "unneeded" == rig.store.launch(stored.slot, 30.0, "who").verdict
    assert "busy" == rig.slot(stored.slot)["state"]


def test_a_machine_that_is_not_needed_after_all_stays_parked(rig: StoreRig) -> None:
    """And not for longer than it was to."""
    parked(rig)
    until = rig.slot(only_slot(rig))["parked_until"]
    job_id, stored = rig.enqueue()
    rig.store.cancel(job_id)

    assert "unneeded" == rig.store.launch(stored.slot, 30.0, "who").verdict
    assert [stored.slot] == parked_slots(rig)
    assert set() == rig.slots()
    assert float(until) == pytest.approx(
        float(rig.slot(stored.slot)["parked_until"]), abs=1
    )


def test_a_refused_start_leaves_the_machine_parked(rig: StoreRig) -> None:
    """A person has to see to the token; the machine is as good as before."""
    parked(rig)
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")

    assert rig.store.refuse(stored.slot, "{}", 30.0, who="who", tell=False)
    assert [stored.slot] == parked_slots(rig)
    assert "unneeded" == rig.store.launch(stored.slot, 30.0, "who").verdict


def test_a_machine_that_cannot_be_started_is_replaced(rig: StoreRig) -> None:
    """By one with another slot; it is destroyed."""
    machine = parked(rig)
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")
    other = rig.store.replace(stored.slot)

    assert other
    assert "go" == rig.store.launch(other, 30.0, "who").verdict
    rig.pass_time(5)
    strays = rig.store.sweep().strays
    assert [(stored.slot, f"m-{stored.slot}")] == [tuple(one) for one in strays]
    machine.wake()
    assert "gone" == machine.claim().verdict


def test_a_machine_that_came_all_the_same_is_not_replaced(rig: StoreRig) -> None:
    """It has the job already."""
    machine = parked(rig)
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")
    machine.wake()
    claimed(machine)

    assert "" == rig.store.replace(stored.slot)
    assert "busy" == rig.slot(stored.slot)["state"]


def test_a_parked_machine_is_destroyed_when_its_time_is_over(rig: StoreRig) -> None:
    """By whoever sweeps; until then, nobody looks after it again."""
    parked(rig, lasts=100.0)
    slot = only_slot(rig)
    rig.pass_time(99)
    (check,) = rig.store.sweep().checks
    rig.store.extend(check, 1e9)
    assert [] == rig.store.sweep().checks

    rig.pass_time(2)
    found = rig.store.sweep()

    assert [(slot, f"m-{slot}")] == [tuple(one) for one in found.strays]
    assert ([], {}) == (parked_slots(rig), rig.slot(slot))


def test_somebody_looks_whether_a_parked_machine_stands_still(rig: StoreRig) -> None:
    """A minute later; if it does not, it is given up."""
    parked(rig)
    slot = only_slot(rig)
    rig.pass_time(59)
    assert [] == rig.store.sweep().checks
    rig.pass_time(2)

    (check,) = rig.store.sweep().checks

    assert ("parked", f"m-{slot}") == (check.state, check.machine_id)
    assert rig.told_lost(rig.check(slot)).is_lost
    assert [] == parked_slots(rig)


def test_a_machine_that_was_started_for_nothing_fails_no_pool(rig: StoreRig) -> None:
    """Its image has worked before: another machine is tried, at once."""
    parked(rig)
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")

    assert rig.lose(stored.slot)
    assert None is rig.redis.hget(rig.key("pool", "pool"), "failed_boots")


@pytest.mark.parametrize("how", ["leaves", "is stopped"])
def test_a_machine_that_could_park_and_ends_is_looked_after(
    rig: StoreRig, how: str
) -> None:
    """Its end does not destroy it."""
    _, stored = rig.enqueue()
    machine = rig.machine(stored.slot, parking=(1, DAY))
    job = claimed(machine)
    if how == "leaves":
        machine.report(job, "succeeded", outcome=b"1", intent="leave")
    else:
        machine.give_back(job)
    rig.pass_time(5)

    strays = rig.store.sweep().strays
    assert [(stored.slot, f"m-{stored.slot}")] == [tuple(one) for one in strays]


def test_an_awake_machine_of_a_full_pool_parks_again(rig: StoreRig) -> None:
    """Whoever woke it: there are never more machines than may be."""
    machine = parked(rig)
    slot = only_slot(rig)
    rig.redis.hset(rig.key("pool", "pool"), "max", "1")
    rig.redis.sadd(rig.key("slots", "pool"), "another")
    rig.redis.hset(
        rig.key("slot", "another"), mapping={"pool": "pool", "state": "idle"}
    )
    machine.wake()

    assert "park" == machine.claim().verdict
    assert [slot] == parked_slots(rig)


def test_the_parked_machines_of_a_pool_are_retired_together(rig: StoreRig) -> None:
    """Their image is of an earlier deployment."""
    parked(rig)
    slot = only_slot(rig)
    ((pool, _spec),) = rig.store.sweep(parking=5).parking

    assert "pool" == pool
    assert [(slot, f"m-{slot}")] == [tuple(one) for one in rig.store.retire(pool)]
    assert ([], []) == (parked_slots(rig), rig.store.retire(pool))
    assert [] == rig.store.sweep(parking=5).parking


def test_a_machine_that_leaves_as_it_wakes_up_is_looked_after(rig: StoreRig) -> None:
    """It was told to stop, and is parked no more."""
    machine = parked(rig)
    slot = only_slot(rig)

    assert "empty" == machine.claim("leave").verdict
    assert ([], {}) == (parked_slots(rig), rig.slot(slot))
    rig.pass_time(5)
    assert [(slot, f"m-{slot}")] == [tuple(one) for one in rig.store.sweep().strays]


@pytest.mark.parametrize(("parked_before", "expected"), [(False, 5), (True, 6)])
def test_more_machines_are_worth_a_wake_up_than_a_boot(
    rig: StoreRig, parked_before: bool, expected: int
) -> None:
    """They come at once, where others come one after the other."""
    if parked_before:
        _park_some(rig, 6)
    rig.enqueue(delay=60.0)
    pool = {"run_s": "1.0", "boot_s": "6.0", "wake_s": "0.3", "max": "10"}
    rig.redis.hset(rig.key("pool", "pool"), mapping=pool)

    jobs = [rig.enqueue(max_machines=10) for _ in range(20)]

    assert expected == len([stored for _, stored in jobs if stored.slot])


def _park_some(rig: StoreRig, count: int) -> None:
    slots = [rig.enqueue(max_machines=10)[1].slot for _ in range(count)]
    machines = [rig.machine(slot, parking=(count, DAY)) for slot in slots]
    jobs = [claimed(machine) for machine in machines]
    for machine, job in zip(machines, jobs, strict=True):
        machine.report(job, "succeeded", outcome=b"1")
    assert count == len(parked_slots(rig))


def test_what_a_wake_up_takes_is_measured_apart_from_boots(rig: StoreRig) -> None:
    """A boot is much longer, and the next create will take as long again."""
    machine = parked(rig)
    boot = rig.redis.hget(rig.key("pool", "pool"), "boot_s")
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 30.0, "who")
    rig.redis.hincrbyfloat(rig.key("slot", stored.slot), "launched_at", -7)
    machine.wake()
    claimed(machine)

    assert boot == rig.redis.hget(rig.key("pool", "pool"), "boot_s")
    assert 7 == pytest.approx(
        float(rig.redis.hget(rig.key("pool", "pool"), "wake_s")), abs=1
    )
