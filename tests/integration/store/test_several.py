"""A machine that holds several jobs at a time: claims, reports, what it gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import STOPPED, claimed

from worker_lib.store.claims import Report
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from store_rig import RigMachine, StoreRig

    from worker_lib.store.claims import ClaimedJob, Word

DONE = Report("succeeded", outcome=b"x")


def stored(rig: StoreRig, count: int, **told: object) -> list[str]:
    """Store some calls; return their ids."""
    return [rig.enqueue(**told)[0] for _ in range(count)]


def first_machine(rig: StoreRig) -> RigMachine:
    """Return a machine of the pool."""
    return rig.machine(min(rig.slots()))


def ids(jobs: tuple[ClaimedJob, ...] | list[ClaimedJob]) -> list[str]:
    """Return which they are."""
    return [job.id for job in jobs]


class TestClaims:
    """How many it gets."""

    def test_as_many_as_it_wants_in_their_order(self, rig: StoreRig) -> None:
        """All of them are its own from then on."""
        jobs = stored(rig, 5, max_machines=1)
        machine = first_machine(rig)
        claim = machine.claim(want=4)

        assert ("jobs", jobs[:4]) == (claim.verdict, ids(claim.jobs))
        assert {"running"} == {rig.status(job) for job in jobs[:4]}
        assert jobs[4:] == rig.ready()
        assert 29 < rig.timers()[f"s:{machine._slot}"] <= 30
        assert not [name for name in rig.timers() if name[2:] in jobs[:4]]

    def test_each_with_what_it_needs(self, rig: StoreRig) -> None:
        """Though jobs that are alike are not told in full."""
        told = [("a", 10.0), ("a", 10.0), ("a", 20.0), ("b", 20.0), ("b", 20.0)]
        for task, timeout in told:
            rig.enqueue(task=task, timeout=timeout, max_machines=1)
        jobs = first_machine(rig).claim(want=5).jobs

        assert told == [(job.task, job.timeout) for job in jobs]
        assert {("1", 1, "", b"", 0)} == {
            (job.fence, job.attempt, job.code_hash, job.code, job.lost) for job in jobs
        }
        assert all(job.call and job.policy for job in jobs)

    def test_no_more_than_a_fair_share(self, rig: StoreRig) -> None:
        """Another machine is on its way, and is to find some."""
        stored(rig, 10, max_machines=2)
        machine = first_machine(rig)

        assert 2 == len(rig.slots())
        assert 5 == len(machine.claim(want=64).jobs)

    def test_no_more_than_redis_can_hand_over_in_a_short_time(
        self, rig: StoreRig
    ) -> None:
        """Whatever it wants."""
        stored(rig, 70, max_machines=1)

        assert 64 == len(first_machine(rig).claim(want=1000).jobs)

    def test_further_ones_while_it_works(self, rig: StoreRig) -> None:
        """What it holds stays its own; nothing new is no reason to leave."""
        jobs = stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        (first,) = machine.claim().jobs
        more = machine.finish([], want=2, holds=[first]).claim
        none = machine.finish([], want=2, holds=[first, *more.jobs]).claim

        assert ("jobs", jobs[1:]) == (more.verdict, ids(more.jobs))
        assert ("none", ()) == (none.verdict, none.jobs)
        assert jobs == [
            entry.partition(":")[0]
            for entry in rig.slot(machine._slot)["holds"].split(",")
        ]

    def test_what_a_lost_reply_gave_is_given_again(self, rig: StoreRig) -> None:
        """Redis knows what the machine has by what it says."""
        stored(rig, 4, max_machines=1)
        machine = first_machine(rig)
        (first,) = machine.claim().jobs
        lost = machine.finish([], want=2, holds=[first]).claim
        again = machine.finish([], want=2, holds=[first]).claim
        third = machine.finish([], want=1, holds=[first, *again.jobs]).claim

        assert lost == again
        assert 1 == len(third.jobs)

    def test_a_job_that_may_not_run_twice_goes_alone(self, rig: StoreRig) -> None:
        """While it waited behind others, their machine could be lost."""
        plain, once, last = (
            rig.enqueue(policy={"on_lost": on_lost}, max_machines=1)[0]
            for on_lost in ("retry", "fail", "retry")
        )
        machine = first_machine(rig)
        (first,) = machine.claim(want=3).jobs
        nothing = machine.finish([], want=3, holds=[first]).claim
        alone = machine.finish([(first, DONE)], want=3).claim

        assert plain == first.id
        assert "none" == nothing.verdict
        assert [once] == ids(alone.jobs)
        assert [last] == ids(machine.finish([(alone.jobs[0], DONE)]).claim.jobs)

    def test_each_of_them_is_thrown_for_by_weight(self, rig: StoreRig) -> None:
        """Not the queue that all of them come from."""
        for queue in ("heavy", "light"):
            stored(rig, 60, queue=queue, queues="heavy=4,light=1", max_machines=1)
        jobs = first_machine(rig).claim(want=60).jobs
        heavy = sum(rig.record(job.id)["queue"] == "heavy" for job in jobs)

        # 48 are expected, with a standard deviation of 3.1.
        assert 33 <= heavy <= 59

    def test_an_isolated_pool_has_a_machine_for_each(self, rig: StoreRig) -> None:
        """However many it wants."""
        stored(rig, 3, isolate=True)
        machine = first_machine(rig)
        (first,) = machine.claim(want=8).jobs

        assert "none" == machine.finish([], want=8, holds=[first]).claim.verdict
        assert "empty" == machine.finish([(first, DONE)], want=8).claim.verdict

    def test_jobs_of_different_functions_bring_each_its_code(
        self, rig: StoreRig
    ) -> None:
        """Once for those that follow each other."""
        for code in ("c1", "c1", "c2", "c1"):
            rig.enqueue(code_hash=code, code=code.encode() * 3, max_machines=1)
        jobs = first_machine(rig).claim(want=4).jobs

        assert [b"c1c1c1", b"", b"c2c2c2", b"c1c1c1"] == [job.code for job in jobs]


class TestReports:
    """Several outcomes in one command."""

    def test_each_counts(self, rig: StoreRig) -> None:
        """Whatever became of the others."""
        jobs = stored(rig, 4, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=3).jobs
        rig.store.cancel(held[1].id)
        failed = Report("failed", outcome=b"f", error="no", kind="error")
        done = machine.finish([(held[0], DONE), (held[1], DONE), (held[2], failed)])

        assert (True, False, True) == done.accepted
        assert ["succeeded", "cancelled", "failed", "running"] == [
            rig.status(job) for job in jobs
        ]
        assert [jobs[3]] == ids(done.claim.jobs)

    def test_sent_again_they_count_once(self, rig: StoreRig) -> None:
        """And bring the same jobs."""
        stored(rig, 4, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=2).jobs
        reports = [(job, DONE) for job in held]
        first = machine.finish(reports, want=2)
        before = rig.snapshot()
        again = machine.finish(reports, want=2)
        after = rig.snapshot()

        assert first == again
        lease = rig.key("timers")
        assert {**before, lease: 0} == {**after, lease: 0}

    def test_a_job_that_comes_back_at_once_is_not_lost_by_a_resend(
        self, rig: StoreRig
    ) -> None:
        """It is given back, and taken again in the same command."""
        stored(rig, 2, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=2).jobs
        first = machine.finish([(held[0], DONE)], back=held[1:], want=1)
        again = machine.finish([(held[0], DONE)], back=held[1:], want=1)

        assert first == again
        assert ["3"] == [job.fence for job in again.claim.jobs]
        assert "succeeded" == self.end(rig, machine, again.claim.jobs[0])

    def end(self, rig: StoreRig, machine: RigMachine, job: ClaimedJob) -> str:
        """End a job; return its status."""
        machine.report(job, "succeeded")
        return rig.status(job.id)

    def test_how_long_each_ran_is_kept(self, rig: StoreRig) -> None:
        """Not since when its machine had it; the pool knows the average."""
        (job,) = stored(rig, 1, max_machines=1)
        machine = first_machine(rig)
        held = claimed(machine)
        rig.redis.hincrbyfloat(rig.key("job", job), "started", -100)
        machine.finish([(held, DONE._replace(ran=2.0))])
        (seen,) = rig.store.look(job)

        assert seen is not None
        (attempt,) = seen.info.attempts
        assert attempt.ended_at is not None
        assert 2.0 == pytest.approx(attempt.ended_at - attempt.started_at, abs=0.01)
        assert 2.0 == rig.store.measured("pool")["run"]

    def test_the_answer_may_come_later(self, rig: StoreRig) -> None:
        """The machine works meanwhile; if it is lost, it is asked for again."""
        stored(rig, 2, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim().jobs
        machine.begin_finish([(held[0], DONE)])
        done = machine.end_finish()
        machine.begin_finish([(held[0], DONE)])
        machine.wire.close()

        assert done == machine.finish([(held[0], DONE)])

    def test_a_server_that_forgot_its_scripts_is_told_them(self, rig: StoreRig) -> None:
        """The command is sent again as a whole."""
        stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim().jobs
        machine.begin_finish([(held[0], DONE)])
        (second,) = machine.end_finish().claim.jobs
        script("finish")._sha = b"0" * 40
        try:
            machine.begin_finish([(second, DONE)])
            assert 1 == len(machine.end_finish().claim.jobs)
        finally:
            script("finish")._sha = b""


class TestBack:
    """What a machine took and did not start."""

    def test_it_is_in_line_again_at_its_place(self, rig: StoreRig) -> None:
        """No attempt is charged."""
        jobs = stored(rig, 4, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=3).jobs
        done = machine.finish([], holds=held[:1], back=held[1:], want=0)

        assert "none" == done.claim.verdict
        assert jobs[1:] == rig.ready()
        assert ("queued", "0", "2") == tuple(
            rig.record(jobs[1])[name] for name in ("status", "attempt", "fence")
        )
        assert "" == rig.record(jobs[1])["past"]
        assert f"{jobs[0]}:1" == rig.slot(machine._slot)["holds"]

    def test_what_has_moved_on_is_left_alone(self, rig: StoreRig) -> None:
        """It was cancelled meanwhile."""
        jobs = stored(rig, 2, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=2).jobs
        rig.store.cancel(jobs[1])
        machine.finish([], holds=held[:1], back=held[1:], want=0)

        assert "cancelled" == rig.status(jobs[1])
        assert [] == rig.ready()

    def test_another_machine_that_waits_is_handed_it(self, rig: StoreRig) -> None:
        """At once."""
        idle, job = rig.running(linger=60.0)
        idle.report(job, "succeeded")
        rig.store.pause("default")
        jobs = stored(rig, 2, linger=60.0)
        rig.redis.hset(rig.key("pool", "pool"), "paused", "")
        slot = "f" * 12
        rig.redis.hset(rig.key("slot", slot), mapping={"pool": "pool", "state": "owed"})
        rig.redis.sadd(rig.key("slots", "pool"), slot)
        held = rig.machine(slot).claim(want=2).jobs
        more = rig.machine(slot)
        assert 1 == len(held), "the share of one of two machines"
        more.finish([], back=held, want=0)

        assert jobs[0] in {entry.id for entry in idle.claim().jobs}

    def test_a_machine_that_stops_gives_all_of_it_back(self, rig: StoreRig) -> None:
        """The job that ran counts as handed back, the others as never started."""
        jobs = stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=3).jobs
        assert machine.release(held[0], STOPPED, back=held[1:])

        assert jobs == rig.ready()
        assert ["0", "0", "0"] == [rig.record(job)["attempt"] for job in jobs]
        assert ["", ""] == [rig.record(job)["past"] for job in jobs[1:]]
        assert "released" in rig.record(jobs[0])["past"]


class TestLost:
    """Its machine vanishes."""

    def test_the_one_that_ran_is_charged(self, rig: StoreRig) -> None:
        """The others wait in line again; each of them is alone on its next machine."""
        jobs = stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        machine.claim(want=3)
        slot = rig.lose(machine._slot)
        (next_one,) = rig.machine(slot).claim(want=3).jobs

        assert ["1", "0", "0"] == [rig.record(job)["lost"] for job in jobs]
        assert jobs[0] == next_one.id
        assert jobs[1:] == rig.ready()

    def test_a_restarted_machine_is_told_of_all(self, rig: StoreRig) -> None:
        """Fly may start it anew under its id."""
        jobs = stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        machine.claim(want=3)
        again = rig.machine(machine._slot)
        claim = again.claim(want=3)
        again.release(claim.jobs[0], STOPPED, charge=True, back=claim.jobs[1:])

        assert ("interrupted", jobs) == (claim.verdict, ids(claim.jobs))
        assert ["1", "0", "0"] == [rig.record(job)["lost"] for job in jobs]
        assert ["1", "1", "1"] == [rig.record(job)["alone"] for job in jobs]

    def test_a_look_puts_back_what_an_eviction_took(self, rig: StoreRig) -> None:
        """The slot with all that it holds."""
        jobs = stored(rig, 3, max_machines=1)
        machine = first_machine(rig)
        held = machine.claim(want=3).jobs
        rig.redis.delete(rig.key("slot", machine._slot))
        rig.store.look(*jobs)
        done = machine.finish([(job, DONE) for job in held])

        assert (True, True, True) == done.accepted
        assert "empty" == done.claim.verdict


class TestHandedOver:
    """A machine that waits gets its job with the word that wakes it."""

    def test_without_another_command(self, rig: StoreRig) -> None:
        """It runs already; asked for all the same, it is the same job."""
        machine, job = rig.running(linger=60.0)
        machine.report(job, "succeeded")
        machine.listen()
        other, told = rig.enqueue(linger=60.0, call=b"\x00:\xff 7:")
        word = _heard(machine)

        assert word.job is not None
        assert (other, b"\x00:\xff 7:", "running") == (
            word.job.id,
            word.job.call,
            told.status,
        )
        assert (word.job,) == machine.claim().jobs
        assert machine.report(word.job, "succeeded")[0]

    def test_its_code_comes_along_unless_it_has_it(self, rig: StoreRig) -> None:
        """As with a claim."""
        words = {"code_hash": "c1", "code": b"the code", "linger": 60.0}
        machine, job = rig.running(**words)
        machine.known_code = "c1"
        machine.report(job, "succeeded")
        machine.listen()
        rig.enqueue(**words)
        known = _heard(machine)
        assert known.job is not None
        machine.known_code = ""
        machine.report(known.job, "succeeded")
        rig.enqueue(**words)
        unknown = _heard(machine)
        assert unknown.job is not None

        assert (b"", b"the code") == (known.job.code, unknown.job.code)

    def test_a_machine_that_does_not_come_is_soon_looked_at(
        self, rig: StoreRig
    ) -> None:
        """Not only after a lease."""
        machine, job = rig.running(linger=60.0)
        machine.report(job, "succeeded")
        rig.enqueue(linger=60.0)

        assert 9 < rig.timers()[f"s:{machine._slot}"] <= 10

    def test_a_job_that_may_not_run_twice_is_fetched(self, rig: StoreRig) -> None:
        """Handed to a machine that is dead, it would fail without having run."""
        machine, job = rig.running(linger=60.0)
        machine.report(job, "succeeded")
        machine.listen()
        other, _ = rig.enqueue(linger=60.0, policy={"on_lost": "fail"})

        assert ("w", None) == _heard(machine)[:2]
        assert [other] == rig.ready()
        assert [other] == ids(machine.claim().jobs)

    def test_one_of_many_calls_goes_to_it(self, rig: StoreRig) -> None:
        """The others wait for their turn, or for machines."""
        machine, job = rig.running(linger=60.0, max_machines=2)
        machine.report(job, "succeeded")
        jobs = stored(rig, 3, linger=60.0, max_machines=2)

        assert ["running", "queued", "queued"] == [rig.status(job) for job in jobs]
        assert 2 == len(rig.slots())


def _heard(machine: RigMachine) -> Word:
    from waiting import until

    words: list[Word] = []
    machine.listen()

    def heard() -> bool:
        word = machine.heard()
        words.append(word)
        return bool(word.kind)

    until(heard)
    return words[-1]
