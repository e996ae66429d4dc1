"""How many calls of a map make a job."""

from __future__ import annotations

import pytest

from worker_lib.client.chunking import LARGEST, ChunkSize


def followed(size: ChunkSize, seconds: float, steps: int) -> list[int]:
    """Return the sizes that follow when each call takes so long."""
    sizes = []
    for _ in range(steps):
        size.ended(size.size, size.size * seconds, 100)
        sizes.append(size.size)
    return sizes


def test_a_job_has_one_call_until_something_is_known() -> None:
    """And a map reads no more than a few ahead."""
    size = ChunkSize(None)

    assert (1, False) == (size.size, size.is_known)
    size.ended(1, None, 100)
    assert not size.is_known


def test_short_calls_come_together_by_steps() -> None:
    """Eight times as many as were measured, up to what runs for half a second."""
    assert [8, 64, 500, 500] == followed(ChunkSize(None), 0.001, 4)


def test_long_calls_stay_alone() -> None:
    """A job is to run for a moment only."""
    assert [1, 1] == followed(ChunkSize(None), 2.0, 2)
    slow = ChunkSize(None)
    slow.is_slow()
    assert (1, True) == (slow.size, slow.is_known)


def test_a_job_stays_far_from_its_timeout() -> None:
    """Calls may take longer than those before."""
    assert 100 == followed(ChunkSize(None, timeout=1.0), 0.001, 5)[-1]


def test_calls_that_become_slower_come_in_smaller_jobs() -> None:
    """Within a few jobs."""
    size = ChunkSize(None, seconds=0.0001)
    assert 5000 == size.size

    assert 20 > followed(size, 0.05, 8)[-1]


@pytest.mark.parametrize("is_outcome", [True, False])
def test_large_calls_and_large_values_come_in_smaller_jobs(is_outcome: bool) -> None:
    """A sealed call, and a sealed outcome, have a limit."""
    size = ChunkSize(None, seconds=0.00001)
    if is_outcome:
        size.ended(10, 0.0001, 10 * 64 * 1024)
    else:
        size.sealed(10, 10 * 64 * 1024)

    assert 4 == size.size


def test_there_are_bounds() -> None:
    """That of the caller, or of the library."""
    assert LARGEST == ChunkSize(None, seconds=1e-9).size
    assert 7 == ChunkSize(None, seconds=1e-9, most=7).size
    assert 1 == ChunkSize(None, seconds=1e-9, most=0).size


def test_a_given_size_is_obeyed() -> None:
    """Whatever is measured."""
    size = ChunkSize(30, timeout=1.0, most=5)
    size.ended(30, 1000.0, 10_000_000)

    assert (30, True, False) == (size.size, size.is_known, size.is_automatic)
