"""No job waits for ever, and none vanishes while it waits, runs or is retried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from store_rig import claimed
from waiting import until

if TYPE_CHECKING:
    from store_rig import StoreRig

DAY = 86400.0
ONCE = {"on_lost": "fail"}
REASON = json.dumps({"error": "X", "message": "no", "status": 401, "who": "me"})


def life(rig: StoreRig, job: str) -> float:
    """Return the seconds for which Redis keeps a job's record."""
    left: int = rig.redis.pttl(rig.key("job", job))
    return left / 1000


class TestExpiry:
    """What waited longer than `pending_ttl` ends `expired`."""

    def test_a_sweep_ends_it_and_wakes_who_waits(self, rig: StoreRig) -> None:
        """Its waiter hears of it as of any other end."""
        job, _ = rig.enqueue()
        rig.expire(job)

        assert "expired" == rig.status(job)
        outcome = rig.store.wait(job, 1.0)
        assert outcome is not None
        assert "expired" == outcome.status
        assert [] == rig.ready()
        assert f"j:{job}" not in rig.timers()

    @pytest.mark.parametrize("delay", [0.0, 60.0])
    def test_it_may_wait_for_its_pending_ttl_from_when_it_is_due(
        self, rig: StoreRig, delay: float
    ) -> None:
        """A delay that was asked for does not count."""
        job, _ = rig.enqueue(pending_ttl=600.0, delay=delay)

        assert 598 < rig.timers()[f"j:{job}"] - delay <= 600
        assert life(rig, job) > 600 + delay

    def test_a_machine_takes_no_job_whose_time_is_over(self, rig: StoreRig) -> None:
        """It ends the job and takes the next one."""
        old, stored = rig.enqueue()
        new, _ = rig.enqueue()
        rig.redis.hset(rig.key("job", old), "expires", "1")

        assert new == claimed(rig.machine(stored.slot)).id
        assert "expired" == rig.status(old)

    def test_whoever_looks_ends_it(self, rig: StoreRig) -> None:
        """Also where nobody sweeps."""
        job, _ = rig.enqueue()
        rig.redis.hset(rig.key("job", job), "expires", "1")
        (seen,) = rig.store.look(job)

        assert seen is not None
        assert "expired" == seen.info.status
        assert "WORKER_LIB_PENDING_TTL" in seen.info.error

    def test_a_job_that_runs_does_not_expire(self, rig: StoreRig) -> None:
        """Nor does the deadline of its waiting time stay behind."""
        machine, job = rig.running(pending_ttl=60.0)
        assert f"j:{job.id}" not in rig.timers()
        rig.expire(job.id)

        assert "running" == rig.status(job.id)
        assert machine.heartbeat(job)
        assert f"j:{job.id}" not in rig.timers()

    def test_each_hand_over_lets_it_wait_anew(self, rig: StoreRig) -> None:
        """A retry that is due later than the job might have waited at first."""
        machine, job = rig.running(pending_ttl=60.0)
        machine.report(job, "retrying", retry_in=7 * DAY)

        assert life(rig, job.id) > 7 * DAY + 60
        assert 7 * DAY < rig.timers()[f"j:{job.id}"] <= 7 * DAY + 60

    def test_a_job_that_runs_long_is_kept(self, rig: StoreRig) -> None:
        """Its record lives as long as the attempt may take."""
        _, job = rig.running(pending_ttl=60.0, timeout=30 * DAY)

        assert life(rig, job.id) > 30 * DAY

    def test_a_job_that_was_handed_back_is_kept(self, rig: StoreRig) -> None:
        """It waits as if it had been stored now."""
        machine, job = rig.running(pending_ttl=60.0)
        rig.redis.pexpire(rig.key("job", job.id), 1000)
        machine.give_back(job)

        assert life(rig, job.id) > 60
        assert 58 < rig.timers()[f"j:{job.id}"] <= 60


