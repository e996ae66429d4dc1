"""What the scripts count of jobs and machines, and what pages make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed

from worker_lib import job as job_module
from worker_lib.inspection import WINDOWS
from worker_lib.inspection.counting import Counted, Tally, percentiles, upper_bound
from worker_lib.inspection.overview import overview_of
from worker_lib.store.claims import Report

if TYPE_CHECKING:
    from store_rig import StoreRig

SIZE = "shared-cpu-1x@256mb"


def tally(rig: StoreRig) -> Tally:
    """Return all that was counted."""
    return Counted(rig.store.views).of_all_time()


def finish(machine: Any, job: Any, **told: Any) -> None:
    """Report that a job succeeded, or as told."""
    machine.finish([(job, Report(**{"status": "succeeded", "ran": 0.25, **told}))])


def test_a_job_that_succeeds_is_counted_with_its_times(rig: StoreRig) -> None:
    """Its task, how it ended, how long it ran and waited, where."""
    machine, job = rig.running(size=SIZE)
    finish(machine, job, outcome=b"fine")
    seen = tally(rig)

    assert {("jobs:add", "succeeded"): 1} == seen.by("j", 1, 2)
    assert {("jobs:add",): 1} == seen.by("w", 1)
    run_ms = seen.by("r", 1, 2, 3)
    assert [("jobs:add", SIZE, "ams")] == list(run_ms)
    assert 240 <= run_ms["jobs:add", SIZE, "ams"] <= 400
    ran = percentiles(seen.histogram("j", 3))
    assert ran is not None
    assert 0.16 < ran.p50 < 0.4


def test_a_failure_is_counted_by_its_kind(rig: StoreRig) -> None:
    """Once, also when the report is sent again after a lost reply."""
    machine, job = rig.running()
    for _ in range(2):
        finish(machine, job, status="failed", kind="timeout", outcome=b"late")

    assert {("jobs:add", "timeout"): 1} == tally(rig).by("j", 1, 2)


def test_retries_losses_and_cancels_are_counted(rig: StoreRig) -> None:
    """Each attempt counts in what was waited and run, the job once."""
    machine, job = rig.running()
    finish(machine, job, status="retrying", kind="error", retry_in=60.0)
    rig.store.cancel(job.id)
    seen = tally(rig)

    assert {("jobs:add", "error"): 1} == seen.by("t", 1, 2)
    assert {("jobs:add", "cancelled"): 1} == seen.by("j", 1, 2)
    assert {("jobs:add",): 1} == seen.by("w", 1)


def test_each_attempt_is_in_one_class_of_those_that_ran(rig: StoreRig) -> None:
    """One that is tried again, one that is lost, and one that fails by being lost."""
    machine, job = rig.running()
    finish(machine, job, status="retrying", kind="error", retry_in=60.0, ran=4.0)
    slot = rig.enqueue(pool="other")[1].slot
    while slot:
        claimed(rig.machine(slot))
        slot = rig.lose(slot)
    seen = tally(rig)

    (which,) = seen.histogram("t", 3)
    assert upper_bound(which - 1) < 4.0 <= upper_bound(which)
    lost = sum(seen.by("l").values())
    assert {("jobs:add", "lost"): 1} == seen.by("j", 1, 2)
    assert lost - 1 == sum(seen.histogram("l", 3).values())
    classes = [sum(seen.histogram(kind, 3).values()) for kind in ("j", "t", "l")]
    assert sum(classes) == sum(seen.by("w").values()) == lost + 1


def test_a_machine_is_counted_when_it_comes_up_and_when_it_ends(rig: StoreRig) -> None:
    """Its boot, its time and why it left; it is told of in the list of exits."""
    _, stored = rig.enqueue(size=SIZE)
    rig.store.launch(stored.slot, 30.0, "me")
    machine = rig.machine(stored.slot)
    job = machine.claim().job
    assert job is not None
    finish(machine, job)
    seen = tally(rig)

    assert {("created",): 1} == seen.by("b", 1)
    assert {(SIZE, "ams", "empty"): 1} == seen.by("c", 1, 2, 3)
    assert 0 <= seen.by("m", 1, 2)[SIZE, "ams"] < 2000
    (told,) = rig.store.views.exits(10)
    assert f'"machine":"m-{stored.slot}"'.encode() in told


def test_a_job_of_a_new_machine_tells_of_its_launch_and_boot(rig: StoreRig) -> None:
    """So that a page can say where the time went."""
    job_id, stored = rig.enqueue(size=SIZE)
    rig.store.launch(stored.slot, 30.0, "me")
    machine = rig.machine(stored.slot)
    machine.claim()
    (seen,) = rig.store.look(job_id)

    assert seen is not None
    assert SIZE == seen.info.size
    (attempt,) = seen.info.attempts
    assert attempt.launch_s is not None
    assert attempt.boot_s is not None
    assert attempt.queued_at == seen.info.created_at


def test_minutes_are_added_up_to_quarters_hours_and_days(rig: StoreRig) -> None:
    """By whoever reads or counts next, once."""
    machine, job = rig.running()
    finish(machine, job)
    (minute,) = rig.redis.smembers(f"{rig.prefix}:counting")
    earlier = str(int(minute) - 1440 * 3)
    rig.redis.rename(
        f"{rig.prefix}:counted:{minute}", f"{rig.prefix}:counted:{earlier}"
    )
    rig.redis.srem(f"{rig.prefix}:counting", minute)
    rig.redis.sadd(f"{rig.prefix}:counting", earlier)
    counted = Counted(rig.store.views)

    assert 1 == sum(counted.of_all_time().by("j").values())
    for minutes in (15, 60, 1440):
        _, spans = counted.latest(minutes, 1440 * 4 // minutes)
        assert 1 == sum(sum(one.by("j").values()) for _, one in spans), minutes
    assert 1 == sum(counted.of_all_time().by("j").values())
    for kind in ("counted", "counting"):
        assert not rig.redis.exists(f"{rig.prefix}:{kind}:{earlier}")


def test_lines_of_scripts_are_added_up_before_there_are_many(rig: StoreRig) -> None:
    """Each job ends with one line; all of them are counted."""
    for _ in range(150):
        machine, job = rig.running()
        finish(machine, job)

    lines = [rig.redis.llen(name) for name in rig.redis.keys(rig.key("counted", "*"))]
    assert max(lines) < 64
    assert {("jobs:add", "succeeded"): 150} == tally(rig).by("j", 1, 2)
    assert [] == rig.redis.keys(rig.key("counted", "*"))


def test_many_that_end_in_one_script_are_all_counted(rig: StoreRig) -> None:
    """The first few by lines, the others at once."""
    jobs = [rig.enqueue()[0] for _ in range(10)]
    for job in jobs:
        rig.redis.hset(rig.key("job", job), "expires", 1)
        rig.redis.zadd(rig.key("timers"), {f"j:{job}": 1})
    rig.store.sweep()

    assert {("jobs:add", "expired"): 10} == tally(rig).by("j", 1, 2)


def test_what_is_over_is_read_once(rig: StoreRig) -> None:
    """A window that is looked at again costs one command, for what is under way."""
    asked: list[Any] = []
    counts = rig.store.views.counts

    def noted(spans: list[str]) -> Any:
        asked.append(spans)
        return counts(spans)

    rig.store.views.counts = noted  # type: ignore[method-assign,assignment]
    counted = Counted(rig.store.views)
    counted.latest(60, 60)
    counted.latest(60, 60)

    assert [60, 1] == [len(spans) for spans in asked]


def test_a_crowd_of_names_ends_in_a_full_hash(rig: StoreRig) -> None:
    """Names that somebody makes up for each call do not fill Redis."""
    rig.redis.hset(
        f"{rig.prefix}:counting:1",
        mapping={f"j\x1ft{n}\x1fsucceeded\x1f": 1 for n in range(900)},
    )
    rig.redis.sadd(f"{rig.prefix}:counting", "1")
    rig.redis.hset(
        f"{rig.prefix}:counts:0:0",
        mapping={f"j\x1fo{n}\x1fsucceeded\x1f": 1 for n in range(20000)},
    )
    tally(rig)

    assert 20000 == rig.redis.hlen(f"{rig.prefix}:counts:0:0")


def test_an_overview_counts_what_there_is(rig: StoreRig) -> None:
    """Jobs by status, machines by state, queues."""
    rig.running(size=SIZE)
    rig.enqueue(delay=60.0, size=SIZE)
    rig.enqueue(queue="high", size=SIZE)
    machine, job = rig.running(pool="other")
    finish(machine, job, status="failed", kind="error", outcome=b"x")
    machine, job = rig.running(pool="third")
    finish(machine, job, status="retrying", retry_in=60.0)
    seen = overview_of(rig.store.views.state())

    expected = {"scheduled": 1, "queued": 1, "running": 1, "retrying": 1, "failed": 1}
    assert expected == {name: n for name, n in seen.counts.items() if n}
    assert 5 == seen.jobs
    assert {"busy": 1, "owed": 1} == {
        n: c for n, c in seen.machines.items() if n != "idle"
    }
    assert ["high"] == [queue.name for queue in seen.queues]
    assert SIZE in {pool.size for pool in seen.pools}
    assert seen.server.used_bytes > 0


def test_a_paused_queue_is_an_alert(rig: StoreRig) -> None:
    """With what to do about it."""
    rig.enqueue(queue="high")
    rig.store.pause("high")
    (alert,) = overview_of(rig.store.views.state()).alerts

    assert "paused" == alert.kind
    assert "1 job waits" in alert.text
    assert "worker-lib queues resume high" == alert.remedy


def test_a_paused_queue_is_listed_without_jobs(rig: StoreRig) -> None:
    """Whoever wants to resume it has to see it; it is no reason for an alert."""
    rig.enqueue(queue="high")
    rig.store.pause("low")
    seen = overview_of(rig.store.views.state())

    assert [("high", 1, False), ("low", 0, True)] == [
        (queue.name, queue.waiting, queue.paused_at is not None)
        for queue in seen.queues
    ]
    assert () == seen.alerts


def test_names_of_times_are_those_of_attempts() -> None:
    """What a job's record keeps is what an attempt tells."""
    kept = job_module.FIELDS

    assert "always" == kept["queued"].kept
    assert "attempt" == kept["launch"].kept


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_a_percentile_lies_in_its_class(count: int) -> None:
    """Evenly spread within it."""
    seen = percentiles({5: count, 20: count})

    assert seen is not None
    assert upper_bound(4) <= seen.p50 <= upper_bound(5) * 1.001
    assert upper_bound(19) <= seen.p95 <= upper_bound(20)
    assert upper_bound(20) == seen.most
    assert 2 * count == seen.total


def test_windows_have_steps() -> None:
    """An hour, a day and a week."""
    assert ("1h", "24h", "7d") == WINDOWS
