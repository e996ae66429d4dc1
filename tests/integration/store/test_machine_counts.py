"""How many machines a pool gets: by what its jobs and boots were measured to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed

from worker_lib.store.keys import new_slot_id

if TYPE_CHECKING:
    from store_rig import StoreRig

WHO = "me"
MOST = 100


def measured(rig: StoreRig, pool: str = "pool", **seconds: float) -> None:
    """Have a pool know how long its jobs, or its boots, take."""
    for name, value in seconds.items():
        rig.redis.hset(rig.key("pool", pool), name, value)


def waiting(rig: StoreRig, jobs: int, **seconds: Any) -> None:
    """Have so many jobs wait for their first machine, in a pool that knows these."""
    rig.enqueue(max_machines=MOST)
    measured(rig, **seconds)
    line = {f"{number:020x}": 2**52 + number for number in range(jobs - 1)}
    if line:
        rig.redis.zadd(rig.key("ready", "pool", "default"), line)


def look(rig: StoreRig) -> list[str]:
    """Sweep until nothing more is owed now; return what is to be launched."""
    launches: list[str] = []
    rig.redis.zadd(rig.key("timers"), {"p:pool": 1})
    while found := rig.store.sweep().launches:
        launches += found
    return launches


def busy(rig: StoreRig, count: int, *, running_for: float) -> None:
    """Have so many further machines run jobs that began so long ago."""
    now = rig.redis.time()[0]
    for _ in range(count):
        slot, job = new_slot_id(), f"job-{new_slot_id()}"
        state = {"pool": "pool", "state": "busy", "holds": f"{job}:1"}
        rig.redis.hset(rig.key("slot", slot), mapping=state)
        rig.redis.sadd(rig.key("slots", "pool"), slot)
        rig.redis.sadd(rig.key("busy", "pool"), slot)
        rig.redis.hset(rig.key("job", job), "started", now - running_for)


@pytest.mark.parametrize(
    ("expected", "jobs", "run_s", "boot_s"),
    [
        (1, 1, 0.1, 3.0),
        (1, 100, 0.01, 3.0),
        (1, 3, 1.0, 3.0),
        (4, 100, 0.1, 3.0),
        (10, 10, 10.0, 30.0),
        (10, 10, 100.0, 3.0),
        (43, 10_000, 0.1, 3.0),
        (100, 10_000, 10.0, 3.0),
        (3, 3, 1.0, 0.1),
    ],
)
def test_as_many_as_shorten_the_wait_by_enough(
    rig: StoreRig, expected: int, jobs: int, run_s: float, boot_s: float
) -> None:
    """Few for short work, one a job where each takes long."""
    waiting(rig, jobs, run_s=run_s, boot_s=boot_s)
    look(rig)

    assert expected == len(rig.slots())


@pytest.mark.parametrize(
    ("expected", "target"), [(1, 300.0), (2, 60.0), (5, 20.0), (10, 0.1)]
)
def test_as_few_as_meet_the_latency_that_was_asked_for(
    rig: StoreRig, expected: int, target: float
) -> None:
    """Ten jobs of ten seconds, the last of which may wait that long."""
    waiting(rig, 10, run_s=10.0, boot_s=1.0, target=target)
    look(rig)

    assert expected == len(rig.slots())


def test_a_pool_that_measured_nothing_gets_a_handful(rig: StoreRig) -> None:
    """Until the first of its jobs has ended, or takes long."""
    waiting(rig, 100)
    look(rig)

    assert 6 == len(rig.slots())
    assert 1 <= rig.timers()["p:pool"] <= 3, "somebody looks again soon"


def test_jobs_that_run_for_long_bring_further_machines(rig: StoreRig) -> None:
    """Although none has ended yet, they are known to be long."""
    waiting(rig, 100, boot_s=1.0)
    look(rig)
    busy(rig, 6, running_for=300.0)
    look(rig)

    assert MOST == len(rig.slots())


def test_jobs_that_take_longer_than_those_before_bring_further_machines(
    rig: StoreRig,
) -> None:
    """A pool's tasks differ: what was measured may be of others."""
    waiting(rig, 5, run_s=0.01, boot_s=1.0)
    look(rig)
    (first,) = rig.slots()
    claimed(rig.machine(first))
    assert [] == look(rig)
    (job,) = rig.redis.keys(rig.key("job", "*"))
    rig.redis.hincrbyfloat(job, "started", -20)
    look(rig)

    assert 5 == len(rig.slots())