class TestTwice:
    """A job that may not run twice does not, whatever happens to its machine."""

    def test_a_machine_that_must_stop_ends_it(self, rig: StoreRig) -> None:
        """It is not handed back: the task had begun."""
        machine, job = rig.running(policy=ONCE)
        assert machine.give_back(job)

        assert "failed" == rig.status(job.id)
        outcome = rig.store.wait(job.id, 1.0)
        assert outcome is not None
        assert b"stopped" == outcome.envelope
        assert set() == rig.slots()

    def test_a_restarted_machine_is_told_and_does_not_run_it_again(
        self, rig: StoreRig
    ) -> None:
        """Fly restarts a machine under its id: it gets the job, but to release it."""
        machine, job = rig.running(policy=ONCE)
        again = rig.machine(machine._slot)
        claim = again.claim("stay")

        assert claim.job is not None
        assert ("interrupted", job.id) == (claim.verdict, claim.job.id)
        assert claim == again.claim("stay"), "the first reply may have been lost"
        again.give_back(claim.job, charge=True)
        assert "failed" == rig.status(job.id)

    def test_a_restart_counts_as_a_lost_machine(self, rig: StoreRig) -> None:
        """A job that brings its machine down is not tried for ever."""
        machine, job = rig.running()
        for lost in (1, 2, 3):
            again = rig.machine(machine._slot)
            held = again.claim("stay").job
            assert held is not None
            again.give_back(held, charge=True)
            assert str(lost) == rig.record(job.id)["lost"]
            if lost < 3:
                (slot,) = rig.slots()
                machine = rig.machine(slot)
                claimed(machine)

        assert "failed" == rig.status(job.id)

    def test_the_same_boot_gets_the_same_job_again(self, rig: StoreRig) -> None:
        """The reply to its first question was lost."""
        machine, job = rig.running(policy=ONCE)

        assert job == claimed(machine)


class TestWaking:
    """A job that has to wait again does not pass by a machine that is idle."""

    def idle(self, rig: StoreRig) -> str:
        """Return the slot of a machine that waits for a call."""
        machine, job = rig.running(linger=60.0)
        assert "idle" == machine.report(job, "succeeded")[1].verdict
        return machine._slot

    def test_one_that_was_handed_back(self, rig: StoreRig) -> None:
        """By a machine that must stop."""
        first, job = rig.running(linger=60.0)
        second, other = rig.running(linger=60.0)
        assert "idle" == second.report(other, "succeeded")[1].verdict
        second.listen()
        first.give_back(job)

        assert "j" == until(lambda: second.heard().kind)
        assert {second._slot} == rig.slots()

    def test_one_whose_machine_was_lost(self, rig: StoreRig) -> None:
        """The sweep needs no new machine for it."""
        _first, job = rig.running(linger=60.0)
        second, other = rig.running(linger=60.0)
        second.report(other, "succeeded")
        second.listen()
        rig.pass_time(31.0)
        lost = [one for one in rig.store.sweep().checks if one.job_id == job.id]
        loss = rig.store.lose(
            lost[0], envelope=b"x", error="gone", kind="lost", gone=True
        )

        assert (True, "") == loss
        assert "w" == until(lambda: second.heard().kind)
        assert job.id == claimed(second).id

    def test_one_whose_retry_is_due(self, rig: StoreRig) -> None:
        """Whoever moves it to the line also wakes a machine."""
        first, job = rig.running(linger=60.0)
        second, other = rig.running(linger=60.0)
        second.report(other, "succeeded")
        second.listen()
        first.report(job, "retrying", retry_in=50.0, intent="leave")
        unrelated, _ = rig.enqueue(delay=500.0, linger=60.0)
        rig.pass_time(51.0)
        rig.store.cancel(unrelated)

        assert "j" == until(lambda: second.heard().kind)
        assert job.id == claimed(second).id


