"""Machines that never take a job: how many are tried, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store_rig import claimed
from sweeps import sweep
from waiting import until

from worker_lib.fly import exits
from worker_lib.trouble import rebuild

if TYPE_CHECKING:
    from fly_server import Fly

    from worker_lib.errors import ConfigError, MachineError


def fails_to_boot(fly: Fly, code: int = 1) -> None:
    """Have every machine from now on end at once with this exit code."""
    fly.init = {"exec": ["sh", "-c", f"exit {code}"]}


def all_gone(fly: Fly) -> None:
    """Wait until no machine is left."""
    until(lambda: not fly.machines())


def next_boot_fails(fly: Fly, pause: float) -> None:
    """Have the pool's next machine end before it claims, and the sweep see it."""
    fly.rig.pass_time(pause)
    sweep(fly)
    all_gone(fly)
    fly.rig.pass_time(6)
    sweep(fly)


def pool(fly: Fly) -> dict[str, str]:
    """Return what is kept of the pool."""
    found: dict[str, str] = fly.rig.redis.hgetall(fly.rig.key("pool", "pool"))
    return found


def pause_of(fly: Fly) -> int:
    """Return the seconds for which no machine of the pool is launched."""
    found = pool(fly)
    return round(float(found["hold_until"]) - float(found["failed_at"]))


def creates(fly: Fly) -> int:
    """Return how many machines were asked for."""
    return int(fly.emulator.requests()["actions"].get("create", 0))


def test_the_pause_doubles_and_after_five_machines_there_is_no_next(fly: Fly) -> None:
    """Nobody pays for what cannot work; the job waits."""
    fails_to_boot(fly)
    job, _ = fly.launch()
    next_boot_fails(fly, 0)
    pauses = [pause_of(fly)]
    for _ in range(4):
        next_boot_fails(fly, pauses[-1] + 1)
        pauses.append(pause_of(fly))
    for _ in range(5):
        fly.rig.pass_time(700)
        trouble(fly, job)  # who looks at it, or waits for it, makes no new call
        sweep(fly)

    assert [5, 10, 20, 40, 80] == pauses
    assert 5 == creates(fly)
    assert "queued" == fly.rig.status(job)
    assert {f"j:{job}"} == fly.rig.timers().keys(), "nobody wakes up for it"


def stopped(fly: Fly) -> str:
    """Return the job of a pool whose machines have failed to boot too often."""
    fails_to_boot(fly)
    job, _ = fly.launch()
    next_boot_fails(fly, 0)
    for _ in range(4):
        next_boot_fails(fly, 100)
    assert "5" == pool(fly)["failed_boots"]
    return job


def test_a_new_call_tries_one_more_machine_when_the_pause_is_over(fly: Fly) -> None:
    """However many calls there are meanwhile; the pause grows on."""
    stopped(fly)
    for _ in range(3):
        fly.launch()
    assert 5 == creates(fly)
    next_boot_fails(fly, 81)

    assert (6, "6") == (creates(fly), pool(fly)["failed_boots"])
    assert 160 == pause_of(fly)
    fly.rig.pass_time(700)
    sweep(fly)
    assert 6 == creates(fly)


def test_the_first_machine_that_claims_ends_the_count(fly: Fly) -> None:
    """What was wrong with the app is put right; those who waited go on."""
    job = stopped(fly)
    fly.init = {"exec": ["sleep", "60"]}
    fly.rig.pass_time(100)
    other, slot = fly.launch()
    (machine,) = fly.machines()
    verbs = fly.rig.machine(slot, machine["id"])
    first = claimed(verbs)

    assert job == first.id
    assert not {"stopped", "failed_boots", "hold_until"} & pool(fly).keys()
    assert "" == trouble(fly, other)
    verbs.report(first, "succeeded")
    assert fly.rig.slots() == {slot}


def test_machines_that_were_launched_together_count_as_one(fly: Fly) -> None:
    """A short outage must not look like an image that cannot work."""
    fails_to_boot(fly)
    for _ in range(2):
        fly.launch()
    all_gone(fly)
    fly.rig.pass_time(6)
    sweep(fly)

    assert ("1", set()) == (pool(fly)["failed_boots"], fly.rig.slots())


def trouble(fly: Fly, job: str) -> str:
    """Return what is shown of why a job has no machine."""
    (seen,) = fly.rig.store.look(job)
    assert seen is not None
    return seen.info.trouble


def told(fly: Fly, job: str) -> MachineError | ConfigError | None:
    """Return what who waits for a job is told of its pool."""
    (seen,) = fly.rig.store.look(job)
    assert seen is not None
    return rebuild(seen.trouble, "anybody") if seen.trouble else None


def test_what_will_fail_again_is_told_at_once(fly: Fly) -> None:
    """Exit code, its meaning and the machine's exit message; waiters are woken."""
    fails_to_boot(fly, exits.BAD_SETTINGS)
    fly.metadata = {
        exits.METADATA_EXIT_MESSAGE: "WORKER_LIB_SECRET is\x1b not set" * 20
    }
    job, _ = fly.launch()
    next_boot_fails(fly, 0)
    assert fly.rig.store.wait(job, 1) is None
    error = str(told(fly, job))

    assert "ended with exit code 78 before it took a job" in error
    assert exits.meaning(78) in error
    assert "it said: WORKER_LIB_SECRET is not set" in error
    assert len(error) < 600
    assert "\x1b" not in error
    assert "the job is stored and waits" in error


def test_what_may_be_an_accident_is_told_at_the_third_time(fly: Fly) -> None:
    """It is seen in the job's trouble from the first time on."""
    fails_to_boot(fly, 1)
    job, _ = fly.launch()
    next_boot_fails(fly, 0)
    assert told(fly, job) is None
    assert "exit code 1" in trouble(fly, job)
    next_boot_fails(fly, 6)
    assert told(fly, job) is None
    next_boot_fails(fly, 11)

    assert "ended with exit code 1 before it took a job" in str(told(fly, job))


def test_that_no_more_machines_are_created_is_told(fly: Fly) -> None:
    """With what makes it go on."""
    job = stopped(fly)

    assert "after 5 such machines in a row" in str(told(fly, job))
    assert "until the task is called again" in str(told(fly, job))


def test_a_launcher_that_died_before_its_request_is_no_failed_boot(fly: Fly) -> None:
    """No machine was there that could have failed."""
    _, stored = fly.rig.enqueue()
    fly.rig.store.launch(stored.slot, 10.0, fly.launcher.who)
    fly.rig.pass_time(11)
    sweep(fly)

    assert "failed_boots" not in pool(fly)
    assert [f"wl-{slot}" for slot in fly.rig.slots()] == fly.names()