def test_a_pool_that_is_refused_one_more_is_looked_at_again(rig: StoreRig) -> None:
    """When half of what waits should be done, and within a minute."""
    waiting(rig, 100, run_s=0.03, boot_s=3.0)
    look(rig)
    assert 1 == len(rig.slots())
    assert 2 < rig.timers()["p:pool"] < 4
    measured(rig, boot_s=300.0)
    look(rig)

    assert 1 == len(rig.slots())
    assert 59 < rig.timers()["p:pool"] <= 60


def test_an_empty_pool_is_not_looked_at_again(rig: StoreRig) -> None:
    """Whatever moment was noted while jobs waited in it."""
    waiting(rig, 100, run_s=0.03, boot_s=3.0)
    look(rig)
    assert "p:pool" in rig.timers()
    machine = rig.machine(*rig.slots())
    job = claimed(machine)
    rig.redis.delete(rig.key("ready", "pool", "default"))  # others took them
    verdict = machine.report(job, "succeeded")[1].verdict

    assert "empty" == verdict
    assert {} == rig.timers()


def test_a_job_is_never_left_without_any_machine(rig: StoreRig) -> None:
    """However short it is, and however long a boot takes."""
    waiting(rig, 1, run_s=0.0001, boot_s=1e6, target=1e6)
    (slot,) = rig.slots()
    assert "go" == rig.store.launch(slot, 10.0, WHO).verdict
    rig.lose(slot)

    assert 1 == len(rig.slots())


def test_slots_that_were_evicted_do_not_count_as_machines(rig: StoreRig) -> None:
    """Else a few short calls would wait for them for ever."""
    waiting(rig, 10, run_s=0.1, boot_s=3.0)
    (slot,) = rig.slots()
    rig.redis.delete(rig.key("slot", slot))
    look(rig)

    assert slot not in rig.slots()
    assert 1 == len(rig.slots())


def test_a_slot_is_given_back_that_is_no_longer_worth_a_machine(rig: StoreRig) -> None:
    """Creates take their time, and others have done the work meanwhile."""
    waiting(rig, 1000, run_s=1.0, boot_s=1.0)
    look(rig)
    owed = sorted(rig.slots())
    assert 20 < len(owed)
    assert "go" == rig.store.launch(owed[0], 10.0, WHO).verdict
    rig.redis.zremrangebyrank(rig.key("ready", "pool", "default"), 2, -1)

    assert "unneeded" == rig.store.launch(owed[1], 10.0, WHO).verdict
    assert owed[1] not in rig.slots()


def test_a_slot_that_waits_for_its_turn_does_not_stop_another(rig: StoreRig) -> None:
    """Only machines that were launched count when it is a slot's turn."""
    waiting(rig, 1000, run_s=1.0, boot_s=1.0)
    look(rig)
    verdicts = [rig.store.launch(slot, 10.0, WHO).verdict for slot in rig.slots()]

    assert {"go", "wait"} == set(verdicts)


def test_a_machine_for_each_job_where_jobs_are_isolated(rig: StoreRig) -> None:
    """Short or not: no machine takes a second one."""
    waiting(rig, 30, run_s=0.01, boot_s=3.0, isolate=1)
    look(rig)

    assert 30 == len(rig.slots())


def test_no_more_are_owed_than_can_be_created_soon(rig: StoreRig) -> None:
    """Thousands of slots that wait would only have to be looked after."""
    rig.enqueue(max_machines=10_000, isolate=True)
    line = {f"{number:020x}": 2**52 + number for number in range(9999)}
    rig.redis.zadd(rig.key("ready", "pool", "default"), line)
    look(rig)

    assert 200 == len(rig.slots())
    assert 59 < rig.timers()["p:pool"] <= 60
    (slot, *_) = rig.slots()
    assert "go" == rig.store.launch(slot, 10.0, WHO).verdict


def test_the_turn_of_a_slot_is_judged_in_a_large_pool_too(rig: StoreRig) -> None:
    """By a sample of its slots: hundreds work, and there is nothing left to do."""
    waiting(rig, 2, run_s=0.1, boot_s=1.0)
    (slot,) = rig.slots()
    busy(rig, 500, running_for=0.01)

    assert "unneeded" == rig.store.launch(slot, 10.0, WHO).verdict
