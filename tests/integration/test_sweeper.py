"""Putting right what was lost, on positive evidence only."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed
from waiting import until

from worker_lib import sweep as sweep_module
from worker_lib import sweeper
from worker_lib.calls import codec, pickling
from worker_lib.calls.codec import Codec
from worker_lib.causes import Cause, boot_cause, cause_of
from worker_lib.emulator import FaultRule
from worker_lib.errors import JobFailed
from worker_lib.fly import exits
from worker_lib.fly.naming import METADATA_SLOT
from worker_lib.machines.types import Machine
from worker_lib.store.replies import Check
from worker_lib.sweep import Sweep
from worker_lib.sweeper import Sweeper
from worker_lib.trouble import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable

    from fly_server import Fly
    from store_rig import StoreRig

    from worker_lib.errors import ConfigError, MachineError
    from worker_lib.sweep import SweepReport


def sweeper_of(fly: Fly) -> Sweeper:
    """Return the sweeper of this launcher's process."""
    return Sweeper(fly.rig.store, fly.launcher, codec_of(fly.rig), fly.settings)


def reap(fly: Fly) -> None:
    """Destroy machines whose slot nobody knows."""
    Sweep(fly.rig.store, fly.launcher, codec_of(fly.rig), fly.settings).reap()


def codec_of(rig: StoreRig) -> Codec:
    """Return what signs in this namespace."""
    return Codec(rig.settings.secret, rig.settings.namespace, max_bytes=1 << 20)


def sweep(fly: Fly) -> SweepReport:
    """Sweep, and wait for what it launches."""
    report = sweeper_of(fly).sweep()
    fly.settle()
    return report


def launched(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a call that was launched."""
    job, slot = fly.launch(**changes)
    found = fly.api.find_machine(f"wl-{slot}", metadata={})
    assert found is not None
    return job, slot, found.id


def running(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a job that runs there."""
    job, slot, machine = launched(fly, **changes)
    assert job == claimed(fly.rig.machine(slot, machine)).id
    return job, slot, machine


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
    body = codec_of(fly.rig).open(
        outcome.envelope, kind=codec.OUTCOME, job_id=job, fence=outcome.fence
    )
    good, error = pickling.load_outcome(body, job)

    assert ("failed", False) == (outcome.status, good)
    assert isinstance(error, JobFailed)
    assert "lost" == error.kind
    assert f"machine {machine}" in str(error)


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
        fly.rig.store.remember_stray("5107", website.id)
        fly.rig.pass_time(3601)
    for _ in range(2):
        sweep(fly)

    assert "web" in fly.names()


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


def test_a_process_without_a_token_does_not_sweep(fly: Fly) -> None:
    """It would take up what somebody with a token could have launched."""
    fly.settings = replace(fly.settings, fly_api_token="")
    before = threading.active_count()
    sweeper_of(fly).attend("j", -1)

    assert before == threading.active_count()


def test_a_sweeper_ends_when_nothing_is_left_to_look_after(
    fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread while jobs are under way, none when idle."""
    monkeypatch.setattr(sweeper, "_MIN_PAUSE", 0.0)
    monkeypatch.setattr(sweeper, "_GRACE", 0.01)
    _, stored = fly.rig.enqueue()
    made = sweeper_of(fly)
    fly.rig.pass_time(11)
    made.attend("j1", -1)
    until(lambda: [f"wl-{stored.slot}"] == fly.names())
    machine = fly.rig.machine(stored.slot)
    machine.report(claimed(machine), "succeeded")
    fly.rig.redis.rpush(fly.rig.key("calls"), "look")

    until(
        lambda: "worker_lib-sweeper" not in [one.name for one in threading.enumerate()]
    )


BOOTING = Check("51", "launching", "m1", "pool", "", "", 12.0)


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        ("m1 took no job within 12 s of its launch", None),
        (
            "took no job within 12 s of its launch (its state is starting)",
            Machine(id="m1", state="starting"),
        ),
        (
            "could not be started: check that the image a:b exists",
            Machine(id="m1", state="failed", config={"image": "a:b"}),
        ),
    ],
)
def test_a_machine_that_never_came_is_described(
    expected: str, machine: Machine | None
) -> None:
    """As far as Fly knows of it."""
    cause = boot_cause(BOOTING, machine)

    assert cause is not None
    assert expected in cause.error
    assert not cause.is_permanent


@pytest.mark.parametrize(
    ("expected", "event"),
    [
        (("ran out of memory", False), {"oom_killed": True, "exit_code": 137}),
        (("check that REDIS_URL", False), {"exit_code": exits.REDIS_UNREACHABLE}),
        (("user, password and rights", True), {"exit_code": exits.REDIS_REFUSED}),
        (("no `python` on its PATH", True), {"exit_code": 127}),
        (("with exit code 0 before", False), {"exit_code": 0}),
    ],
)
def test_a_machine_that_ended_before_it_claimed_is_described(
    expected: tuple[str, bool], event: dict[str, Any]
) -> None:
    """With the remedy, and whether the next one will fail in the same way."""
    cause = boot_cause(BOOTING, machine_with(**event))

    assert cause is not None
    assert expected[0] in cause.error
    assert expected[1] is cause.is_permanent


def test_a_machine_that_was_stopped_by_request_failed_at_nothing() -> None:
    """A person or Fly itself did that."""
    assert boot_cause(BOOTING, machine_with(requested_stop=True, exit_code=143)) is None


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
