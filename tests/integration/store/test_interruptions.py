"""Jobs that are cancelled, lost with their machine, or handed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_rig import FINAL, claimed
from waiting import until

from worker_lib.store.replies import Outcome

if TYPE_CHECKING:
    from store_rig import StoreRig


def lost_machine(rig: StoreRig, slot: str, machine: str) -> str:
    """Have a machine claim a slot's job and vanish; return the next slot."""
    claimed(rig.machine(slot, machine))
    return rig.lose(slot)


class TestCancel:
    """Ending a job wherever it is."""

    def make(self, rig: StoreRig, status: str) -> str:
        """Return a job of this status."""
        if status == "scheduled":
            return rig.enqueue(delay=60.0)[0]
        if status == "queued":
            return rig.enqueue()[0]
        machine, job = rig.running()
        if status == "retrying":
            machine.report(job, "retrying", retry_in=60.0)
        if status in {"succeeded", "failed"}:
            machine.report(job, status)
        if status == "cancelled":
            rig.store.cancel(job.id)
        if status == "expired":
            machine.give_back(job)
            rig.expire(job.id)
        assert status == rig.status(job.id)
        return job.id

    @pytest.mark.parametrize("status", ["scheduled", "queued", "running", "retrying"])
    def test_a_job_that_is_not_final_is_cancelled(
        self, rig: StoreRig, status: str
    ) -> None:
        """It is in no line any more, and its waiters are told."""
        job = self.make(rig, status)

        assert rig.store.cancel(job) is True
        outcome = rig.store.wait(job, 1)
        assert outcome is not None
        assert ("cancelled", b"") == (outcome.status, outcome.envelope)
        assert "cancelled" == rig.status(job)
        assert [] == rig.ready()
        assert not rig.redis.exists(rig.key("due", "pool"))
        assert "p:pool" not in rig.timers()

    @pytest.mark.parametrize("status", FINAL)
    def test_a_final_job_is_left_alone(self, rig: StoreRig, status: str) -> None:
        """And the caller is told that it came too late."""
        job = self.make(rig, status)
        before = rig.snapshot()

        assert rig.store.cancel(job) is False
        assert before == rig.snapshot()

    def test_an_unknown_job_is_told_apart(self, rig: StoreRig) -> None:
        """None is neither yes nor no."""
        assert rig.store.cancel("f00") is None
        assert [] == rig.names()

    def test_the_machine_of_a_running_job_hears_of_it(self, rig: StoreRig) -> None:
        """On the connection that it listens on; its late success is refused."""
        machine, job = rig.running()
        machine.listen()
        rig.store.cancel(job.id)

        assert "c" == until(lambda: machine.heard().kind)
        ok, claim = machine.report(job, "succeeded", outcome=b"late")
        assert (False, "empty", "cancelled") == (
            ok,
            claim.verdict,
            rig.status(job.id),
        )

    def test_a_slot_whose_job_was_cancelled_is_not_asked_for_any_more(
        self, rig: StoreRig
    ) -> None:
        """Idle means idle: nobody needs that machine, so no timer is left."""
        job, stored = rig.enqueue()
        rig.store.cancel(job)
        rig.pass_time(60)
        for slot in rig.store.sweep().launches:
            assert "unneeded" == rig.store.launch(slot, 10.0, "who").verdict

        assert (set(), {}) == (rig.slots(), rig.timers())
        assert {} == rig.slot(stored.slot)


class TestLose:
    """A machine is gone."""

    def test_its_job_is_queued_again_with_a_new_fence(self, rig: StoreRig) -> None:
        """No attempt is charged, and a slot is owed for it."""
        _, job = rig.running()
        (old,) = rig.slots()
        new = rig.lose(old)

        assert {new} == rig.slots()
        assert ("queued", [job.id]) == (rig.status(job.id), rig.ready())
        assert ("2", "0", "1") == tuple(
            rig.record(job.id)[field] for field in ("fence", "attempt", "lost")
        )

    def test_a_job_that_loses_three_machines_fails(self, rig: StoreRig) -> None:
        """It may be what kills them; a person must look."""
        job, stored = rig.enqueue()
        slot = stored.slot
        for machine in ("m1", "m2"):
            slot = lost_machine(rig, slot, machine)
        assert "queued" == rig.status(job)

        assert "" == lost_machine(rig, slot, "m3")
        assert Outcome("failed", "5", b"sealed") == rig.store.wait(job, 1)
        (seen,) = rig.store.look(job)
        assert seen is not None
        assert ["lost"] * 3 == [one.outcome for one in seen.info.attempts]
        assert ["m1", "m2", "m3"] == [one.machine_id for one in seen.info.attempts]
        assert (set(), {}) == (rig.slots(), rig.timers())

    def test_a_job_that_may_not_run_twice_fails_at_once(self, rig: StoreRig) -> None:
        """`on_lost="fail"` means at most one run."""
        _, job = rig.running(policy={"on_lost": "fail"})

        assert "" == rig.lose(next(iter(rig.slots())))
        assert ("failed", "it is gone") == (
            rig.status(job.id),
            rig.record(job.id)["error"],
        )

    def test_a_job_that_finished_meanwhile_is_left_alone(self, rig: StoreRig) -> None:
        """The sweep looked before the machine took its next job."""
        machine, first = rig.running(max_machines=1)
        second, _ = rig.enqueue(max_machines=1)
        seen = rig.check(next(iter(rig.slots())))
        rig.redis.hset(rig.key("job", second), "fence", "7")
        machine.report(first, "succeeded")
        before = rig.snapshot()

        assert (False, "") == rig.told_lost(seen)
        assert before == rig.snapshot()

    def test_a_machine_that_never_claimed_gives_its_slot_to_another(
        self, rig: StoreRig
    ) -> None:
        """The job was never handed out, so nothing is counted against it."""
        job, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, "who")
        new = rig.lose(stored.slot)

        assert {new} == rig.slots()
        assert ("queued", "0", "0") == tuple(
            rig.record(job)[field] for field in ("status", "fence", "lost")
        )
        assert "gone" == rig.machine(stored.slot).claim("stay").verdict

    def test_a_lost_job_goes_to_the_front_of_its_queue(self, rig: StoreRig) -> None:
        """It has waited longest."""
        _, first = rig.running(max_machines=1)
        second, _ = rig.enqueue(max_machines=1)
        rig.lose(next(iter(rig.slots())))

        assert [first.id, second] == rig.ready()


class TestRelease:
    """A machine that must stop."""

    def test_its_job_goes_back_in_line_and_no_attempt_is_charged(
        self, rig: StoreRig
    ) -> None:
        """Another machine is called for at once."""
        machine, job = rig.running()

        assert machine.give_back(job)
        assert ("queued", "0", "0", "2") == tuple(
            rig.record(job.id)[one] for one in ("status", "attempt", "lost", "fence")
        )
        assert rig.store.await_call(1)
        (slot,) = rig.store.sweep().launches
        assert {slot} == rig.slots()
        (seen,) = rig.store.look(job.id)
        assert seen is not None
        assert ["released"] == [one.outcome for one in seen.info.attempts]

    def test_a_job_that_is_no_longer_ours_is_left_alone(self, rig: StoreRig) -> None:
        """Only the slot is given back."""
        machine, job = rig.running()
        rig.store.cancel(job.id)

        assert not machine.give_back(job)
        assert ("cancelled", set()) == (rig.status(job.id), rig.slots())
