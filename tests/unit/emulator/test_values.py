"""Durations and signals."""

from __future__ import annotations

import signal

import pytest

from worker_lib.emulator.messages import ApiError
from worker_lib.emulator.validation import query_grace
from worker_lib.emulator.values import (
    go_duration,
    nanoseconds,
    seconds,
    signal_number,
)


@pytest.mark.parametrize(
    ("expected", "value"),
    [(90.0, "1m30s"), (0.5, "500ms"), (1.5, "1.5s"), (10.0, 10_000_000_000), (0.0, 0)],
)
def test_a_duration_is_go_s_text_or_nanoseconds(expected: float, value: object) -> None:
    """Both forms that Go clients send are read."""
    assert expected == pytest.approx(seconds(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10", 'missing unit in duration "10"'),
        ("1d", 'unknown unit "d" in duration "1d"'),
        ("1h 2m", 'unknown unit "h " in duration'),
        ("s", 'invalid duration "s"'),
        ("", 'invalid duration ""'),
        (".", 'invalid duration "."'),
        ("9999999999h", "invalid duration"),
        (float("nan"), "invalid duration"),
        (1e300, "invalid duration"),
        (None, "must be a duration"),
        (True, "must be a duration"),
        ([], "must be a duration"),
    ],
)
def test_anything_else_is_no_duration(value: object, text: str) -> None:
    """A bare number as text is none either, as in Go, and so are its words."""
    with pytest.raises(ApiError) as refused:
        seconds(value)

    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("expected", "text"), [(10.0, "10"), (10.0, "10000000000"), (10.0, "10s")]
)
def test_a_number_in_a_query_is_seconds_or_nanoseconds(
    expected: float, text: str
) -> None:
    """The OpenAPI file and fly-go mean different units by it."""
    assert expected == pytest.approx(query_grace(text))


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("1.5µs", 1_500),
        ("500ms", 500_000_000),
        ("10s", 10_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1h0m0s", 3600_000_000_000),
        ("1h2m3.004s", 3723_004_000_000),
        ("-1.5s", -1_500_000_000),
        ("2562047h47m16.854775807s", 2**63 - 1),
    ],
)
def test_durations_are_written_as_go_does(expected: str, value: int) -> None:
    """What is written can be read again, to the nanosecond."""
    assert expected == go_duration(value)
    assert value == nanoseconds(expected)


@pytest.mark.parametrize("value", ["SIGTERM", "sigterm", "TERM", 15, "15"])
def test_a_signal_is_named_or_numbered(value: object) -> None:
    """All forms mean the same signal."""
    assert signal.SIGTERM == signal_number(value)


@pytest.mark.parametrize("value", ["SIGSTOP", 19, "x", None, ""])
def test_other_signals_are_refused(value: object) -> None:
    """The error lists the fourteen that Fly has."""
    with pytest.raises(ApiError, match=r"SIGABRT, .*SIGUSR2"):
        signal_number(value)
