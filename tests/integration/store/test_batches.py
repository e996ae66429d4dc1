"""Jobs that are stored together: stored at once, counted, waited for, cancelled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from store_rig import claimed, new_job

from worker_lib.store.claims import Report
from worker_lib.store.keys import member_id, new_batch_id, new_slot_id
from worker_lib.store.new_job import BatchPart

if TYPE_CHECKING:
    from store_rig import StoreRig

    from worker_lib.store.replies import BatchSeen, Stored


class Batch:
    """A batch on the rig's server."""

    def __init__(self, rig: StoreRig) -> None:
        self.rig = rig
        self.id = new_batch_id()

    def store(self, count: int, start: int = 0, **told: object) -> Stored:
        """Store some of its jobs, the last ones unless `total` is given."""
        total = told.pop("total", start + count)
        assert total is None or isinstance(total, int)
        calls = [b"call %d" % (start + number) for number in range(count)]
        shared = replace(new_job(**told), id="")
        return self.rig.store.batches.enqueue(
            shared, calls, BatchPart(self.id, start, total)
        )

    def job(self, index: int) -> str:
        """Return the id of one of its jobs."""
        return member_id(self.id, index)

    def seen(self) -> BatchSeen:
        """Return what Redis says of it."""
        news = self.rig.store.batches.news(self.id)
        assert news is not None
        return news.seen


@pytest.fixture
def batch(rig: StoreRig) -> Batch:
    """A batch that has no jobs yet."""
    return Batch(rig)


class TestStored:
    """`BatchStore.enqueue`."""

    def test_its_jobs_are_jobs_like_others(self, rig: StoreRig, batch: Batch) -> None:
        """Each has its own id and call, and they run in their order."""
        stored = batch.store(3, tags={"of": "x"})
        machine = rig.machine(stored.slot)
        jobs = [claimed(machine)]
        for _ in range(2):
            jobs.append(machine.report(jobs[-1], "succeeded")[1].jobs[0])

        assert [batch.job(number) for number in range(3)] == [one.id for one in jobs]
        assert [b"call 0", b"call 1", b"call 2"] == [one.call for one in jobs]
        assert batch.job(0) == stored.job_id
        assert {batch.job(number) for number in range(3)} == set(
            rig.store.find(tag="of=x").job_ids
        )
        assert len({rig.record(one.id)["created"] for one in jobs}) == 3

    def test_one_command_owes_as_many_machines_as_it_should(
        self, rig: StoreRig, batch: Batch
    ) -> None:
        """Not one, and not one for each job."""
        stored = batch.store(10, max_machines=3)

        assert 3 == len(stored.slots) == len(rig.slots())
        assert set(stored.slots) == rig.slots()

    def test_sent_again_it_changes_nothing(self, rig: StoreRig, batch: Batch) -> None:
        """Not even when its jobs have moved on, or others came after them."""
        first = batch.store(3, total=None)
        batch.store(2, start=3)
        before = rig.snapshot()
        again = batch.store(3, total=None)

        assert first.job_id == again.job_id
        assert before == rig.snapshot()

    def test_jobs_may_come_later(self, rig: StoreRig, batch: Batch) -> None:
        """Until it is closed nobody knows how many they are."""
        batch.store(2, total=None)
        assert (None, 2) == (batch.seen().total, batch.seen().stored)
        batch.store(1, start=2, total=None)
        assert rig.store.batches.close(batch.id, 3)

        assert (3, 3, False) == (
            batch.seen().total,
            batch.seen().stored,
            batch.seen().is_over,
        )
        assert not rig.store.batches.close(new_batch_id(), 1)

    def test_those_of_a_paused_queue_wait(self, rig: StoreRig, batch: Batch) -> None:
        """No machine is owed for them."""
        rig.store.pause("default")

        assert () == batch.store(5).slots
        assert 5 == len(rig.ready())

    def test_a_delay_holds_all_of_them(self, rig: StoreRig, batch: Batch) -> None:
        """They are due together."""
        stored = batch.store(3, delay=60.0)

        assert ("scheduled", ()) == (stored.status, stored.slots)
        assert {"scheduled": 3} == batch.seen().counts
        rig.pass_time(61)
        rig.store.sweep()
        assert {"queued": 3} == batch.seen().counts