class TestTrouble:
    """Old news fail no good call."""

    def refused(self, rig: StoreRig) -> str:
        """Have a pool refused a machine for 30 s; return the job that waits."""
        job, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, "me")
        rig.store.refuse(stored.slot, REASON, 30.0, who="me", tell=True)
        return job

    def test_it_is_told_while_the_hold_lasts(self, rig: StoreRig) -> None:
        """To who waited before, and to who comes now."""
        job = self.refused(rig)
        (seen,) = rig.store.look(job)

        assert seen is not None
        assert REASON == seen.trouble
        assert REASON == rig.enqueue()[1].trouble

    def test_it_is_not_told_to_who_came_after_the_hold(self, rig: StoreRig) -> None:
        """Whatever was wrong may have been put right days ago."""
        old = self.refused(rig)
        rig.redis.hset(rig.key("pool", "pool"), "trouble_until", "1")
        new, stored = rig.enqueue()
        seen = rig.store.look(old, new)

        assert "" == stored.trouble
        assert [REASON, ""] == [one.trouble for one in seen if one is not None]

    def test_a_passing_reason_takes_the_place_of_an_older_trouble(
        self, rig: StoreRig
    ) -> None:
        """Else the trouble would be as new as the reason."""
        job = self.refused(rig)
        rig.redis.hset(rig.key("pool", "pool"), "hold_until", "1")
        _, stored = rig.enqueue()
        rig.redis.delete(rig.key("bucket"))
        rig.store.launch(stored.slot, 10.0, "me")
        rig.store.refuse(stored.slot, REASON, 5.0, who="me", tell=False)
        (seen,) = rig.store.look(job)

        assert seen is not None
        assert ("", "no") == (seen.trouble, seen.info.trouble)


class TestCode:
    """Functions that travel by value live as long as a job needs them."""

    def needed(self, rig: StoreRig) -> float:
        """Return the seconds for which Redis keeps the code."""
        left: int = rig.redis.pttl(rig.key("code", "c0de"))
        return left / 1000

    def test_a_later_short_call_does_not_shorten_its_life(self, rig: StoreRig) -> None:
        """An earlier call may be due in months."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        rig.enqueue(**words, delay=90 * DAY)
        rig.as_another_process()
        rig.enqueue(**words)

        assert self.needed(rig) > 90 * DAY

    def test_it_goes_soon_after_the_last_job_that_needs_it(self, rig: StoreRig) -> None:
        """Not after one of two; and not at once: the next call may come."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        machine, job = rig.running(**words)
        rig.enqueue(**words)
        _, claim = machine.report(job, "succeeded")
        assert self.needed(rig) > 600

        assert claim.job is not None
        machine.report(claim.job, "succeeded")
        assert 590 < self.needed(rig) <= 600

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_it_is_kept_as_long_as_a_job_that_may_be_run_again(
        self, rig: StoreRig, end: str
    ) -> None:
        """Jobs of the same code that succeed afterwards do not shorten that."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        machine, job = rig.running(**words, result_ttl=3600)
        if end == "failed":
            machine.report(job, "failed", error="no")
        else:
            rig.store.cancel(job.id)
        assert DAY + 3500 < self.needed(rig) <= DAY + 3600

        machine, job = rig.running(**words)
        machine.report(job, "succeeded")
        assert DAY + 3500 < self.needed(rig) <= DAY + 3600

    def test_a_new_call_keeps_it_again(self, rig: StoreRig) -> None:
        """It comes while the code is about to go."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        machine, job = rig.running(**words)
        machine.report(job, "succeeded")
        rig.enqueue(**words)

        assert self.needed(rig) > 600


def test_a_bucket_ahead_of_time_delays_nobody(rig: StoreRig) -> None:
    """The clock was set back, as where another server took over."""
    rig.enqueue()
    _, stored = rig.enqueue()
    ahead = rig.redis.time()[0] + 600
    rig.redis.hset(rig.key("bucket"), mapping={"tokens": "0", "at": ahead})

    assert 0 < rig.store.launch(stored.slot, 10.0, "me").wait < 3
