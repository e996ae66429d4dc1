"""Rights to machines: how many, whose turn it is, and what a refusal does."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from store_rig import claimed
from waiting import until

from worker_lib.calls.codec import SPEC
from worker_lib.store.replies import Check

if TYPE_CHECKING:
    from store_rig import StoreRig

WHO = "me"
REASON = json.dumps(
    {"error": "Unauthorized", "message": "no", "status": 401, "who": WHO}
)


def refill(rig: StoreRig) -> None:
    """Fill the bucket of creates."""
    rig.redis.delete(rig.key("bucket"))


class TestOwed:
    """When a machine is owed."""

    @pytest.mark.parametrize(("most", "calls"), [(1, 4), (3, 2), (3, 3), (3, 9)])
    def test_one_for_each_waiting_job_and_never_more_than_allowed(
        self, rig: StoreRig, most: int, calls: int
    ) -> None:
        """Ten calls with room for three machines own three."""
        for _ in range(calls):
            rig.enqueue(max_machines=most)

        assert min(most, calls) == len(rig.slots())

    def test_machines_that_are_busy_do_not_count_as_coming(self, rig: StoreRig) -> None:
        """Each waiting job has a machine of its own on the way, up to the limit."""
        machine, first = rig.running(max_machines=3)
        _, second = rig.enqueue(max_machines=3)
        assert second.slot
        claimed(rig.machine(second.slot))
        _, third = rig.enqueue(max_machines=3)
        assert third.slot
        _, fourth = rig.enqueue(max_machines=3)

        assert "" == fourth.slot
        assert 3 == len(rig.slots())
        machine.report(first, "succeeded")
        assert 3 == len(rig.slots())

    def test_an_idle_machine_is_woken_in_place_of_a_new_one(
        self, rig: StoreRig
    ) -> None:
        """It hears of it at once, and is due back within ten seconds."""
        machine, job = rig.running(linger=60.0)
        _, claim = machine.report(job, "succeeded")
        assert ("idle", 60.0) == (claim.verdict, claim.wait)
        machine.listen()
        other, stored = rig.enqueue(linger=60.0)

        assert "" == stored.slot
        assert "j" == until(lambda: machine.heard().kind)
        timers = rig.timers()
        assert 9 < timers[f"s:{machine._slot}"] <= 10
        assert other == claimed(machine).id

    def test_two_calls_wake_one_idle_machine_and_own_one_more(
        self, rig: StoreRig
    ) -> None:
        """Woken once, it is idle no longer."""
        machine, job = rig.running(linger=60.0)
        machine.report(job, "succeeded")
        slots = [rig.enqueue(linger=60.0)[1].slot for _ in range(2)]

        assert [False, True] == [bool(slot) for slot in slots]

    def test_a_machine_lingers_once_and_then_leaves(self, rig: StoreRig) -> None:
        """Asking again when the time is over ends it; asking for work does not."""
        machine, job = rig.running(linger=60.0)
        machine.report(job, "succeeded")

        assert "idle" == machine.claim("stay").verdict
        assert "empty" == machine.claim("leave_if_idle").verdict
        assert (set(), {}) == (rig.slots(), rig.timers())

    def test_pools_do_not_share_machines(self, rig: StoreRig) -> None:
        """Another size is another machine, and another limit."""
        for pool in ("a", "b"):
            rig.enqueue(pool=pool, max_machines=1)

        assert [1, 1] == [len(rig.slots(pool)) for pool in ("a", "b")]


class TestLaunch:
    """May the machine be created now?"""

    def test_a_slot_is_launched_once(self, rig: StoreRig) -> None:
        """Two launchers that hold the same slot make one machine."""
        _, stored = rig.enqueue()
        first = rig.store.launch(stored.slot, 10.0, WHO)

        assert ("go", "pool") == (first.verdict, first.pool)
        assert (
            "local"
            == json.loads(rig.codec.open(first.spec, kind=SPEC, job_id="pool"))["image"]
        )
        assert "launching" == rig.slot(stored.slot)["state"]
        assert 9 < rig.timers()[f"s:{stored.slot}"] <= 10

    def test_a_slot_that_nobody_needs_any_more_is_given_back(
        self, rig: StoreRig
    ) -> None:
        """Another machine has taken the job meanwhile."""
        machine, job = rig.running(max_machines=2)
        _, stored = rig.enqueue(max_machines=2)
        machine.report(job, "succeeded")

        assert "unneeded" == rig.store.launch(stored.slot, 10.0, WHO).verdict
        assert stored.slot not in rig.slots()
        assert "unneeded" == rig.store.launch("f00", 10.0, WHO).verdict

    def test_a_busy_slot_is_not_launched(self, rig: StoreRig) -> None:
        """Its machine is there."""
        rig.running()
        (slot,) = rig.slots()
        rig.enqueue()

        assert "unneeded" == rig.store.launch(slot, 10.0, WHO).verdict
        assert slot in rig.slots()

    def test_creates_are_held_to_the_rate_that_fly_allows(self, rig: StoreRig) -> None:
        """Three at once, then one a second, whoever asks, in all processes."""
        slots = [rig.enqueue(max_machines=9)[1].slot for _ in range(6)]
        asked = [rig.store.launch(slot, 10.0, WHO) for slot in slots]

        assert ["go"] * 3 + ["wait"] * 3 == [one.verdict for one in asked]
        assert all(0.9 < one.wait <= 1.06 for one in asked[3:])
        assert all(10 < rig.timers()[f"s:{slot}"] < 12 for slot in slots[3:]), (
            "who waits for its turn is not taken for dead"
        )
        rig.pass_time(asked[3].wait)
        again = [rig.store.launch(slot, 10.0, WHO) for slot in slots[3:5]]
        assert ["go", "wait"] == [one.verdict for one in again]

    def test_an_idle_hour_saves_up_no_more_than_the_burst(self, rig: StoreRig) -> None:
        """The bucket has a rim."""
        slots = [rig.enqueue(max_machines=9)[1].slot for _ in range(5)]
        rig.store.launch(slots[0], 10.0, WHO)
        rig.pass_time(3600)
        asked = [rig.store.launch(slot, 10.0, WHO).verdict for slot in slots[1:]]

        assert ["go", "go", "go", "wait"] == asked


class TestRefuse:
    """No machine could be had."""

    def refused(self, rig: StoreRig, *, tell: bool, hold: float = 30.0) -> str:
        """Return a job whose machine was refused."""
        job, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, WHO)
        rig.store.refuse(stored.slot, REASON, hold, who=WHO, tell=tell)
        return job

    @pytest.mark.parametrize("tell", [True, False])
    def test_the_reason_is_seen_with_the_job(self, rig: StoreRig, tell: bool) -> None:
        """The job waits on; its slot is free."""
        job = self.refused(rig, tell=tell)
        (seen,) = rig.store.look(job)

        assert seen is not None
        assert ("queued", "no") == (seen.info.status, seen.info.trouble)
        assert (REASON if tell else "") == seen.trouble
        assert set() == rig.slots()
        assert 29 < rig.timers()["p:pool"] <= 30

    def test_only_what_a_person_must_fix_is_told_to_new_callers(
        self, rig: StoreRig
    ) -> None:
        """A full region passes by itself."""
        self.refused(rig, tell=False)
        assert "" == rig.enqueue()[1].trouble
        rig.pass_time(31)
        for slot in rig.store.sweep().launches:
            rig.store.launch(slot, 10.0, WHO)
            rig.store.refuse(slot, REASON, 30.0, who=WHO, tell=True)
        assert REASON == rig.enqueue()[1].trouble

    def test_waiters_are_woken_to_be_told_and_can_wait_on(self, rig: StoreRig) -> None:
        """The wake-up is no outcome."""
        job = self.refused(rig, tell=True)
        woken = rig.store.wait(job, 1)

        assert woken is None
        (seen,) = rig.store.look(job)
        assert seen is not None
        assert seen.outcome is None
        slot = "5107"
        rig.redis.hset(rig.key("slot", slot), "pool", "pool")
        machine = rig.machine(slot)
        machine.report(claimed(machine), "succeeded", outcome=b"x")
        outcome = rig.store.wait(job, 1)
        assert outcome is not None
        assert b"x" == outcome.envelope

    @pytest.mark.parametrize("ends", [False, True])
    def test_a_late_refusal_does_not_free_the_slot_of_a_machine_that_came(
        self, rig: StoreRig, *, ends: bool
    ) -> None:
        """Busy or idle: if it dies, its slot is what the sweep finds it by."""
        _, stored = rig.enqueue(linger=60.0)
        rig.store.launch(stored.slot, 10.0, WHO)
        machine = rig.machine(stored.slot)
        job = claimed(machine)
        if ends:
            machine.report(job, "succeeded")
        before = rig.snapshot()

        assert not rig.store.refuse(stored.slot, REASON, 30.0, who=WHO, tell=True)
        assert before == rig.snapshot()

    def test_a_refusal_that_may_have_made_the_machine_leaves_it_to_be_destroyed(
        self, rig: StoreRig
    ) -> None:
        """By its name, or by the id that is told later."""
        _, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, WHO)
        rig.store.refuse(stored.slot, REASON, 30.0, who=WHO, tell=False, unsure=True)
        rig.pass_time(3)
        assert [(stored.slot, "")] == rig.store.sweep().strays
        assert not rig.store.created(stored.slot, "m1")
        rig.pass_time(3)

        assert [(stored.slot, "m1")] == rig.store.sweep().strays

    def test_launches_pause_for_the_same_credentials_only(self, rig: StoreRig) -> None:
        """Who deployed with a valid token is not held up by the old one."""
        self.refused(rig, tell=True)
        _, mine = rig.enqueue()
        assert "unneeded" == rig.store.launch(mine.slot, 10.0, WHO).verdict
        _, other = rig.enqueue()

        assert "go" == rig.store.launch(other.slot, 10.0, "valid").verdict

    def test_when_the_pause_is_over_one_probe_goes_ahead(self, rig: StoreRig) -> None:
        """The others wait for what becomes of it."""
        self.refused(rig, tell=True)
        rig.enqueue()
        rig.pass_time(31)
        launches = rig.store.sweep().launches
        asked = [rig.store.launch(slot, 10.0, WHO).verdict for slot in launches]

        assert ["go", "unneeded"] == asked
        assert 25 < rig.timers()["p:pool"] <= 30

    def test_the_first_machine_that_comes_up_ends_the_trouble(
        self, rig: StoreRig
    ) -> None:
        """Positive evidence that it was fixed."""
        job = self.refused(rig, tell=True)
        rig.pass_time(31)
        (slot,) = rig.store.sweep().launches
        rig.store.launch(slot, 10.0, WHO)
        claimed(rig.machine(slot))
        (seen,) = rig.store.look(job)

        assert seen is not None
        assert ("", "") == (seen.trouble, seen.info.trouble)
        left = set(rig.redis.hkeys(rig.key("pool", "pool")))
        assert {
            "spec",
            "max",
            "linger",
            "rule",
            "queues",
            "paused",
            "boot_s",
            "isolate",
            "size",
            "target",
            "kept_until",
        } == left


class TestSweep:
    """What is overdue."""

    def test_with_nothing_stored_there_is_nothing_to_come_back_for(
        self, rig: StoreRig
    ) -> None:
        """Idle means idle."""
        found = rig.store.sweep()

        assert (None, [], [], [], []) == found
        assert [] == rig.names()

    def test_a_slot_that_its_owner_did_not_launch_is_anyones(
        self, rig: StoreRig
    ) -> None:
        """The process that took it has died."""
        _, stored = rig.enqueue()
        assert [] == rig.store.sweep().launches
        rig.pass_time(11)

        assert [stored.slot] == rig.store.sweep().launches

    def test_two_sweeps_do_not_take_up_the_same_matter(self, rig: StoreRig) -> None:
        """The second leaves it alone for ten seconds."""
        _, job = rig.running()
        rig.enqueue()
        rig.pass_time(60)
        first, second = rig.store.sweep(), rig.store.sweep()

        assert (1, 1) == (len(first.launches), len(first.checks))
        assert ([], []) == (second.launches, second.checks)
        assert second.next_in is not None
        assert 9 < second.next_in <= 10
        rig.pass_time(11)
        assert job.id == rig.store.sweep().checks[0].job_id

    def test_a_silent_machine_is_reported_with_all_that_is_known(
        self, rig: StoreRig
    ) -> None:
        """What is needed to ask Fly, and to lose it under the fence that was seen."""
        _, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, WHO)
        job = claimed(rig.machine(stored.slot, "m1"))
        rig.pass_time(31)
        (check,) = rig.store.sweep().checks

        assert (
            Check(stored.slot, "busy", "m1", "pool", f"{job.id}:1", check.age) == check
        )
        assert 31 <= check.age < 32

    def test_an_extension_counts_only_in_the_state_that_was_seen(
        self, rig: StoreRig
    ) -> None:
        """The machine may have claimed since."""
        _, stored = rig.enqueue()
        rig.store.launch(stored.slot, 10.0, WHO)
        rig.pass_time(11)
        (seen,) = rig.store.sweep().checks
        rig.store.extend(seen, 50.0)
        assert 49 < rig.timers()[f"s:{stored.slot}"] <= 50
        claimed(rig.machine(stored.slot, lease_ttl=5.0))
        rig.store.extend(seen, 50.0)

        assert rig.timers()[f"s:{stored.slot}"] <= 5

    def test_what_became_due_wakes_idle_machines_before_new_ones_are_owed(
        self, rig: StoreRig
    ) -> None:
        """Ten scheduled calls, one machine idle, room for three."""
        machine, job = rig.running(linger=60.0, max_machines=3)
        machine.report(job, "succeeded")
        for _ in range(10):
            rig.enqueue(delay=100.0, linger=60.0, max_machines=3)
        rig.redis.delete(rig.key("timers"))
        rig.redis.zadd(rig.key("timers"), {"p:pool": 1})
        for name in rig.redis.zrange(rig.key("due", "pool"), 0, -1):
            rig.redis.zadd(rig.key("due", "pool"), {name: 1})
        found = rig.store.sweep()

        assert 2 == len(found.launches)
        assert (3, 9) == (len(rig.slots()), len(rig.ready()))
        assert "j" == rig.redis.lindex(rig.key("ctl", machine._slot), 0)[0]

    def test_timers_of_slots_that_are_gone_are_dropped(self, rig: StoreRig) -> None:
        """They would else be looked at for ever."""
        rig.redis.zadd(rig.key("timers"), {"s:f00": 1, "p:none": 1})

        assert (None, [], [], [], []) == rig.store.sweep()
        assert [] == rig.names()

    def test_many_matters_are_taken_up_in_turns(self, rig: StoreRig) -> None:
        """A sweep takes fifty, and says that there is more at once."""
        for number in range(60):
            rig.enqueue(pool=f"p{number}")
        rig.pass_time(20)
        first, second = rig.store.sweep(), rig.store.sweep()

        assert (50, 0.0, 10) == (
            len(first.launches),
            first.next_in,
            len(second.launches),
        )

    def test_slots_that_redis_knows_are_no_orphans(self, rig: StoreRig) -> None:
        """What a reaper may destroy is only what nobody knows."""
        _, stored = rig.enqueue()
        now, unknown = rig.store.strays.unknown([stored.slot, "f00"])

        assert {"f00"} == unknown
        assert abs(now - time.time()) < 5


def test_a_word_for_a_machine_is_kept_until_it_listens(rig: StoreRig) -> None:
    """The wake-up may come between its claim and its listening."""
    machine, job = rig.running(linger=60.0)
    machine.report(job, "succeeded")
    rig.enqueue(linger=60.0)
    machine.listen()

    assert "j" == until(lambda: machine.heard().kind)
    assert -1 != machine.listen()
    rig.store.cancel(claimed(machine).id)
    assert "c" == until(lambda: machine.heard().kind)
