"""Rights to machines: how many, whose turn it is, and what a refusal does."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from worker_lib.codec import SPEC
from worker_lib.store.replies import Check

from .ground import claimed, eventually

if TYPE_CHECKING:
    from .ground import Ground

WHO = "me"
REASON = json.dumps(
    {"error": "Unauthorized", "message": "no", "status": 401, "who": WHO}
)


def refill(ground: Ground) -> None:
    """Fill the bucket of creates."""
    ground.redis.delete(ground.key("bucket"))


class TestOwed:
    """When a machine is owed."""

    @pytest.mark.parametrize(("most", "calls"), [(1, 4), (3, 2), (3, 3), (3, 9)])
    def test_one_for_each_waiting_job_and_never_more_than_allowed(
        self, ground: Ground, most: int, calls: int
    ) -> None:
        """Ten calls with room for three machines own three."""
        for _ in range(calls):
            ground.enqueue(max_machines=most)

        assert min(most, calls) == len(ground.slots())

    def test_machines_that_are_busy_do_not_count_as_coming(
        self, ground: Ground
    ) -> None:
        """Each waiting job has a machine of its own on the way, up to the limit."""
        machine, first = ground.running(max_machines=3)
        _, second = ground.enqueue(max_machines=3)
        assert second.slot
        claimed(ground.machine(second.slot))
        _, third = ground.enqueue(max_machines=3)
        assert third.slot
        _, fourth = ground.enqueue(max_machines=3)

        assert "" == fourth.slot
        assert 3 == len(ground.slots())
        machine.finish(first, "succeeded")
        assert 3 == len(ground.slots())

    def test_an_idle_machine_is_woken_in_place_of_a_new_one(
        self, ground: Ground
    ) -> None:
        """It hears of it at once, and is due back within ten seconds."""
        machine, job = ground.running(linger=60.0)
        _, claim = machine.finish(job, "succeeded")
        assert ("idle", 60.0) == (claim.verdict, claim.wait)
        machine.listen()
        other, stored = ground.enqueue(linger=60.0)

        assert "" == stored.slot
        assert "w" == eventually(machine.heard)
        timers = ground.timers()
        assert 9 < timers[f"s:{machine._slot}"] <= 10
        assert other == claimed(machine).id

    def test_two_calls_wake_one_idle_machine_and_own_one_more(
        self, ground: Ground
    ) -> None:
        """Woken once, it is idle no longer."""
        machine, job = ground.running(linger=60.0)
        machine.finish(job, "succeeded")
        slots = [ground.enqueue(linger=60.0)[1].slot for _ in range(2)]

        assert [False, True] == [bool(slot) for slot in slots]

    def test_a_machine_lingers_once_and_then_leaves(self, ground: Ground) -> None:
        """Asking again when the time is over ends it; asking for work does not."""
        machine, job = ground.running(linger=60.0)
        machine.finish(job, "succeeded")

        assert "idle" == machine.claim("stay").verdict
        assert "empty" == machine.claim("rested").verdict
        assert (set(), {}) == (ground.slots(), ground.timers())

    def test_pools_do_not_share_machines(self, ground: Ground) -> None:
        """Another size is another machine, and another limit."""
        for pool in ("a", "b"):
            ground.enqueue(pool=pool, max_machines=1)

        assert [1, 1] == [len(ground.slots(pool)) for pool in ("a", "b")]


class TestLaunch:
    """May the machine be created now?"""

    def test_a_slot_is_launched_once(self, ground: Ground) -> None:
        """Two launchers that hold the same slot make one machine."""
        _, stored = ground.enqueue()
        first = ground.store.launch(stored.slot, 10.0, WHO)

        assert ("go", "pool") == (first.verdict, first.pool)
        assert (
            "local"
            == json.loads(ground.codec.open(first.spec, kind=SPEC, job_id="pool"))[
                "image"
            ]
        )
        assert "launching" == ground.slot(stored.slot)["state"]
        assert 9 < ground.timers()[f"s:{stored.slot}"] <= 10

    def test_a_slot_that_nobody_needs_any_more_is_given_back(
        self, ground: Ground
    ) -> None:
        """Another machine has taken the job meanwhile."""
        machine, job = ground.running(max_machines=2)
        _, stored = ground.enqueue(max_machines=2)
        machine.finish(job, "succeeded")

        assert "unneeded" == ground.store.launch(stored.slot, 10.0, WHO).verdict
        assert stored.slot not in ground.slots()
        assert "unneeded" == ground.store.launch("f00", 10.0, WHO).verdict

    def test_a_busy_slot_is_not_launched(self, ground: Ground) -> None:
        """Its machine is there."""
        ground.running()
        (slot,) = ground.slots()
        ground.enqueue()

        assert "unneeded" == ground.store.launch(slot, 10.0, WHO).verdict
        assert slot in ground.slots()

    def test_creates_are_held_to_the_rate_that_fly_allows(self, ground: Ground) -> None:
        """Three at once, then one a second, whoever asks, in all processes."""
        slots = [ground.enqueue(max_machines=9)[1].slot for _ in range(6)]
        asked = [ground.store.launch(slot, 10.0, WHO) for slot in slots]

        assert ["go"] * 3 + ["wait"] * 3 == [one.verdict for one in asked]
        assert all(0.9 < one.wait <= 1.06 for one in asked[3:])
        assert all(10 < ground.timers()[f"s:{slot}"] < 12 for slot in slots[3:]), (
            "who waits for its turn is not taken for dead"
        )
        ground.pass_time(asked[3].wait)
        again = [ground.store.launch(slot, 10.0, WHO) for slot in slots[3:5]]
        assert ["go", "wait"] == [one.verdict for one in again]

    def test_an_idle_hour_saves_up_no_more_than_the_burst(self, ground: Ground) -> None:
        """The bucket has a rim."""
        slots = [ground.enqueue(max_machines=9)[1].slot for _ in range(5)]
        ground.store.launch(slots[0], 10.0, WHO)
        ground.pass_time(3600)
        asked = [ground.store.launch(slot, 10.0, WHO).verdict for slot in slots[1:]]

        assert ["go", "go", "go", "wait"] == asked


class TestRefuse:
    """No machine could be had."""

    def refused(self, ground: Ground, *, tell: bool, hold: float = 30.0) -> str:
        """Return a job whose machine was refused."""
        job, stored = ground.enqueue()
        ground.store.launch(stored.slot, 10.0, WHO)
        ground.store.refuse(stored.slot, REASON, hold, who=WHO, tell=tell)
        return job

    @pytest.mark.parametrize("tell", [True, False])
    def test_the_reason_is_seen_with_the_job(self, ground: Ground, tell: bool) -> None:
        """The job waits on; its slot is free."""
        job = self.refused(ground, tell=tell)
        (seen,) = ground.store.look(job)

        assert seen is not None
        assert ("queued", "no") == (seen.info.status, seen.info.trouble)
        assert (REASON if tell else "") == seen.trouble
        assert set() == ground.slots()
        assert 29 < ground.timers()["p:pool"] <= 30

    def test_only_what_a_person_must_mend_is_told_to_new_callers(
        self, ground: Ground
    ) -> None:
        """A full region passes by itself."""
        self.refused(ground, tell=False)
        assert "" == ground.enqueue()[1].trouble
        ground.pass_time(31)
        for slot in ground.store.sweep().launches:
            ground.store.launch(slot, 10.0, WHO)
            ground.store.refuse(slot, REASON, 30.0, who=WHO, tell=True)
        assert REASON == ground.enqueue()[1].trouble

    def test_waiters_are_woken_to_be_told_and_can_wait_on(self, ground: Ground) -> None:
        """The wake-up is no outcome."""
        job = self.refused(ground, tell=True)
        woken = ground.store.wait(job, 1)

        assert woken is None
        (seen,) = ground.store.look(job)
        assert seen is not None
        assert seen.outcome is None
        slot = "5107"
        ground.redis.hset(ground.key("slot", slot), "pool", "pool")
        machine = ground.machine(slot)
        machine.finish(claimed(machine), "succeeded", outcome=b"x")
        outcome = ground.store.wait(job, 1)
        assert outcome is not None
        assert b"x" == outcome.envelope

    @pytest.mark.parametrize("ends", [False, True])
    def test_a_late_refusal_does_not_free_the_slot_of_a_machine_that_came(
        self, ground: Ground, *, ends: bool
    ) -> None:
        """Busy or idle: if it dies, its slot is what the sweep finds it by."""
        _, stored = ground.enqueue(linger=60.0)
        ground.store.launch(stored.slot, 10.0, WHO)
        machine = ground.machine(stored.slot)
        job = claimed(machine)
        if ends:
            machine.finish(job, "succeeded")
        before = ground.snapshot()

        assert not ground.store.refuse(stored.slot, REASON, 30.0, who=WHO, tell=True)
        assert before == ground.snapshot()

    def test_a_refusal_that_may_have_made_the_machine_leaves_it_to_be_destroyed(
        self, ground: Ground
    ) -> None:
        """By its name, or by the id that is told later."""
        _, stored = ground.enqueue()
        ground.store.launch(stored.slot, 10.0, WHO)
        ground.store.refuse(stored.slot, REASON, 30.0, who=WHO, tell=False, unsure=True)
        ground.pass_time(3)
        assert [(stored.slot, "")] == ground.store.sweep().strays
        assert not ground.store.created(stored.slot, "m1")
        ground.pass_time(3)

        assert [(stored.slot, "m1")] == ground.store.sweep().strays

    def test_launches_pause_for_the_same_credentials_only(self, ground: Ground) -> None:
        """Who deployed with a mended token is not held up by the old one."""
        self.refused(ground, tell=True)
        _, mine = ground.enqueue()
        assert "unneeded" == ground.store.launch(mine.slot, 10.0, WHO).verdict
        _, other = ground.enqueue()

        assert "go" == ground.store.launch(other.slot, 10.0, "mended").verdict

    def test_when_the_pause_is_over_one_probe_goes_ahead(self, ground: Ground) -> None:
        """The others wait for what becomes of it."""
        self.refused(ground, tell=True)
        ground.enqueue()
        ground.pass_time(31)
        launches = ground.store.sweep().launches
        asked = [ground.store.launch(slot, 10.0, WHO).verdict for slot in launches]

        assert ["go", "unneeded"] == asked
        assert 25 < ground.timers()["p:pool"] <= 30

    def test_the_first_machine_that_comes_up_ends_the_trouble(
        self, ground: Ground
    ) -> None:
        """Positive evidence that it was mended."""
        job = self.refused(ground, tell=True)
        ground.pass_time(31)
        (slot,) = ground.store.sweep().launches
        ground.store.launch(slot, 10.0, WHO)
        claimed(ground.machine(slot))
        (seen,) = ground.store.look(job)

        assert seen is not None
        assert ("", "") == (seen.trouble, seen.info.trouble)
        left = set(ground.redis.hkeys(ground.key("pool", "pool")))
        assert {"spec", "max", "linger"} == left


class TestSweep:
    """What is overdue."""

    def test_with_nothing_stored_there_is_nothing_to_come_back_for(
        self, ground: Ground
    ) -> None:
        """Idle means idle."""
        found = ground.store.sweep()

        assert (None, [], [], []) == found
        assert [] == ground.names()

    def test_a_slot_that_its_owner_did_not_launch_is_anyones(
        self, ground: Ground
    ) -> None:
        """The process that took it has died."""
        _, stored = ground.enqueue()
        assert [] == ground.store.sweep().launches
        ground.pass_time(11)

        assert [stored.slot] == ground.store.sweep().launches

    def test_two_sweeps_do_not_take_up_the_same_matter(self, ground: Ground) -> None:
        """The second leaves it alone for ten seconds."""
        _, job = ground.running()
        ground.enqueue()
        ground.pass_time(60)
        first, second = ground.store.sweep(), ground.store.sweep()

        assert (1, 1) == (len(first.launches), len(first.checks))
        assert ([], []) == (second.launches, second.checks)
        assert second.next_in is not None
        assert 9 < second.next_in <= 10
        ground.pass_time(11)
        assert job.id == ground.store.sweep().checks[0].job_id

    def test_a_silent_machine_is_reported_with_all_that_is_known(
        self, ground: Ground
    ) -> None:
        """What is needed to ask Fly, and to lose it under the fence that was seen."""
        _, stored = ground.enqueue()
        ground.store.launch(stored.slot, 10.0, WHO)
        job = claimed(ground.machine(stored.slot, "m1"))
        ground.pass_time(31)
        (check,) = ground.store.sweep().checks

        assert Check(stored.slot, "busy", "m1", "pool", job.id, "1", check.age) == check
        assert 31 <= check.age < 32

    def test_an_extension_counts_only_in_the_state_that_was_seen(
        self, ground: Ground
    ) -> None:
        """The machine may have claimed since."""
        _, stored = ground.enqueue()
        ground.store.launch(stored.slot, 10.0, WHO)
        ground.pass_time(11)
        (seen,) = ground.store.sweep().checks
        ground.store.extend(seen, 50.0)
        assert 49 < ground.timers()[f"s:{stored.slot}"] <= 50
        claimed(ground.machine(stored.slot, lease_ttl=5.0))
        ground.store.extend(seen, 50.0)

        assert ground.timers()[f"s:{stored.slot}"] <= 5

    def test_what_became_due_wakes_idle_machines_before_new_ones_are_owed(
        self, ground: Ground
    ) -> None:
        """Ten scheduled calls, one machine idle, room for three."""
        machine, job = ground.running(linger=60.0, max_machines=3)
        machine.finish(job, "succeeded")
        for _ in range(10):
            ground.enqueue(delay=100.0, linger=60.0, max_machines=3)
        ground.redis.delete(ground.key("timers"))
        ground.redis.zadd(ground.key("timers"), {"p:pool": 1})
        for name in ground.redis.zrange(ground.key("due", "pool"), 0, -1):
            ground.redis.zadd(ground.key("due", "pool"), {name: 1})
        found = ground.store.sweep()

        assert 2 == len(found.launches)
        assert (3, 10) == (len(ground.slots()), len(ground.ready()))
        assert "w" == ground.redis.lindex(ground.key("ctl", machine._slot), 0)

    def test_timers_of_slots_that_are_gone_are_dropped(self, ground: Ground) -> None:
        """They would else be looked at for ever."""
        ground.redis.zadd(ground.key("timers"), {"s:f00": 1, "p:none": 1})

        assert (None, [], [], []) == ground.store.sweep()
        assert [] == ground.names()

    def test_many_matters_are_taken_up_in_turns(self, ground: Ground) -> None:
        """A sweep takes fifty, and says that there is more at once."""
        for number in range(60):
            ground.enqueue(pool=f"p{number}")
        ground.pass_time(20)
        first, second = ground.store.sweep(), ground.store.sweep()

        assert (50, 0.0, 10) == (
            len(first.launches),
            first.next_in,
            len(second.launches),
        )

    def test_slots_that_redis_knows_are_no_orphans(self, ground: Ground) -> None:
        """What a reaper may destroy is only what nobody knows."""
        _, stored = ground.enqueue()
        now, unknown = ground.store.orphans([stored.slot, "f00"])

        assert {"f00"} == unknown
        assert abs(now - time.time()) < 5


def test_a_word_for_a_machine_is_kept_until_it_listens(ground: Ground) -> None:
    """The wake-up may come between its claim and its listening."""
    machine, job = ground.running(linger=60.0)
    machine.finish(job, "succeeded")
    ground.enqueue(linger=60.0)
    machine.listen()

    assert "w" == eventually(machine.heard)
    assert -1 != machine.listen()
    ground.store.cancel(claimed(machine).id)
    assert "c" == eventually(machine.heard)
