"""How many jobs a machine holds at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.runtime.budget import BUDGET, Pace


def paced(*runs: float) -> Pace:
    """Return what is known after jobs that took so many seconds."""
    pace = Pace()
    for ran in runs:
        pace.note(ran)
    return pace


def test_the_first_job_comes_alone() -> None:
    """Nobody knows how long it takes."""
    assert 1 == Pace().want(0)
    assert 0 == Pace().want(1)


def test_more_are_asked_for_step_by_step() -> None:
    """Four times as many, once those before have all been measured."""
    depths = [paced(*[1e-4] * count).depth for count in (0, 1, 4, 5, 20, 21, 84, 85)]

    assert [1, 4, 4, 16, 16, 64, 64, 96] == depths


@pytest.mark.parametrize(
    ("expected", "seconds"), [(96, 1e-4), (50, 0.001), (5, 0.01), (1, 0.04), (1, 10)]
)
def test_as_many_are_held_as_end_within_the_budget(
    expected: int, seconds: float
) -> None:
    """A long one is never claimed ahead."""
    assert expected == paced(*[seconds] * 100).depth


def test_a_long_job_among_short_ones_counts_at_once() -> None:
    """And the steps begin anew once it is forgotten."""
    pace = paced(*[1e-4] * 100, 1.0)
    assert 1 == pace.depth
    for _ in range(100):
        pace.note(1e-4)

    assert 96 == pace.depth


@given(st.lists(st.floats(0, 100), max_size=60))
def test_what_is_held_ends_within_the_budget_on_the_mean(runs: list[float]) -> None:
    """Whatever was measured; and one job is always asked for."""
    pace = paced(*runs)

    assert 1 <= pace.depth <= 96
    assert pace.depth == 1 or pace.depth * pace._mean <= BUDGET
    assert [pace.depth - held for held in range(pace.depth)] == [
        pace.want(held) for held in range(pace.depth)
    ]


def test_reports_wait_for_each_other_only_where_jobs_are_short() -> None:
    """Somebody waits for the result of a long one."""
    assert 0 == Pace().gather()
    assert 0 == paced(0.02).gather()
    assert 0 < paced(1e-4).gather() <= 0.01


def test_the_child_is_heard_later_while_it_has_enough_to_do() -> None:
    """Only where its jobs last longer than the shortest wait."""
    assert 0 == Pace().patience(1)
    assert 0 == paced(*[1e-4] * 100).patience(1)
    assert 0 < paced(*[1e-4] * 100).patience(90) <= 0.002


def test_more_are_fetched_before_the_last_has_ended() -> None:
    """So the child does not wait for Redis."""
    pace = paced(*[0.01] * 20)

    assert [True, True, True, False] == [pace.is_low(held) for held in range(4)]


@pytest.mark.parametrize(
    ("expected", "reports", "waited", "unfinished", "want"),
    [
        (False, 1, 0.001, 60, 4),
        (True, 1, 0.02, 60, 4),
        (True, 32, 0.001, 60, 4),
        (True, 1, 0.001, 0, 64),
        (True, 1, 0.001, 32, 32),
        (False, 1, 0.001, 32, 0),
    ],
)
def test_outcomes_of_short_jobs_are_reported_several_at_once(
    expected: bool, reports: int, waited: float, unfinished: int, want: int
) -> None:
    """But at once when nothing waits behind them, or more should be fetched."""
    pace = paced(*[1e-4] * 100)

    assert expected == pace.is_due(reports, waited, unfinished, want)
