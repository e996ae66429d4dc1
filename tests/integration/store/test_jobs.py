"""A job's way through the statuses, verb by verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed

from worker_lib.store.replies import Outcome

if TYPE_CHECKING:
    from store_rig import RigMachine, StoreRig

    from worker_lib.store.claims import ClaimedJob


class TestEnqueue:
    """Storing a call."""

    def test_a_call_is_queued_and_a_slot_is_owed_for_it(self, rig: StoreRig) -> None:
        """The first job of a pool needs a machine, which the caller may launch."""
        job, stored = rig.enqueue()

        assert ("queued", "") == (stored.status, stored.trouble)
        assert {stored.slot} == rig.slots()
        assert [job] == rig.ready()
        assert "owed" == rig.slot(stored.slot)["state"]
        assert 9 < rig.timers()[f"s:{stored.slot}"] <= 10

    def test_a_later_call_is_scheduled_and_needs_no_machine_yet(
        self, rig: StoreRig
    ) -> None:
        """Until it is due, nothing is paid; somebody looks when it is."""
        job, stored = rig.enqueue(delay=30.0)

        assert ("scheduled", "") == (stored.status, stored.slot)
        assert (set(), []) == (rig.slots(), rig.ready())
        assert 29 < rig.timers()["p:pool"] <= 30
        assert 29 < stored.next_in <= 30
        (seen,) = rig.store.look(job)
        assert seen is not None
        assert seen.info.due_at is not None
        assert abs(seen.info.due_at - seen.info.created_at - 30) < 0.01

    def test_without_a_token_the_slot_is_called_out_at_once(
        self, rig: StoreRig
    ) -> None:
        """Somebody else has to launch it: whoever listens is woken."""
        _, stored = rig.enqueue(may_launch=False)

        assert stored.next_in <= 0
        assert rig.store.await_call(1)
        assert [stored.slot] == rig.store.sweep().launches

    def test_code_is_sent_once_and_asked_for_when_redis_lost_it(
        self, rig: StoreRig
    ) -> None:
        """The second call of a lambda costs no second upload."""
        words = {"code_hash": "c0de", "code": b"sealed code"}
        rig.enqueue(**words)
        code = rig.key("code", "c0de")
        rig.redis.hset(code, "body", "kept")
        rig.enqueue(**words)
        assert "kept" == rig.redis.hget(code, "body")

        rig.redis.delete(code)
        rig.enqueue(**words)
        assert "sealed code" == rig.redis.hget(code, "body")

    def test_bytes_of_every_value_reach_the_machine_unchanged(
        self, rig: StoreRig
    ) -> None:
        """Envelopes are binary, with line ends, quotes and zeros in them."""
        call, code = bytes(range(256)) * 5, bytes(reversed(range(256)))
        machine, job = rig.running(call=call, code=code, code_hash="h", task="m:\u00e9")

        assert (call, code, "h", "m:\u00e9") == (
            job.call,
            job.code,
            job.code_hash,
            job.task,
        )
        machine.known_code = "h"
        assert b"" == claimed(machine).code


class TestClaim:
    """Taking a job."""

    def test_a_claimed_job_is_running_with_a_new_fence(self, rig: StoreRig) -> None:
        """The record tells where and since when."""
        _, job = rig.running()
        (seen,) = rig.store.look(job.id)

        assert ("1", 1, 0, 5.0, b"the call") == (
            job.fence,
            job.attempt,
            job.lost,
            job.timeout,
            job.call,
        )
        assert seen is not None
        assert ("running", 1, "ams") == (
            seen.info.status,
            seen.info.attempt,
            seen.info.region,
        )
        (attempt,) = seen.info.attempts
        assert ("running", 1, None) == (
            attempt.outcome,
            attempt.number,
            attempt.ended_at,
        )

    def test_the_first_claim_tells_how_long_the_boot_took(self, rig: StoreRig) -> None:
        """Measured on Redis's clock, from the launch; later claims had no boot."""
        _, stored = rig.enqueue()
        second, _ = rig.enqueue(max_machines=1)
        rig.store.launch(stored.slot, 10.0, "who")
        rig.pass_time(3)
        machine = rig.machine(stored.slot)
        first = claimed(machine)
        machine.report(first, "succeeded")
        seen = rig.store.look(first.id, second)

        assert all(one is not None for one in seen)
        boots = [one.info.attempts[0].boot_s for one in seen if one]
        assert boots[0] is not None
        assert 3 <= boots[0] < 4
        assert boots[1] is None

    def test_an_unknown_slot_is_gone(self, rig: StoreRig) -> None:
        """A machine whose right was given up leaves at once."""
        assert "gone" == rig.machine("f00").claim("stay").verdict

    def test_a_second_machine_on_a_slot_is_sent_away(self, rig: StoreRig) -> None:
        """An ambiguous create may have made two; only one works."""
        _, stored = rig.enqueue()
        first, second = (rig.machine(stored.slot, name) for name in ("m1", "m2"))
        job = claimed(first)

        assert "gone" == second.claim("stay").verdict
        assert job == claimed(first)

    def test_an_empty_pool_sends_the_machine_home(self, rig: StoreRig) -> None:
        """Its slot is given back in the same step."""
        machine, job = rig.running()
        ok, claim = machine.report(job, "succeeded")

        assert (True, "empty") == (ok, claim.verdict)
        assert (set(), {}) == (rig.slots(), rig.timers())

    def test_a_machine_that_leaves_takes_nothing_and_calls_for_another(
        self, rig: StoreRig
    ) -> None:
        """What still waits is seen to by whoever has a token."""
        machine, job = rig.running(max_machines=1)
        waiting, _ = rig.enqueue(max_machines=1)
        _, claim = machine.report(job, "succeeded", intent="leave")

        assert ("empty", set(), [waiting]) == (
            claim.verdict,
            rig.slots(),
            rig.ready(),
        )
        assert rig.store.await_call(1)
        assert 1 == len(rig.store.sweep().launches)

    def test_queues_are_served_in_order_and_each_first_in_first_out(
        self, rig: StoreRig
    ) -> None:
        """All of `high` goes before any `default`, and that before any other."""
        names = ("high", "default", "low", "an-other")
        jobs = [rig.enqueue(queue=names[i])[0] for i in (2, 1, 0, 1, 2, 0, 0, 3)]
        (slot, *_) = rig.slots()
        machine, order = rig.machine(slot), []
        claim = machine.claim("stay")
        while claim.job is not None:
            order.append(claim.job.id)
            _, claim = machine.report(claim.job, "succeeded")

        assert [jobs[i] for i in (2, 5, 6, 1, 3, 0, 4, 7)] == order