class TestCounts:
    """How many jobs are in which status."""

    def test_they_follow_every_move(self, rig: StoreRig, batch: Batch) -> None:
        """Claimed, ended, retried, cancelled, expired, lost."""
        batch.store(6, max_machines=1)
        machine = rig.machine(next(iter(rig.slots())))
        job = claimed(machine)
        assert {"queued": 5, "running": 1} == batch.seen().counts
        _, claim = machine.report(job, "succeeded")
        _, claim = machine.report(claim.jobs[0], "failed", error="no", kind="error")
        _, claim = machine.report(claim.jobs[0], "retrying", retry_in=7200.0)
        rig.store.cancel(batch.job(4))
        rig.expire(batch.job(5))
        expected = {"succeeded": 1, "failed": 1, "retrying": 1, "cancelled": 1}

        assert {**expected, "expired": 1, "running": 1} == batch.seen().counts
        rig.lose(machine._slot)
        assert {**expected, "expired": 1, "queued": 1} == batch.seen().counts
        assert 4 == batch.seen().ended

    def test_a_batch_that_is_forgotten_is_not_made_anew(
        self, rig: StoreRig, batch: Batch
    ) -> None:
        """By jobs of it that end later: that would be kept for ever."""
        stored = batch.store(1)
        machine = rig.machine(stored.slot)
        job = claimed(machine)
        rig.redis.delete(rig.key("batch", batch.id))
        machine.report(job, "succeeded")

        assert rig.store.batches.news(batch.id) is None
        assert not [name for name in rig.names() if batch.id in name and "done" in name]

    def test_it_lives_as_long_as_its_jobs(self, rig: StoreRig, batch: Batch) -> None:
        """Its list of ends, too; a retry that is far away lengthens both."""
        stored = batch.store(1, result_ttl=3600.0)
        machine = rig.machine(stored.slot)
        job = claimed(machine)
        machine.report(job, "retrying", retry_in=90 * 86400.0)
        rig.pass_time(91 * 86400)
        other, _ = rig.enqueue()
        rig.store.cancel(batch.job(0))
        names = [rig.key("batch", batch.id), rig.key("done", batch.id)]

        assert rig.redis.pttl(rig.key("job", other)) > 0
        for name in names:
            assert rig.redis.pttl(name) > rig.redis.pttl(rig.key("out", batch.job(0)))
        assert rig.redis.pttl(names[0]) > 90 * 86400 * 1000


