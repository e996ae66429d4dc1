"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.durations import seconds
from worker_lib.errors import ConfigError


@pytest.mark.parametrize(
    ("expected", "written"),
    [
        (0.0, 0),
        (30.0, 30),
        (0.25, 0.25),
        (30.0, "30"),
        (0.05, "50ms"),
        (30.0, "30s"),
        (600.0, "10m"),
        (7200.0, "2h"),
        (86400.0, "1d"),
        (90.0, " 1.5M "),
        (90.0, timedelta(minutes=1, seconds=30)),
    ],
)
def test_every_spelling_gives_seconds(expected: float, written: Any) -> None:
    """Numbers, numbers with a unit and timedeltas are understood."""
    assert expected == seconds(written, "timeout")


@pytest.mark.parametrize(
    "written",
    [
        *("", "s", "soon", "10x", "1h30m", "10sm", "nan", "inf", "1e999", "-1s"),
        *(-1, -0.001, float("nan"), float("inf"), 10**400, True, None, [], object()),
        timedelta(seconds=-1),
    ],
)
def test_what_is_no_duration_is_refused_by_name_and_value(written: Any) -> None:
    """The sentence has the option, the value and the spellings that work."""
    with pytest.raises(ConfigError) as caught:
        seconds(written, "timeout")

    assert str(caught.value).startswith(f"timeout={written!r} is not a duration")
    assert '"10m"' in str(caught.value)


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_a_number_means_the_same_as_its_text(number: float) -> None:
    """A duration can come from code or from the environment."""
    assert seconds(number, "x") == seconds(f"{number!r}s", "x")


@given(st.text(max_size=8))
def test_any_text_is_a_duration_or_a_config_error(text: str) -> None:
    """No text ends in another exception, nor in a length that cannot be waited."""
    try:
        length = seconds(text, "x")
    except ConfigError:
        return

    assert 0 <= length < float("inf")
