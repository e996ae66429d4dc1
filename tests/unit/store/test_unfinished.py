"""What is left to do in a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.store.replies import Unfinished

if TYPE_CHECKING:
    from .ground import Ground


def test_nothing_is_unfinished_where_nothing_was_stored(ground: Ground) -> None:
    """No job, no outcome."""
    assert Unfinished(0, 0, 0, 0.0) == ground.store.unfinished(60, with_life=True)


def test_jobs_are_counted_by_when_they_run(ground: Ground) -> None:
    """One runs, one waits for a machine, one is due soon, two are due later."""
    ground.running(max_machines=1)
    ground.enqueue(max_machines=1)
    ground.enqueue(delay=30.0)
    ground.enqueue(delay=300.0)
    ground.enqueue(delay=400.0)

    assert Unfinished(1, 2, 2, 0.0) == ground.store.unfinished(60)


def test_an_outcome_is_kept_for_its_time(ground: Ground) -> None:
    """The longest counts; what has ended is not unfinished."""
    for ttl in (50.0, 100.0):
        job, _ = ground.enqueue(result_ttl=ttl)
        ground.store.cancel(job)

    left = ground.store.unfinished(60, with_life=True)

    assert (0, 0, 0) == left[:3]
    assert 95 < left.life <= 100
