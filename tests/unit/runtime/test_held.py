"""The jobs that a machine holds: each of them once."""

from __future__ import annotations

from worker_lib.runtime.held import Held
from worker_lib.store.claims import ClaimedJob


def job(number: int, fence: str = "1") -> ClaimedJob:
    """Return a job with this number."""
    return ClaimedJob(f"j{number}", fence, 1, 5.0, "jobs:add", "", b"", b"", b"", 0)


def test_a_job_that_comes_twice_is_held_once() -> None:
    """It came with a word, and with an answer that was under way already."""
    held = Held()
    held.add([job(1)])
    assert [job(1)] == held.take_all()
    held.add([job(1), job(2)])

    assert [job(2)] == held.take_all()


def test_a_job_that_was_given_back_may_come_again() -> None:
    """Its fence has grown."""
    held = Held()
    held.add([job(1)])
    held.take_all()
    held.add([job(1, "2")])

    assert [job(1, "2")] == held.take_all()


def test_what_was_seen_long_ago_is_forgotten() -> None:
    """A machine may run a million jobs."""
    held = Held()
    for number in range(5000):
        held.add([job(number)])
        held.take_all()

    assert len(held._seen) < 2000
