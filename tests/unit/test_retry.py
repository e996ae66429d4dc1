"""Retries: how long, how often, after what."""

from __future__ import annotations

import random
from typing import Any

import pytest

from worker_lib.errors import (
    ConfigError,
    Crashed,
    JobFailed,
    JobTimeout,
    OutOfMemory,
    StartFailed,
)
from worker_lib.retry import CRASHES, Retry


def test_waits_double_up_to_the_longest() -> None:
    """1, 2, 4, 8, then the limit, whatever the number of the attempt."""
    retry = Retry(backoff=1, max_backoff=10, jitter=False)

    assert [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] == [retry.delay(n) for n in range(1, 7)]
    assert 10.0 == retry.delay(10**9)


def test_durations_are_read_as_everywhere() -> None:
    """`"50ms"` and `"1h"` work here, too."""
    retry = Retry(backoff="50ms", max_backoff="1h")

    assert (0.05, 3600.0) == (retry.backoff, retry.max_backoff)


def test_jitter_spreads_between_half_the_wait_and_all_of_it() -> None:
    """Jobs that failed together do not come back together."""
    waits = {Retry(backoff=8).delay(2, random.Random(seed)) for seed in range(50)}

    assert 50 == len(waits)
    assert 8.0 <= min(waits) < 9.0
    assert 15.0 < max(waits) <= 16.0


def test_a_factor_beyond_all_measure_ends_at_the_longest_wait() -> None:
    """A float that overflows must not take the machine's supervisor with it."""
    retry = Retry(factor=1e300, jitter=False)

    assert [1.0, 600.0, 600.0] == [retry.delay(n) for n in (1, 3, 99)]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("max_attempts=0", {"max_attempts": 0}),
        ("max_attempts=2.0", {"max_attempts": 2.0}),
        ("max_attempts='3'", {"max_attempts": "3"}),
        ("factor=0.5", {"factor": 0.5}),
        ("factor=nan", {"factor": float("nan")}),
        ("factor='2'", {"factor": "2"}),
        ("backoff='soon'", {"backoff": "soon"}),
        ("max_backoff=-1", {"max_backoff": -1}),
        ("on=5", {"on": 5}),
        ("on=(<class 'int'>,)", {"on": (int,)}),
        ("never='OSError'", {"never": "OSError"}),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name_and_value(
    words: str, options: dict[str, Any]
) -> None:
    """The policy is checked where it is written, not at the first failure."""
    with pytest.raises(ConfigError) as caught:
        Retry(**options)

    assert str(caught.value).startswith(words)


def test_one_class_needs_no_tuple() -> None:
    """`on=OSError` is what people write first."""
    assert (OSError,) == Retry(on=OSError).on


@pytest.mark.parametrize(
    ("expected", "retry", "error"),
    [
        (True, Retry(), ValueError()),
        (False, Retry(), KeyboardInterrupt()),
        (True, Retry(on=(OSError,)), ConnectionError()),
        (False, Retry(on=(OSError,)), ValueError()),
        (False, Retry(on=(OSError,), never=(ConnectionError,)), ConnectionError()),
        (False, Retry(on=()), ValueError()),
    ],
)
def test_exceptions_are_retried_by_class_and_never_wins(
    expected: bool, retry: Retry, error: BaseException
) -> None:
    """`on` opens, `never` closes."""
    assert expected is retry.wants(error)


@pytest.mark.parametrize(
    ("expected", "retry"),
    [
        (CRASHES, Retry()),
        (CRASHES, Retry(on=(JobFailed,))),
        ((), Retry(on=(OSError,))),
        ((), Retry(on=(ValueError, OSError))),
        (("timeout",), Retry(on=(TimeoutError,))),
        (("timeout",), Retry(on=(JobTimeout,))),
        (("exit", "signal"), Retry(on=(Crashed,))),
        (("out_of_memory", "not_started"), Retry(on=(OutOfMemory, StartFailed))),
        (("exit", "signal", "out_of_memory"), Retry(never=(JobTimeout, StartFailed))),
        (("out_of_memory",), Retry(on=(MemoryError,))),
        (("exit", "signal", "timeout", "not_started"), Retry(never=(MemoryError,))),
        ((), Retry(never=(Exception,))),
        ((), Retry(never=(JobFailed,))),
    ],
)
def test_deaths_without_an_exception_are_retried_by_what_a_reader_calls_them(
    expected: tuple[str, ...], retry: Retry
) -> None:
    """What `result()` would raise; memory and time have the builtin's name besides."""
    assert expected == tuple(kind for kind in CRASHES if retry.wants_kind(kind))


@pytest.mark.parametrize("kind", ["error", "lost", "refused", ""])
def test_what_is_no_crash_is_not_retried_as_one(kind: str) -> None:
    """An exception has its class; a lost machine is counted apart."""
    assert not Retry().wants_kind(kind)
