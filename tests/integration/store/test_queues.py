"""Queues of a pool: their order, pauses, priorities, and jobs that are edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed
from waiting import until

if TYPE_CHECKING:
    from store_rig import RigMachine, StoreRig


def drained(machine: RigMachine) -> list[str]:
    """Return the jobs that a machine finds, in order, until it is told to leave."""
    order, claim = [], machine.claim()
    while claim.job is not None:
        order.append(claim.job.id)
        _, claim = machine.report(claim.job, "succeeded")
    return order


def machine_of(rig: StoreRig, pool: str = "pool") -> RigMachine:
    """Return the machine of a pool's first slot."""
    return rig.machine(min(rig.slots(pool)))


class TestOrder:
    """Which job a machine takes next."""

    def test_the_higher_priority_goes_first_and_then_who_came_first(
        self, rig: StoreRig
    ) -> None:
        """Within a queue; also a negative one, and the largest."""
        told = (0, 5, -100, 100, 5, 0)
        jobs = [rig.enqueue(priority=one)[0] for one in told]

        assert [jobs[i] for i in (3, 1, 4, 0, 5, 2)] == drained(machine_of(rig))

    def test_a_priority_does_not_leave_its_queue(self, rig: StoreRig) -> None:
        """A queue that is served first stays so."""
        low, _ = rig.enqueue(queue="low", priority=100)
        high, _ = rig.enqueue(queue="high", priority=-100)

        assert [high, low] == drained(machine_of(rig))

    def test_the_rule_of_the_pool_decides(self, rig: StoreRig) -> None:
        """What it does not name comes last, by name."""
        names = ("zebra", "low", "ant", "high")
        jobs = {name: rig.enqueue(queue=name, queues="low,high")[0] for name in names}

        expected = [jobs[name] for name in ("low", "high", "ant", "zebra")]
        assert expected == drained(machine_of(rig))

    def test_weights_share_the_machine(self, rig: StoreRig) -> None:
        """Three to one, while both have jobs; what has no weight waits."""
        rule = {"queues": "a=3,b=1", "max_machines": 1}
        jobs = {
            rig.enqueue(queue=name, **rule)[0]: name for name in ["a", "b", "c"] * 120
        }
        order = [jobs[job] for job in drained(machine_of(rig))]
        both = order[: 1 + max(n for n in range(120) if order[:n].count("a") < 120)]

        assert 360 == len(order)
        assert ["c"] * 120 == order[240:]
        assert 0.6 < both.count("a") / len(both) < 0.9

    def test_the_order_can_be_changed_with_the_next_call(self, rig: StoreRig) -> None:
        """A pool that is sealed anew brings its rule along."""
        low, _ = rig.enqueue(queue="low")
        spec = b'{"image": "local", "changed": 1}'
        high, _ = rig.enqueue(queue="high", queues="low,high", pool_spec=spec)

        assert [low, high] == drained(machine_of(rig))


class TestPause:
    """Queues that are held back."""

    def test_its_jobs_wait_and_the_others_go_on(self, rig: StoreRig) -> None:
        """In every pool; twice paused is paused."""
        held, _ = rig.enqueue(queue="mail")
        assert rig.store.pause("mail")
        assert not rig.store.pause("mail")
        other, _ = rig.enqueue()

        assert [other] == drained(machine_of(rig))
        assert ("queued", "succeeded") == (rig.status(held), rig.status(other))

    def test_no_machine_is_started_for_it(self, rig: StoreRig) -> None:
        """Neither by a call, nor by a sweep, nor for one that becomes due."""
        rig.store.pause("mail")
        _, stored = rig.enqueue(queue="mail")
        rig.enqueue(queue="mail", delay=5.0)
        rig.pass_time(6)

        assert "" == stored.slot
        assert [] == rig.store.sweep().launches
        assert set() == rig.slots()

    def test_a_resumed_queue_gets_its_machine(self, rig: StoreRig) -> None:
        """Whoever has a token is called."""
        rig.store.pause("mail")
        job, _ = rig.enqueue(queue="mail")
        assert rig.store.resume("mail")
        assert not rig.store.resume("mail")

        assert rig.store.await_call(1)
        (slot,) = rig.store.sweep().launches
        assert [job] == drained(rig.machine(slot))

    def test_a_pool_that_is_new_knows_of_it(self, rig: StoreRig) -> None:
        """It was paused before there was such a pool."""
        rig.store.pause("mail")
        _, stored = rig.enqueue(queue="mail", pool="another")

        assert "" == stored.slot
        assert [("mail", 1, True)] == [
            (one.name, one.waiting, one.paused_at is not None)
            for one in rig.store.queues()
        ]

    def test_a_job_that_is_handed_back_waits_too(self, rig: StoreRig) -> None:
        """It ran when its queue was paused, and that goes on."""
        machine, job = rig.running(queue="mail")
        rig.store.pause("mail")
        machine.give_back(job)

        assert ("queued", [job.id]) == (rig.status(job.id), rig.ready(queue="mail"))
        assert [] == rig.store.sweep().launches

    def test_the_list_of_queues_tells_how_many_wait(self, rig: StoreRig) -> None:
        """Over all pools; queues that are empty and run are left out."""
        for pool in ("p1", "p2"):
            rig.enqueue(pool=pool)
            rig.enqueue(pool=pool, queue="high")
        rig.store.pause("empty")
        found = {one.name: one.waiting for one in rig.store.queues()}
        for pool in ("p1", "p2"):
            drained(machine_of(rig, pool))

        assert {"default": 2, "high": 2, "empty": 0} == found
        assert ["empty"] == [one.name for one in rig.store.queues()]


