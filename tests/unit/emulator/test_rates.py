"""Token buckets, with a clock that stands still."""

from __future__ import annotations

import pytest

from worker_lib.emulator.limits import RateLimiter
from worker_lib.emulator.messages import ApiError


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at zero."""
    return Clock()


def granted(limiter: RateLimiter, action: str, identifier: str = "m") -> int:
    """Count the requests that pass until one is refused."""
    for count in range(1000):
        try:
            limiter.take(action, identifier)
        except ApiError:
            return count
    raise AssertionError("there is no limit")


@pytest.mark.parametrize(
    ("burst", "action"), [(3, "create"), (3, "wait"), (10, "get"), (100, "app_delete")]
)
def test_each_action_has_its_burst(burst: int, action: str, clock: Clock) -> None:
    """Three for most, ten for Get Machine, a hundred app deletions."""
    assert burst == granted(RateLimiter(clock), action)


@pytest.mark.parametrize(("per_second", "action"), [(1, "create"), (5, "get")])
def test_a_second_brings_back_the_rate(
    per_second: int, action: str, clock: Clock
) -> None:
    """One request a second for most, five for Get Machine."""
    limiter = RateLimiter(clock)
    granted(limiter, action)
    clock.now = 1.0

    assert per_second == granted(limiter, action)


def test_a_long_rest_brings_no_more_than_the_burst(clock: Clock) -> None:
    """The bucket does not overflow."""
    limiter = RateLimiter(clock)
    granted(limiter, "create")
    clock.now = 1000.0

    assert 3 == granted(limiter, "create")


def test_a_refusal_tells_whole_seconds_to_wait(clock: Clock) -> None:
    """At least one, so that clients do not retry at once."""
    limiter = RateLimiter(clock)
    granted(limiter, "get")

    with pytest.raises(ApiError) as refused:
        limiter.take("get", "m")

    assert (429, 1.0) == (refused.value.status, refused.value.retry_after)


def test_forgetting_full_buckets_gives_nobody_more(clock: Clock) -> None:
    """Many identifiers make it forget, but not those in use."""
    limiter = RateLimiter(clock)
    granted(limiter, "create")
    for number in range(5000):
        limiter.take("create", f"other-{number}")

    with pytest.raises(ApiError):
        limiter.take("create", "m")