class TestFinish:
    """Reporting an outcome."""

    def test_a_success_is_stored_for_good(self, rig: StoreRig) -> None:
        """The outcome can be read any number of times; the call is forgotten."""
        machine, job = rig.running()
        machine.report(job, "succeeded", outcome=b"sealed")
        expected = Outcome("succeeded", "1", b"sealed")

        assert [expected] * 3 == [rig.store.wait(job.id, 1) for _ in range(3)]
        (seen,) = rig.store.look(job.id)
        assert seen is not None
        assert expected == seen.outcome
        assert ("succeeded", "", "succeeded") == (
            seen.info.status,
            seen.info.error,
            seen.info.attempts[0].outcome,
        )
        assert not {"call", "slot", "due", "progress"} & rig.fields(job.id)

    def test_a_failure_keeps_what_a_person_needs(self, rig: StoreRig) -> None:
        """Error, kind, output and the call itself, to look at or to run again."""
        machine, job = rig.running()
        machine.report(
            job, "failed", outcome=b"sealed", error="no", kind="exit", tail="bye\n"
        )
        (seen,) = rig.store.look(job.id)

        assert seen is not None
        assert ("failed", "no") == (seen.info.status, seen.info.error)
        (attempt,) = seen.info.attempts
        assert ("exit", "no", "bye\n") == (
            attempt.outcome,
            attempt.error,
            attempt.output,
        )
        assert "the call" == rig.record(job.id)["call"]

    @pytest.mark.parametrize(
        "text", ["a\x0bb\x0c\x1c", "\x00\x7f", '"\\\n\r\t', "\U0001f41d"]
    )
    def test_any_text_of_a_task_can_be_looked_at(
        self, rig: StoreRig, text: str
    ) -> None:
        """What people print has line ends that only Unicode knows."""
        machine, job = rig.running()
        machine.report(job, "failed", error=text, kind="error", tail=text)
        (seen,) = rig.store.look(job.id)

        assert seen is not None
        assert (text, text) == (seen.info.error, seen.info.attempts[0].output)

    def test_a_large_outcome_is_kept_once_and_found_by_looking(
        self, rig: StoreRig
    ) -> None:
        """Over a kilobyte, the second copy that waiters rotate is left out."""
        machine, job = rig.running()
        large = bytes(range(256)) * 8
        machine.report(job, "succeeded", outcome=large)
        waited = [rig.store.wait(job.id, 1) for _ in range(4)]
        expected = Outcome("succeeded", "1", large)

        assert expected == waited[0]
        assert {expected, None} == set(waited)
        for _ in range(3):
            (seen,) = rig.store.look(job.id)
            assert seen is not None
            assert expected == seen.outcome
        stored = rig.redis.memory_usage(rig.key("out", job.id), samples=0)
        assert stored < 2 * len(large)

    def test_a_retry_waits_until_it_is_due(self, rig: StoreRig) -> None:
        """Then it goes back in line; the machine did not wait for it."""
        machine, job = rig.running()
        ok, claim = machine.report(
            job, "retrying", error="no", kind="error", retry_in=30.0
        )
        assert (True, "empty", "retrying") == (ok, claim.verdict, rig.status(job.id))
        assert [] == rig.ready()
        assert rig.store.sweep().next_in is not None

        rig.pass_time(31)
        (slot,) = rig.store.sweep().launches
        assert ("queued", [job.id]) == (rig.status(job.id), rig.ready())
        again = claimed(rig.machine(slot))
        assert (job.id, "2", 2) == (again.id, again.fence, again.attempt)

    def test_a_retry_that_is_near_is_waited_for(self, rig: StoreRig) -> None:
        """A machine costs less than a boot."""
        machine, job = rig.running()
        _, claim = machine.report(job, "retrying", retry_in=2.0)

        assert "idle" == claim.verdict
        assert 1.9 < claim.wait <= 2.01
        rig.pass_time(2)
        assert 2 == claimed(machine).attempt

    @pytest.mark.parametrize("status", ["succeeded", "failed", "retrying"])
    def test_an_old_fence_changes_nothing(self, rig: StoreRig, status: str) -> None:
        """Who lost a job may still talk; nobody listens."""
        late, old = rig.running()
        slot = rig.lose(next(iter(rig.slots())))
        new = claimed(rig.machine(slot))
        before = rig.record(old.id)
        ok, claim = late.report(old, status, outcome=b"late", retry_in=1.0)

        assert (old.id, "1", "3") == (new.id, old.fence, new.fence)
        assert (False, "gone") == (ok, claim.verdict)
        assert before == rig.record(old.id)
        assert not rig.redis.exists(rig.key("out", old.id))

    @pytest.mark.parametrize("second", ["succeeded", "failed", "retrying"])
    def test_a_final_job_never_changes(self, rig: StoreRig, second: str) -> None:
        """Neither by its own holder nor by a cancel."""
        machine, job = rig.running()
        machine.report(job, "succeeded", outcome=b"first")
        before = rig.snapshot()
        machine.report(job, second, outcome=b"second", retry_in=1.0)

        assert rig.store.cancel(job.id) is False
        assert not machine.give_back(job)
        assert before == rig.snapshot()

    def test_finishing_hands_over_the_next_job_in_the_same_step(
        self, rig: StoreRig
    ) -> None:
        """One command per job is what a drained queue costs."""
        machine, first = rig.running(max_machines=1)
        second, _ = rig.enqueue(max_machines=1)
        _, claim = machine.report(first, "succeeded")

        assert claim.job is not None
        assert (second, "1") == (claim.job.id, claim.job.fence)

    def test_the_account_of_attempts_does_not_grow_for_ever(
        self, rig: StoreRig
    ) -> None:
        """A job that is retried a thousand times keeps the latest."""
        machine, job = rig.running()
        for _ in range(40):
            machine.report(job, "retrying", retry_in=1.0, tail="x" * 4000)
            rig.pass_time(1.1)
            job = claimed(machine)
        (seen,) = rig.store.look(job.id)

        assert seen is not None
        assert 10 < len(seen.info.attempts) < 20
        assert 40 == seen.info.attempts[-2].number
        assert len(rig.record(job.id)["past"]) < 70_000


