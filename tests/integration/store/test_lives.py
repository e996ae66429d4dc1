"""Nothing is kept for ever: every key has an end, or empties itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    machine.finish(job, "succeeded", outcome=b"x" * 2_000)
    kinds = {name.partition(":")[0] for name in rig.names()}

    assert set() == endless(rig)
    assert {"job", "out", "code", "pool", "jobs", "order", "counts"} == kinds


def test_the_record_outlives_the_outcome_by_a_day(rig: StoreRig) -> None:
    """So that "it expired" can be told from "there never was one"."""
    machine, job = rig.running(result_ttl=60.0)
    machine.finish(job, "succeeded", outcome=b"x")

    assert 59_000 < rig.redis.pttl(rig.key("out", job.id)) <= 60_000
    assert 0 <= rig.redis.pttl(rig.key("job", job.id)) - 86_459_000 <= 1_000


def test_after_failures_retries_and_cancels_every_key_has_an_end(
    rig: StoreRig,
) -> None:
    """The ways that jobs rarely take leave nothing behind, either."""
    machine, job = rig.running()
    machine.finish(job, "retrying", retry_in=1.0)
    rig.pass_time(2)
    held = claimed(machine)
    later, _ = rig.enqueue(delay=60.0)
    rig.store.cancel(later)
    machine.finish(held, "failed", outcome=b"x")
    other, lost = rig.running()
    rig.store.cancel(lost.id)
    other.claim("stay")

    assert set() == endless(rig)
    assert not rig.redis.exists(rig.key("timers"))


def test_the_list_of_jobs_is_bounded(rig: StoreRig) -> None:
    """Newest first, and the oldest make room."""
    rig.redis.zadd(rig.key("jobs"), {f"old{n}": n for n in range(10_000)})
    job, _ = rig.enqueue()

    assert 10_000 == rig.redis.zcard(rig.key("jobs"))
    assert [job, "old9999"] == rig.store.recent(2)


def test_what_is_done_is_counted_by_day(rig: StoreRig) -> None:
    """Raised inside the scripts that did it, so nothing is missed or told twice."""
    machine, job = rig.running()
    machine.finish(job, "retrying", retry_in=1.0)
    rig.pass_time(2)
    held = claimed(machine)
    machine.finish(held, "succeeded")
    machine.finish(held, "succeeded")
    (day,) = [name for name in rig.names() if name.startswith("counts:")]
    counted = rig.redis.hgetall(rig.key(day))

    assert {"retried": "1", "succeeded": "1"} == {
        name: counted[name] for name in ("retried", "succeeded")
    }