class TestKey:
    """Calls that are made once."""

    def test_the_second_call_returns_the_first_job(self, rig: StoreRig) -> None:
        """Until it has ended; a call without a key, or of another task, is another."""
        first, stored = rig.enqueue(key="r-7")
        _, again = rig.enqueue(key="r-7")
        others = [rig.enqueue(**one)[1] for one in ({}, {"key": "x"})]
        others.append(rig.enqueue(key="r-7", task="jobs:other")[1])

        assert (first, first) == (stored.job_id, again.job_id)
        assert 4 == len({first, *(one.job_id for one in others)})
        assert 4 == len(rig.ready())

    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    def test_it_is_free_when_the_job_has_ended(
        self, rig: StoreRig, status: str
    ) -> None:
        """Not while it is retried."""
        machine, job = rig.running(key="r-7")
        machine.report(job, "retrying", retry_in=1.0)
        assert job.id == rig.enqueue(key="r-7")[1].job_id
        rig.pass_time(2)
        machine.report(claimed(machine), status, outcome=b"x")

        new, stored = rig.enqueue(key="r-7")
        assert new == stored.job_id

    def test_a_time_keeps_it_longer(self, rig: StoreRig) -> None:
        """The job that has ended is returned until the time is over."""
        machine, job = rig.running(key="r-7", unique_for=60.0)
        machine.report(job, "succeeded", outcome=b"x")
        _, again = rig.enqueue(key="r-7")
        unique = rig.key("unique", "jobs:add", "r-7")

        assert (job.id, "succeeded") == (again.job_id, again.status)
        assert 50_000 < rig.redis.pttl(unique) <= 60_000

    def test_a_key_whose_job_is_gone_is_free(self, rig: StoreRig) -> None:
        """As after an eviction, or when it was deleted."""
        first, _ = rig.enqueue(key="r-7")
        assert "deleted" == rig.store.delete(first)
        second, stored = rig.enqueue(key="r-7")

        assert second == stored.job_id


