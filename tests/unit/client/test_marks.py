"""Which jobs have ended, and when to look for more."""

from __future__ import annotations

import math
import random

import pytest

from worker_lib.client.marks import Marks, Pace


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_marks_know_the_first_that_is_missing() -> None:
    """In whatever order they come, and more than once."""
    marks = Marks()
    indexes = list(range(1000))
    random.Random(7).shuffle(indexes)
    seen: set[int] = set()
    for index in indexes:
        marks.add(index)
        marks.add(index)
        seen.add(index)
        assert min(set(range(1001)) - seen) == marks.first_missing


def test_marks_keep_nothing_of_what_is_complete() -> None:
    """A stream of calls has no end."""
    marks = Marks()
    for index in range(100_000):
        marks.add(index)
        assert index + 1 == marks.first_missing

    assert 0 == len(marks._marks)
    marks.add(5)
    assert 100_000 == marks.first_missing


def test_where_jobs_end_now_and_then_each_is_waited_for() -> None:
    """There is nothing to gain by waiting for two."""
    clock = Clock()
    pace = Pace(clock)
    for _ in range(5):
        clock.now += 1.0
        pace.note(1)
        assert (1, math.inf) == (pace.at_least(10), pace.patience(10))


def test_where_many_end_they_are_waited_for_together() -> None:
    """For a tenth of a second near the end, for up to a second before."""
    clock = Clock()
    pace = Pace(clock)
    clock.now += 1.0
    pace.note(500)

    assert 50 == pace.at_least(100)
    assert 0.25 == pytest.approx(pace.patience(100))
    assert 500 == pace.at_least(100_000)
    assert 2.5 == pytest.approx(pace.patience(100_000))


def test_a_pace_follows() -> None:
    """What comes at once counts as that of a moment; what does not come, too."""
    clock = Clock()
    pace = Pace(clock)
    pace.note(300)
    pace.note(300)
    clock.now += 0.25
    pace.note(0)
    assert 240 == pace.at_least(300)
    clock.now += 0.2
    pace.note(0)
    assert 1 == pace.at_least(300)
