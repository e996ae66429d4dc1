"""No job waits for ever, and none vanishes while it waits, runs or is retried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .ground import STOPPED, claimed, eventually

if TYPE_CHECKING:
    from .ground import Ground

DAY = 86400.0
ONCE = {"on_lost": "fail"}
REASON = json.dumps({"error": "X", "message": "no", "status": 401, "who": "me"})


def life(ground: Ground, job: str) -> float:
    """Return the seconds for which Redis keeps a job's record."""
    left: int = ground.redis.pttl(ground.key("job", job))
    return left / 1000


class TestExpiry:
    """What waited longer than `pending_ttl` ends `expired`."""

    def test_a_sweep_ends_it_and_wakes_who_waits(self, ground: Ground) -> None:
        """Its waiter hears of it as of any other end."""
        job, _ = ground.enqueue()
        ground.expire(job)

        assert "expired" == ground.status(job)
        outcome = ground.store.wait(job, 1.0)
        assert outcome is not None
        assert "expired" == outcome.status
        assert [] == ground.ready()
        assert f"j:{job}" not in ground.timers()

    @pytest.mark.parametrize("delay", [0.0, 60.0])
    def test_it_may_wait_for_its_pending_ttl_from_when_it_is_due(
        self, ground: Ground, delay: float
    ) -> None:
        """A delay that was asked for does not count."""
        job, _ = ground.enqueue(pending_ttl=600.0, delay=delay)

        assert 598 < ground.timers()[f"j:{job}"] - delay <= 600
        assert life(ground, job) > 600 + delay

    def test_a_machine_takes_no_job_whose_time_is_over(self, ground: Ground) -> None:
        """It ends the job and takes the next one."""
        old, stored = ground.enqueue()
        new, _ = ground.enqueue()
        ground.redis.hset(ground.key("job", old), "expires", "1")

        assert new == claimed(ground.machine(stored.slot)).id
        assert "expired" == ground.status(old)

    def test_whoever_looks_ends_it(self, ground: Ground) -> None:
        """Also where nobody sweeps."""
        job, _ = ground.enqueue()
        ground.redis.hset(ground.key("job", job), "expires", "1")
        (seen,) = ground.store.look(job)

        assert seen is not None
        assert "expired" == seen.info.status
        assert "pending_ttl" in seen.info.error

    def test_a_job_that_runs_does_not_expire(self, ground: Ground) -> None:
        """Nor does the deadline of its waiting time stay behind."""
        machine, job = ground.running(pending_ttl=60.0)
        assert f"j:{job.id}" not in ground.timers()
        ground.expire(job.id)

        assert "running" == ground.status(job.id)
        assert machine.heartbeat(job)
        assert f"j:{job.id}" not in ground.timers()

    def test_each_hand_over_lets_it_wait_anew(self, ground: Ground) -> None:
        """A retry that is due later than the job might have waited at first."""
        machine, job = ground.running(pending_ttl=60.0)
        machine.finish(job, "retrying", retry_in=7 * DAY)

        assert life(ground, job.id) > 7 * DAY + 60
        assert 7 * DAY < ground.timers()[f"j:{job.id}"] <= 7 * DAY + 60

    def test_a_job_that_runs_long_is_kept(self, ground: Ground) -> None:
        """Its record lives as long as the attempt may take."""
        _, job = ground.running(pending_ttl=60.0, timeout=30 * DAY)

        assert life(ground, job.id) > 30 * DAY

    def test_a_job_that_was_handed_back_is_kept(self, ground: Ground) -> None:
        """It waits as if it had been stored now."""
        machine, job = ground.running(pending_ttl=60.0)
        ground.redis.pexpire(ground.key("job", job.id), 1000)
        machine.release(job, **STOPPED)

        assert life(ground, job.id) > 60
        assert 58 < ground.timers()[f"j:{job.id}"] <= 60


class TestTwice:
    """A job that may not run twice does not, whatever happens to its machine."""

    def test_a_machine_that_must_stop_ends_it(self, ground: Ground) -> None:
        """It is not handed back: the task had begun."""
        machine, job = ground.running(policy=ONCE)
        assert machine.release(job, **STOPPED)

        assert "failed" == ground.status(job.id)
        outcome = ground.store.wait(job.id, 1.0)
        assert outcome is not None
        assert b"stopped" == outcome.envelope
        assert set() == ground.slots()

    def test_a_restarted_machine_is_told_and_does_not_run_it_again(
        self, ground: Ground
    ) -> None:
        """Fly restarts a machine under its id: it gets the job, but to release it."""
        machine, job = ground.running(policy=ONCE)
        again = ground.machine(machine._slot)
        claim = again.claim("stay")

        assert claim.job is not None
        assert ("interrupted", job.id) == (claim.verdict, claim.job.id)
        assert claim == again.claim("stay"), "the first reply may have been lost"
        again.release(claim.job, charge=True, **STOPPED)
        assert "failed" == ground.status(job.id)

    def test_a_restart_counts_as_a_lost_machine(self, ground: Ground) -> None:
        """A job that brings its machine down is not tried for ever."""
        machine, job = ground.running()
        for lost in (1, 2, 3):
            again = ground.machine(machine._slot)
            held = again.claim("stay").job
            assert held is not None
            again.release(held, charge=True, **STOPPED)
            assert str(lost) == ground.record(job.id)["lost"]
            if lost < 3:
                (slot,) = ground.slots()
                machine = ground.machine(slot)
                claimed(machine)

        assert "failed" == ground.status(job.id)

    def test_the_same_boot_gets_the_same_job_again(self, ground: Ground) -> None:
        """The reply to its first question was lost."""
        machine, job = ground.running(policy=ONCE)

        assert job == claimed(machine)