class TestHeartbeat:
    """Renewing a lease."""

    def test_it_renews_the_lease(self, rig: StoreRig) -> None:
        """The slot's timer moves away."""
        machine, job = rig.running()
        rig.pass_time(25)
        (name,) = rig.timers()
        assert rig.timers()[name] < 6

        assert machine.heartbeat(job)
        assert 29 < rig.timers()[name] <= 30

    def test_progress_is_seen_while_the_job_runs(self, rig: StoreRig) -> None:
        """And no longer, since a finished job is at its end."""
        machine, job = rig.running()
        machine.heartbeat(job, '{"done": 3, "total": 10, "message": "cut"}')
        (seen,) = rig.store.look(job.id)
        assert seen is not None
        assert seen.info.progress is not None
        assert (3, 10, "cut") == (
            seen.info.progress.done,
            seen.info.progress.total,
            seen.info.progress.message,
        )

        machine.report(job, "succeeded")
        (seen,) = rig.store.look(job.id)
        assert seen is not None
        assert seen.info.progress is None

    def test_it_says_when_the_job_is_no_longer_ours(self, rig: StoreRig) -> None:
        """Cancelled or handed over: the machine drops it."""
        machine, job = rig.running()
        rig.store.cancel(job.id)

        assert not machine.heartbeat(job, '{"done": 1, "total": null, "message": ""}')
        assert not rig.record(job.id)["progress"]


def finish_twice(machine: RigMachine, job: ClaimedJob) -> list[tuple[bool, Any]]:
    """Report the same end twice, as after a lost reply."""
    return [machine.report(job, "succeeded", outcome=b"x") for _ in range(2)]


def test_a_report_that_is_sent_again_does_not_take_a_second_job(
    rig: StoreRig,
) -> None:
    """The job that the first report brought is handed over again."""
    machine, first = rig.running(max_machines=1)
    second = rig.enqueue(max_machines=1)[0]
    third = rig.enqueue(max_machines=1)[0]
    (ok_1, claim_1), (ok_2, claim_2) = finish_twice(machine, first)

    assert (True, True, claim_1) == (ok_1, ok_2, claim_2)
    assert second == claim_1.job.id
    assert [third] == rig.ready()
