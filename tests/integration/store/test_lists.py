"""Lists of jobs for people: which they hold, in which order, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed

if TYPE_CHECKING:
    from store_rig import StoreRig


def found(rig: StoreRig, *, budget: int = 1000, **wanted: Any) -> list[str]:
    """Return all jobs that fit, however many parts the list comes in."""
    part = rig.store.find(budget=budget, **wanted)
    jobs = part.job_ids
    while part.cursor is not None:
        part = rig.store.find(budget=budget, cursor=part.cursor, **wanted)
        jobs += part.job_ids
    return jobs


def kept_output(rig: StoreRig, job: str) -> list[tuple[str, bytes]]:
    """Return fence and output of each attempt; [] for a job that is not there."""
    printed = rig.store.output.read(job)
    return [(str(fence), one) for fence, one in printed.kept] if printed else []


def test_jobs_are_found_by_what_they_are(rig: StoreRig) -> None:
    """Newest first."""
    machine, failed = rig.running(queue="high", task="jobs:a")
    machine.report(failed, "failed", outcome=b"x")
    waiting = [rig.enqueue(task="jobs:b", tags={"tenant": "x"})[0] for _ in range(2)]
    gone, _ = rig.enqueue(tags={"tenant": "y"})
    rig.store.cancel(gone)
    late, *_ = rig.enqueue(delay=60.0)

    assert [late, gone, *waiting[::-1], failed.id] == found(rig)
    assert [failed.id] == found(rig, status="failed")
    assert [gone] == found(rig, status="cancelled")
    assert [late] == found(rig, status="scheduled")
    assert waiting[::-1] == found(rig, status="queued")
    assert waiting[::-1] == found(rig, tag="tenant=x")
    assert [] == found(rig, tag="tenant=x", status="failed")
    assert [failed.id] == found(rig, queue="high")
    assert waiting[::-1] == found(rig, task="jobs:b")


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 100])
def test_parts_make_up_the_list_whatever_their_size(rig: StoreRig, budget: int) -> None:
    """Also where many jobs are of one moment, and some are forgotten meanwhile."""
    jobs = [rig.enqueue()[0] for _ in range(9)]
    rig.redis.zadd(rig.key("jobs"), dict.fromkeys(jobs[:6], 1.0))
    expected = [*jobs[:5:-1], *sorted(jobs[:6], reverse=True)]

    assert expected == found(rig, budget=budget)
    rig.redis.delete(rig.key("job", expected[2]), rig.key("job", expected[4]))
    del expected[4], expected[2]
    assert expected == found(rig, budget=budget)
    assert expected == found(rig, budget=budget)


def test_a_list_goes_on_where_its_last_job_was_though_that_is_gone(
    rig: StoreRig,
) -> None:
    """A page is asked for after a job that was deleted in between."""
    jobs = [rig.enqueue()[0] for _ in range(4)][::-1]
    part = rig.store.find(budget=2)
    rig.store.delete(jobs[1])

    assert jobs[:2] == part.job_ids
    assert part.cursor is not None
    assert jobs[2:] == rig.store.find(budget=9, cursor=part.cursor).job_ids


def test_jobs_from_a_moment_on(rig: StoreRig) -> None:
    """By Redis's clock; the search ends there."""
    first = rig.enqueue()[0]
    second = rig.enqueue()[0]
    since = float(rig.record(second)["created"])

    assert [second] == found(rig, since=since, budget=1)
    assert [second, first] == found(rig, since=since - 60)


def test_nothing_is_cut_off(rig: StoreRig) -> None:
    """Twelve thousand jobs are found, in parts of a thousand."""
    with rig.redis.pipeline(transaction=False) as pipe:
        for number in range(12_000):
            record = {"status": "queued", "task": "jobs:add"}
            pipe.hset(rig.key("job", f"j{number:05}"), mapping=record)
            pipe.zadd(rig.key("jobs"), {f"j{number:05}": number})
        pipe.execute()

    assert 12_000 == len(set(found(rig)))
    assert [] == found(rig, status="running")


def test_tags_and_ended_jobs_are_forgotten_with_their_records(rig: StoreRig) -> None:
    """Their lists have an end, and are looked through as they grow: at random times."""
    names = {"tag:n=1", "ended:failed", "jobs"}
    for number in range(3000):
        machine, job = rig.running(tags={"n": "1"}, pool=f"p{number % 7}", key="k")
        machine.report(job, "failed", outcome=b"x")
        machine.claim("leave")
        rig.redis.delete(rig.key("job", job.id))
        names -= {name for name in names if rig.redis.zcard(rig.key(name)) <= number}
        if not names:
            break

    assert set() == names
    for name in ("tag:n=1", "ended:failed", "jobs"):
        assert rig.redis.pttl(rig.key(name)) > 0


def test_what_attempts_printed_is_kept_in_order(rig: StoreRig) -> None:
    """As long as the job; also of attempts that were handed back."""
    machine, job = rig.running(max_machines=1)
    machine.report(job, "retrying", retry_in=1.0, output=b"one")
    rig.pass_time(2)
    held = claimed(machine)
    machine.report(held, "succeeded", outcome=b"x", output=b"\x00two words")

    expected = [(job.fence, b"one"), (held.fence, b"\x00two words")]
    assert expected == kept_output(rig, job.id)
    ends = [rig.redis.pttl(rig.key(kind, job.id)) for kind in ("log", "job")]
    assert abs(ends[0] - ends[1]) < 1000


def test_what_is_told_late_of_what_was_printed_is_kept_once(rig: StoreRig) -> None:
    """The attempt was cancelled meanwhile; its report may be sent twice."""
    machine, job = rig.running()
    rig.store.cancel(job.id)
    for _ in range(2):
        accepted, _ = machine.report(job, "failed", outcome=b"x", output=b"so far")
        assert not accepted

    assert [(job.fence, b"so far")] == kept_output(rig, job.id)
    assert "cancelled" == rig.status(job.id)
    rig.redis.delete(rig.key("job", job.id), rig.key("log", job.id))
    machine.report(job, "failed", outcome=b"x", output=b"so far")
    assert [] == kept_output(rig, job.id)


@pytest.mark.parametrize("status", ["running", "queued", "scheduled", "retrying"])
def test_jobs_that_wait_or_run_are_found_at_once_among_many(
    rig: StoreRig, status: str
) -> None:
    """However many others are kept: the first part has them, in the usual order."""
    wanted = [_with_status(rig, status, n) for n in range(3)]
    for _ in range(30):
        job_id, _ = rig.enqueue(pool="last", queue="last")
        rig.store.cancel(job_id)
    first = rig.store.find(status=status, budget=2)
    second = rig.store.find(status=status, budget=2, cursor=first.cursor)

    assert wanted[::-1] == first.job_ids + second.job_ids
    assert second.cursor is None


def _with_status(rig: StoreRig, status: str, number: int) -> str:
    if status == "queued":
        return rig.enqueue(pool=f"p{number}")[0]
    if status == "scheduled":
        return rig.enqueue(pool=f"p{number}", delay=60.0)[0]
    machine, job = rig.running(pool=f"p{number}")
    if status == "retrying":
        machine.report(job, "retrying", retry_in=60.0)
    return job.id