class TestWaking:
    """A job that has to wait again does not pass by a machine that is idle."""

    def idle(self, ground: Ground) -> str:
        """Return the slot of a machine that waits for a call."""
        machine, job = ground.running(linger=60.0)
        assert "idle" == machine.finish(job, "succeeded")[1].verdict
        return machine._slot

    def test_one_that_was_handed_back(self, ground: Ground) -> None:
        """By a machine that must stop."""
        first, job = ground.running(linger=60.0)
        second, other = ground.running(linger=60.0)
        assert "idle" == second.finish(other, "succeeded")[1].verdict
        second.listen()
        first.release(job, **STOPPED)

        assert "w" == eventually(second.heard)
        assert {second._slot} == ground.slots()

    def test_one_whose_machine_was_lost(self, ground: Ground) -> None:
        """The sweep needs no new machine for it."""
        _first, job = ground.running(linger=60.0)
        second, other = ground.running(linger=60.0)
        second.finish(other, "succeeded")
        second.listen()
        ground.pass_time(31.0)
        lost = [one for one in ground.store.sweep().checks if one.job_id == job.id]
        loss = ground.store.lose(
            lost[0], envelope=b"x", error="gone", kind="lost", gone=True
        )

        assert (True, "") == loss
        assert "w" == eventually(second.heard)
        assert job.id == claimed(second).id

    def test_one_whose_retry_is_due(self, ground: Ground) -> None:
        """Whoever moves it to the line also wakes a machine."""
        first, job = ground.running(linger=60.0)
        second, other = ground.running(linger=60.0)
        second.finish(other, "succeeded")
        second.listen()
        first.finish(job, "retrying", retry_in=50.0, mood="leave")
        unrelated, _ = ground.enqueue(delay=500.0, linger=60.0)
        ground.pass_time(51.0)
        ground.store.cancel(unrelated)

        assert "w" == eventually(second.heard)
        assert job.id == claimed(second).id


class TestTrouble:
    """Old news fail no good call."""

    def refused(self, ground: Ground) -> str:
        """Have a pool refused a machine for 30 s; return the job that waits."""
        job, stored = ground.enqueue()
        ground.store.launch(stored.slot, 10.0, "me")
        ground.store.refuse(stored.slot, REASON, 30.0, who="me", tell=True)
        return job

    def test_it_is_told_while_the_hold_lasts(self, ground: Ground) -> None:
        """To who waited before, and to who comes now."""
        job = self.refused(ground)
        (seen,) = ground.store.look(job)

        assert seen is not None
        assert REASON == seen.trouble
        assert REASON == ground.enqueue()[1].trouble

    def test_it_is_not_told_to_who_came_after_the_hold(self, ground: Ground) -> None:
        """Whatever was wrong may have been put right days ago."""
        old = self.refused(ground)
        ground.redis.hset(ground.key("pool", "pool"), "trouble_until", "1")
        new, stored = ground.enqueue()
        seen = ground.store.look(old, new)

        assert "" == stored.trouble
        assert [REASON, ""] == [one.trouble for one in seen if one is not None]

    def test_a_passing_reason_takes_the_place_of_an_older_trouble(
        self, ground: Ground
    ) -> None:
        """Else the trouble would be as new as the reason."""
        job = self.refused(ground)
        ground.redis.hset(ground.key("pool", "pool"), "hold_until", "1")
        _, stored = ground.enqueue()
        ground.redis.delete(ground.key("bucket"))
        ground.store.launch(stored.slot, 10.0, "me")
        ground.store.refuse(stored.slot, REASON, 5.0, who="me", tell=False)
        (seen,) = ground.store.look(job)

        assert seen is not None
        assert ("", "no") == (seen.trouble, seen.info.trouble)


class TestCode:
    """Functions that travel by value live as long as a job needs them."""

    def needed(self, ground: Ground) -> float:
        """Return the seconds for which Redis keeps the code."""
        left: int = ground.redis.pttl(ground.key("code", "c0de"))
        return left / 1000

    def test_a_later_short_call_does_not_shorten_its_life(self, ground: Ground) -> None:
        """An earlier call may be due in months."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        ground.enqueue(**words, delay=90 * DAY)
        ground.store._codes_known.clear()  # another process sends it again
        ground.enqueue(**words)

        assert self.needed(ground) > 90 * DAY

    def test_it_goes_soon_after_the_last_job_that_needs_it(
        self, ground: Ground
    ) -> None:
        """Not after one of two; and not at once: the next call may come."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        machine, job = ground.running(**words)
        other, _ = ground.enqueue(**words)
        machine.finish(job, "succeeded")
        assert self.needed(ground) > 600

        ground.store.cancel(other)
        assert 590 < self.needed(ground) <= 600

    def test_a_new_call_keeps_it_again(self, ground: Ground) -> None:
        """It comes while the code is about to go."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        machine, job = ground.running(**words)
        machine.finish(job, "succeeded")
        ground.enqueue(**words)

        assert self.needed(ground) > 600


def test_a_bucket_ahead_of_time_delays_nobody(ground: Ground) -> None:
    """The clock was set back, as where another server took over."""
    ground.enqueue()
    _, stored = ground.enqueue()
    ahead = ground.redis.time()[0] + 600
    ground.redis.hset(ground.key("bucket"), mapping={"tokens": "0", "at": ahead})

    assert 0 < ground.store.launch(stored.slot, 10.0, "me").wait < 3
