"""What is left to do in a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.store.replies import Unfinished

if TYPE_CHECKING:
    from store_rig import StoreRig


def test_nothing_is_unfinished_where_nothing_was_stored(rig: StoreRig) -> None:
    """No job, no outcome."""
    assert Unfinished(0, 0, 0, 0.0) == rig.store.unfinished(60, with_life=True)


def test_jobs_are_counted_by_when_they_run(rig: StoreRig) -> None:
    """One runs, one waits for a machine, one is due soon, two are due later."""
    rig.running(max_machines=1)
    rig.enqueue(max_machines=1)
    rig.enqueue(delay=30.0)
    rig.enqueue(delay=300.0)
    rig.enqueue(delay=400.0)

    assert Unfinished(1, 2, 2, 0.0) == rig.store.unfinished(60)


def test_an_outcome_is_kept_for_its_time(rig: StoreRig) -> None:
    """The longest counts; what has ended is not unfinished."""
    for ttl in (50.0, 100.0):
        job, _ = rig.enqueue(result_ttl=ttl)
        rig.store.cancel(job)

    left = rig.store.unfinished(60, with_life=True)

    assert (0, 0, 0) == left[:3]
    assert 95 < left.life <= 100