class TestEdit:
    """Jobs that wait, and are changed."""

    def edit(self, rig: StoreRig, job: str, **changes: Any) -> str:
        """Change a job, and leave the rest as it is."""
        record = rig.record(job)
        told = {
            "fence": record["fence"],
            "queue": record["queue"],
            "priority": int(record["priority"]),
        }
        return rig.store.edit(job, **{**told, **changes})

    def test_it_moves_to_another_queue(self, rig: StoreRig) -> None:
        """And is in one only."""
        first, second = rig.enqueue()[0], rig.enqueue()[0]

        assert "changed" == self.edit(rig, second, queue="high")
        assert [second, first] == drained(machine_of(rig))

    def test_it_is_put_first(self, rig: StoreRig) -> None:
        """Before jobs of a higher priority, too."""
        jobs = [rig.enqueue(priority=9)[0], *(rig.enqueue()[0] for _ in range(2))]

        assert "changed" == self.edit(rig, jobs[2], first=True)
        assert [jobs[2], *jobs[:2]] == drained(machine_of(rig))

    def test_it_gets_another_priority_and_keeps_its_place_among_those(
        self, rig: StoreRig
    ) -> None:
        """By the order of arrival."""
        jobs = [rig.enqueue(priority=one)[0] for one in (1, 0, 1)]

        assert "changed" == self.edit(rig, jobs[1], priority=1)
        assert jobs == drained(machine_of(rig))

    def test_it_is_put_off_and_brought_back(self, rig: StoreRig) -> None:
        """A job whose time is moved is `scheduled` until then."""
        job, _ = rig.enqueue()
        assert "changed" == self.edit(rig, job, delay=60.0)
        later = rig.status(job), rig.ready(), rig.timers()["p:pool"]
        assert "changed" == self.edit(rig, job, delay=0.0)

        assert ("scheduled", []) == later[:2]
        assert 50 < later[2] <= 60
        assert ("queued", [job]) == (rig.status(job), rig.ready())
        assert [job] == drained(machine_of(rig))

    def test_its_call_can_be_replaced(self, rig: StoreRig) -> None:
        """As it was sealed."""
        job, _ = rig.enqueue()
        assert "changed" == self.edit(rig, job, fields={"call": b"another"})

        assert b"another" == claimed(machine_of(rig)).call

    def test_one_that_moved_on_is_left_alone(self, rig: StoreRig) -> None:
        """What was read is no longer true."""
        machine, job = rig.running()
        assert "running" == self.edit(rig, job.id, queue="high")
        machine.report(job, "succeeded", outcome=b"x")
        assert "succeeded" == self.edit(rig, job.id, queue="high")
        waiting, _ = rig.enqueue()
        assert "queued" == self.edit(rig, waiting, fence="7")

        assert "gone" == rig.store.edit("none", fence="0", queue="q", priority=0)
        assert "default" == rig.record(waiting)["queue"]

    def test_an_idle_machine_is_woken_for_one_that_may_run_now(
        self, rig: StoreRig
    ) -> None:
        """It was to run tomorrow."""
        machine, job = rig.running(linger=60.0)
        later, _ = rig.enqueue(delay=86400.0, linger=60.0)
        machine.report(job, "succeeded")
        machine.listen()
        self.edit(rig, later, delay=0.0)

        assert "j" == until(lambda: machine.heard().kind)
        assert later == claimed(machine).id


class TestDelete:
    """Jobs that are forgotten."""

    def test_nothing_of_it_is_left(self, rig: StoreRig) -> None:
        """Of one that waits, or has ended; in no list either."""
        tags = {"tenant": "x"}
        machine, job = rig.running(tags=tags)
        machine.report(job, "failed", outcome=b"x", output=b"printed")
        waiting, _ = rig.enqueue(tags=tags, delay=60.0)

        assert ["deleted"] * 2 == [rig.store.delete(one) for one in (job.id, waiting)]
        assert [None, None] == rig.store.look(job.id, waiting)
        assert [] == [name for name in rig.names() if "tag:" in name or "log:" in name]
        assert [] == rig.store.find(status="failed").job_ids

    def test_who_waits_for_it_is_told(self, rig: StoreRig) -> None:
        """That it was cancelled."""
        job, _ = rig.enqueue()
        rig.store.delete(job)
        outcome = rig.store.wait(job, 1)

        assert outcome is not None
        assert "cancelled" == outcome.status

    def test_one_that_runs_is_not_deleted(self, rig: StoreRig) -> None:
        """It has to be cancelled first."""
        _, job = rig.running()

        assert ("running", "gone") == (
            rig.store.delete(job.id),
            rig.store.delete("none"),
        )


class TestRetryOf:
    """Jobs that are run again."""

    def test_both_name_each_other(self, rig: StoreRig) -> None:
        """The old one stays as it was."""
        machine, job = rig.running()
        machine.report(job, "failed", outcome=b"x", error="no")
        again, stored = rig.enqueue(retry_of=job.id)
        old, new = rig.store.look(job.id, again)

        assert again == stored.job_id
        assert old is not None
        assert new is not None
        assert ("failed", again) == (old.info.status, old.info.retried_as)
        assert job.id == new.info.retry_of

    def test_asked_twice_it_is_run_again_once(self, rig: StoreRig) -> None:
        """Until that one has ended."""
        machine, job = rig.running()
        machine.report(job, "failed", outcome=b"x")
        first, _ = rig.enqueue(retry_of=job.id)
        _, second = rig.enqueue(retry_of=job.id)
        rig.store.cancel(first)
        third, stored = rig.enqueue(retry_of=job.id)

        assert (first, third) == (second.job_id, stored.job_id)
