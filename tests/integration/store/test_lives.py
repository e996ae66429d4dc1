"""Nothing is kept for ever: every key has an end, or empties itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import claimed

if TYPE_CHECKING:
    from store_rig import StoreRig


def endless(rig: StoreRig) -> set[str]:
    """Return the kinds of keys that have no end."""
    return {
        name.partition(":")[0]
        for name in rig.names()
        if rig.redis.pttl(rig.key(name)) < 0
    }


def test_after_a_finished_job_every_key_has_an_end(rig: StoreRig) -> None:
    """And none is left that would make anybody look."""
    machine, job = rig.running(code_hash="h", code=b"code")
    machine.heartbeat(job, '{"done": 1, "total": 2, "message": ""}')
    machine.report(job, "succeeded", outcome=b"x" * 2_000)
    kinds = {name.partition(":")[0] for name in rig.names()}

    assert set() == endless(rig)
    assert {
        "job",
        "out",
        "code",
        "pool",
        "pools",
        "jobs",
        "counted",
        "counting",
    } == kinds


def test_the_record_outlives_the_outcome_by_a_day(rig: StoreRig) -> None:
    """So that "it expired" can be told from "there never was one"."""
    machine, job = rig.running(result_ttl=60.0)
    machine.report(job, "succeeded", outcome=b"x")

    assert 59_000 < rig.redis.pttl(rig.key("out", job.id)) <= 60_000
    assert 0 <= rig.redis.pttl(rig.key("job", job.id)) - 86_459_000 <= 1_000


def test_after_failures_retries_and_cancels_every_key_has_an_end(
    rig: StoreRig,
) -> None:
    """The ways that jobs rarely take leave nothing behind, either."""
    machine, job = rig.running()
    machine.report(job, "retrying", retry_in=1.0)
    rig.pass_time(2)
    held = claimed(machine)
    later, _ = rig.enqueue(delay=60.0)
    rig.store.cancel(later)
    machine.report(held, "failed", outcome=b"x")
    other, lost = rig.running()
    rig.store.cancel(lost.id)
    other.claim("stay")

    assert set() == endless(rig)
    assert not rig.redis.exists(rig.key("timers"))


def test_the_lists_of_jobs_hold_no_forgotten_ones(rig: StoreRig) -> None:
    """Each sweep looks at a part of them; those whose record is gone leave it."""
    rig.redis.zadd(rig.key("jobs"), {f"old{n:03}": n for n in range(300)})
    jobs = [rig.enqueue()[0] for _ in range(3)]
    for _ in range(4):
        rig.store.sweep()

    assert jobs == rig.redis.zrange(rig.key("jobs"), 0, -1)
    assert jobs[::-1] == rig.store.recent(10)


def test_a_line_that_was_empty_for_a_moment_has_an_end_too(rig: StoreRig) -> None:
    """Its key is a new one when the next job comes."""
    machine, _ = rig.running(max_machines=1)
    assert not rig.ready()
    rig.enqueue(max_machines=1)

    assert rig.redis.pttl(rig.key("ready", "pool", "default")) > 0
    assert machine.claim().job is not None


@pytest.mark.parametrize("name", ["jobs", "tag:n=1", "ended:failed"])
@pytest.mark.parametrize("result_ttl", [1.0, 90 * 86400.0])
def test_lists_live_as_long_as_the_records_in_them(
    rig: StoreRig, name: str, result_ttl: float
) -> None:
    """However long outcomes are kept; a record outlives its outcome by a day."""
    machine, job = rig.running(result_ttl=result_ttl, tags={"n": "1"})
    machine.report(job, "failed", outcome=b"x")

    record = rig.redis.pttl(rig.key("job", job.id))
    assert rig.redis.pttl(rig.key(name)) >= record


def test_a_key_is_taken_as_long_as_its_job_is_retried(rig: StoreRig) -> None:
    """Though a backoff is longer than the call might have waited at first."""
    machine, job = rig.running(key="once", pending_ttl=60.0)
    machine.report(job, "retrying", retry_in=30 * 86400.0)

    record = rig.redis.pttl(rig.key("job", job.id))
    assert rig.redis.pttl(rig.key("unique", "jobs:add", "once")) >= record - 1000
