"""Durations and signals."""

from __future__ import annotations

import signal

import pytest

from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.values import (
    go_duration,
    query_seconds,
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


@pytest.mark.parametrize("value", ["10", "s", "1d", "-1s", None, True, ""])
def test_anything_else_is_no_duration(value: object) -> None:
    """A bare number as text is none either, as in Go."""
    with pytest.raises(ApiRefusal, match="invalid duration"):
        seconds(value)


@pytest.mark.parametrize(
    ("expected", "text"), [(10.0, "10"), (10.0, "10000000000"), (10.0, "10s")]
)
def test_a_number_in_a_query_is_seconds_or_nanoseconds(
    expected: float, text: str
) -> None:
    """The OpenAPI file and fly-go mean different units by it."""
    assert expected == pytest.approx(query_seconds(text))


@pytest.mark.parametrize(("expected", "value"), [("10s", 10.0), ("0.5s", 0.5)])
def test_durations_are_written_as_go_does(expected: str, value: float) -> None:
    """What is written can be read again."""
    assert expected == go_duration(value)
    assert value == seconds(expected)


@pytest.mark.parametrize("value", ["SIGTERM", "sigterm", "TERM", 15, "15"])
def test_a_signal_is_named_or_numbered(value: object) -> None:
    """All forms mean the same signal."""
    assert signal.SIGTERM == signal_number(value)


@pytest.mark.parametrize("value", ["SIGSTOP", 19, "x", None, ""])
def test_other_signals_are_refused(value: object) -> None:
    """The error lists the fourteen that Fly has."""
    with pytest.raises(ApiRefusal, match=r"SIGABRT, .*SIGUSR2"):
        signal_number(value)
