"""Permits: a job has begun, or never will, and both sides know which."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from worker_lib.runtime.permits import GO, SKIP, Permits

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def permits() -> Iterator[Permits]:
    """Return permits whose child is this process."""
    made = Permits()
    yield made
    made.close()


def test_what_was_taken_back_is_skipped(permits: Permits) -> None:
    """The child goes on with what it is permitted later."""
    permits.give(3)
    assert GO == permits.child.recv(1)
    assert 2 == permits.take_back()
    permits.give(1)

    assert [SKIP, SKIP, GO] == [permits.child.recv(1) for _ in range(3)]


def test_what_is_to_be_skipped_is_not_taken_back_twice(permits: Permits) -> None:
    """Only jobs count that could still have begun."""
    permits.give(2)
    assert 2 == permits.take_back()
    permits.give(1)
    assert 1 == permits.take_back()
    assert 0 == permits.take_back()

    assert [SKIP] * 3 == [permits.child.recv(1) for _ in range(3)]


def test_a_child_that_has_begun_nothing_may_keep_one(permits: Permits) -> None:
    """It is loading; what waits behind the first job is for others."""
    permits.give(3)
    assert 2 == permits.take_back(keep_one_of=3)
    permits.give(2)
    assert 2 == permits.take_back(keep_one_of=3)
    assert GO == permits.child.recv(1)
    permits.give(1)
    assert 1 == permits.take_back(keep_one_of=2)

    assert [SKIP] * 5 == [permits.child.recv(1) for _ in range(5)]


def test_a_job_begins_or_is_taken_back_never_both() -> None:
    """However child and supervisor meet; none is lost, either."""
    for _ in range(20):
        permits, (reader, writer) = Permits(), os.pipe()
        child = os.fork()
        if not child:
            _count_permits(permits, writer)
        os.close(writer)
        given = taken = 0
        for _ in range(200):
            permits.give(3)
            given += 3
            taken += permits.take_back()
        permits._ours.shutdown(1)
        begun = int(os.read(reader, 100))
        os.waitpid(child, 0)
        permits.close()
        os.close(reader)

        assert given == begun + taken


def _count_permits(permits: Permits, writer: int) -> None:
    """Take permits, as a child does, until there are no more."""
    signal.alarm(20)
    begun = 0
    while word := permits.child.recv(1):
        begun += word == GO
    os.write(writer, b"%d" % begun)
    os._exit(0)
