"""Several at once: one of them wins, and nobody is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed
from waiting import until

from worker_lib.store.replies import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store_rig import StoreRig


def at_once(steps: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all steps in threads of their own, started together."""
    start = threading.Barrier(len(steps))

    def run(step: Callable[[], Any]) -> Any:
        start.wait(10)
        return step()

    with ThreadPoolExecutor(len(steps)) as threads:
        return list(threads.map(run, steps))


def waiters(rig: StoreRig, blocked: int) -> None:
    """Wait until so many clients wait in this server for something."""
    until(lambda: rig.redis.info("clients")["blocked_clients"] >= blocked)


def test_one_slot_has_one_machine(rig: StoreRig) -> None:
    """Of eight machines that claim under it, one gets the job."""
    job, stored = rig.enqueue()
    rig.enqueue()
    machines = [rig.machine(stored.slot, f"m{n}") for n in range(8)]
    for machine in machines:
        machine.wire.connect()
    claims = at_once([partial(one.claim, "stay") for one in machines])

    assert ["gone"] * 7 + ["jobs"] == sorted(claim.verdict for claim in claims)
    assert [job] == [claim.job.id for claim in claims if claim.job]


def test_one_job_has_one_machine(rig: StoreRig) -> None:
    """Of five machines that ask for three jobs, three get one each."""
    rig.enqueue(max_machines=1)
    for slot in (slots := [f"5107{n}" for n in range(5)]):
        rig.redis.hset(rig.key("slot", slot), "pool", "pool")
    jobs = {rig.enqueue(max_machines=1)[0] for _ in range(2)} | set(rig.ready())
    machines = [rig.machine(slot) for slot in slots]
    claims = at_once([partial(one.claim, "stay") for one in machines])

    assert jobs == {claim.job.id for claim in claims if claim.job}
    assert ["empty"] * 2 + ["jobs"] * 3 == sorted(one.verdict for one in claims)


def test_enqueues_at_once_own_no_more_machines_than_allowed(rig: StoreRig) -> None:
    """The decision is taken in Redis, with the job."""
    stored = at_once([lambda: rig.enqueue(max_machines=3)[1]] * 12)

    assert 3 == sum(1 for one in stored if one.slot)
    assert 3 == len(rig.slots())


def test_launchers_at_once_create_one_machine(rig: StoreRig) -> None:
    """A slot goes to one of them, and one token is spent."""
    _, stored = rig.enqueue()
    asked = at_once([lambda: rig.store.launch(stored.slot, 10.0, "me").verdict] * 6)

    assert ["go"] + ["unneeded"] * 5 == sorted(asked)
    assert "2.000000" == rig.redis.hget(rig.key("bucket"), "tokens")


def test_sweeps_at_once_share_the_matters_out(rig: StoreRig) -> None:
    """Each is taken up by one of them."""
    for number in range(30):
        rig.enqueue(pool=f"p{number}")
    rig.pass_time(20)
    found = at_once([rig.store.sweep] * 4)
    taken = [slot for one in found for slot in one.launches]

    assert (30, 30) == (len(taken), len(set(taken)))


def test_a_report_and_a_cancel_at_once_leave_one_outcome(rig: StoreRig) -> None:
    """Whichever came first; both sides are told the same."""
    for _ in range(10):
        machine, job = rig.running()
        (accepted, _), cancelled = at_once(
            [
                partial(machine.report, job, "succeeded", outcome=b"x"),
                partial(rig.store.cancel, job.id),
            ]
        )
        outcome = rig.store.wait(job.id, 1)

        assert accepted is not cancelled
        assert outcome is not None
        assert ("cancelled" if cancelled else "succeeded") == outcome.status
        assert outcome.status == rig.status(job.id)


def test_a_report_and_a_loss_at_once_leave_one_of_them(rig: StoreRig) -> None:
    """The job is final, or queued again; never both."""
    for _ in range(10):
        machine, job = rig.running()
        rig.pass_time(31)
        (seen,) = rig.store.sweep().checks
        (accepted, _), lost = at_once(
            [
                partial(machine.report, job, "succeeded", outcome=b"x"),
                partial(
                    rig.store.lose,
                    seen,
                    envelope=b"",
                    error="",
                    kind="lost",
                    gone=True,
                ),
            ]
        )

        assert accepted is not lost.is_lost
        assert ("queued" if lost.is_lost else "succeeded") == rig.status(job.id)
        rig.redis.delete(*map(rig.key, rig.names()))


@pytest.mark.parametrize("size", [10, 5_000])
def test_twenty_waiters_all_get_the_outcome(rig: StoreRig, size: int) -> None:
    """Each is woken, whether the outcome is rotated whole or has to be looked up."""
    machine, job = rig.running()
    envelope = b"x" * size

    def wait() -> Outcome | None:
        found = rig.store.wait(job.id, 10)
        if found is None:
            (seen,) = rig.store.look(job.id)
            found = seen.outcome if seen else None
        return found

    with ThreadPoolExecutor(21) as threads:
        waiting = [threads.submit(wait) for _ in range(20)]
        waiters(rig, 20)
        machine.report(job, "succeeded", outcome=envelope)
        outcomes = {one.result(10) for one in waiting}

    assert {Outcome("succeeded", "1", envelope)} == outcomes


def test_who_comes_after_the_end_does_not_wait(rig: StoreRig) -> None:
    """The outcome is kept for `result_ttl`, not for those who were there."""
    machine, job = rig.running()
    machine.report(job, "succeeded", outcome=b"x")

    assert [b"x"] * 5 == [
        found.envelope for _ in range(5) if (found := rig.store.wait(job.id, 0.001))
    ]


def test_who_waits_too_short_gets_nothing(rig: StoreRig) -> None:
    """And the job goes on."""
    _, job = rig.running()

    assert rig.store.wait(job.id, 0.01) is None
    assert "running" == rig.status(job.id)


def test_changes_are_told_from_the_subscription_on(rig: StoreRig) -> None:
    """The first word says that from now on nothing is missed."""
    job, stored = rig.enqueue()
    changes = rig.store.changes(job, 10)
    next(changes)
    seen = [rig.status(job)]
    machine = rig.machine(stored.slot)
    held = claimed(machine)
    next(changes)
    seen.append(rig.status(job))
    machine.report(held, "succeeded")
    next(changes)
    seen.append(rig.status(job))
    changes.close()  # type: ignore[attr-defined]  # it is a generator

    assert ["queued", "running", "succeeded"] == seen


def test_changes_end_when_the_time_is_over(rig: StoreRig) -> None:
    """Nothing happened; the caller is not kept."""
    job, _ = rig.enqueue()

    assert 1 == len(list(rig.store.changes(job, 0.05)))