class TestNews:
    """`news`, `wait` and `outcomes`."""

    def test_ends_are_told_in_their_order(self, rig: StoreRig, batch: Batch) -> None:
        """From a position on, as many as asked for."""
        batch.store(4)
        for index in (2, 0, 3):
            rig.store.cancel(batch.job(index))
        news = rig.store.batches.news(batch.id, 1, limit=1)
        rest = rig.store.batches.news(batch.id, 2)

        assert news is not None
        assert rest is not None
        assert [(0, "cancelled")] == news.ended
        assert [(3, "cancelled")] == rest.ended

    def test_a_waiter_is_woken_once(self, rig: StoreRig, batch: Batch) -> None:
        """When as many have ended as it waits for; not for each."""
        batch.store(5)
        waiter = new_slot_id()
        rig.store.batches.news(batch.id, waiter=waiter, at_least=3)
        for index in range(2):
            rig.store.cancel(batch.job(index))
        assert not rig.store.batches.wait(waiter, 0.1)
        for index in range(2, 5):
            rig.store.cancel(batch.job(index))

        assert rig.store.batches.wait(waiter, 5)
        assert not rig.store.batches.wait(waiter, 0.1)

    def test_one_who_waits_for_more_than_come_is_woken_at_the_end(
        self, rig: StoreRig, batch: Batch
    ) -> None:
        """Also if the end is only told when all have ended."""
        batch.store(2, total=None)
        waiter, later = new_slot_id(), new_slot_id()
        rig.store.batches.news(batch.id, waiter=waiter, at_least=10)
        rig.store.batches.close(batch.id, 2)
        assert rig.store.batches.wait(waiter, 5)
        rig.store.batches.news(batch.id, waiter=later, at_least=10)
        for index in range(2):
            rig.store.cancel(batch.job(index))

        assert rig.store.batches.wait(later, 5)

    def test_who_comes_late_is_not_noted(self, rig: StoreRig, batch: Batch) -> None:
        """There is nothing left to wake it for."""
        batch.store(1)
        rig.store.cancel(batch.job(0))
        news = rig.store.batches.news(batch.id, waiter="w1", at_least=5)

        assert news is not None
        assert news.seen.is_over
        assert not rig.redis.exists(rig.key("waits", batch.id))

    def test_outcomes_of_many_come_in_one_command(
        self, rig: StoreRig, batch: Batch
    ) -> None:
        """With how long each ran; None for what has not ended, or is not there."""
        stored = batch.store(3)
        machine = rig.machine(stored.slot)
        job = claimed(machine)
        report = Report("succeeded", outcome=b"sealed", ran=0.25)
        machine.finish([(job, report)], want=0)
        ids = [*map(batch.job, range(2)), "0" * 20]
        done, waits, none = rig.store.batches.outcomes(ids)

        assert done is not None
        assert done.outcome == ("succeeded", "1", b"sealed")
        assert 0.25 == pytest.approx(done.ran, abs=0.01)
        assert waits is not None
        assert ("queued", None) == (waits.status, waits.outcome)
        assert none is None

    def test_no_more_of_them_come_than_fit(self, rig: StoreRig, batch: Batch) -> None:
        """But one at least."""
        stored = batch.store(3)
        machine = rig.machine(stored.slot)
        claim = machine.claim("stay")
        while claim.jobs:
            _, claim = machine.report(claim.jobs[0], "succeeded", outcome=b"x" * 600)
        ids = [*map(batch.job, range(3))]

        assert [1, 1, 2, 3] == [
            len(rig.store.batches.outcomes(ids, max_bytes=most))
            for most in (1, 1000, 1500, 10_000)
        ]

    def test_what_nobody_asks_for_again_is_soon_forgotten(
        self, rig: StoreRig, batch: Batch
    ) -> None:
        """But not what failed."""
        stored = batch.store(2, ttl=3600.0)
        machine = rig.machine(stored.slot)
        _, claim = machine.report(claimed(machine), "succeeded", outcome=b"x")
        machine.report(claim.jobs[0], "failed", outcome=b"y", error="no", kind="error")
        rig.store.batches.outcomes([batch.job(0), batch.job(1)], forget=True)

        assert 590_000 < rig.redis.pttl(rig.key("job", batch.job(0))) <= 600_000
        assert 600_000 < rig.redis.pttl(rig.key("out", batch.job(1)))


def test_cancelling_it_goes_on_where_it_stopped(
    rig: StoreRig, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part at a time, so that nobody is held up; asked twice it says the same."""
    monkeypatch.setattr("worker_lib.store.batch_store._CANCEL_AT_ONCE", 4)
    batch.store(10)
    rig.store.cancel(batch.job(1))
    canceller, start, parts = new_slot_id(), 0, []
    while True:
        part = rig.store.batches.cancel(batch.id, start, canceller)
        assert part == rig.store.batches.cancel(batch.id, start, canceller)
        assert part is not None
        parts.append(part)
        if part[1] is None:
            break
        start = part[1]

    assert [(3, 4), (4, 8), (2, None)] == parts
    assert {"cancelled": 10} == batch.seen().counts
    assert rig.store.batches.cancel(new_batch_id(), 0, canceller) is None


def test_only_what_waits_can_be_cancelled_alone(rig: StoreRig, batch: Batch) -> None:
    """What runs, has ended or was never there is left as it is."""
    stored = batch.store(3)
    claimed(rig.machine(stored.slot))
    ended = batch.job(2)
    rig.store.cancel(ended)

    ids = [batch.job(0), batch.job(1), ended, batch.job(7)]
    assert [False, True, False, False] == rig.store.batches.cancel_waiting(ids)
    assert {"running": 1, "cancelled": 2} == batch.seen().counts
