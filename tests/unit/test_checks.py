"""Checks of what people write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.checks import (
    choice,
    optional,
    plain_name,
    seconds,
    text,
    unknown_name,
    whole,
)
from worker_lib.errors import ConfigError, Problem


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


@pytest.mark.parametrize("value", [1, 7, 2**70])
def test_a_whole_number_is_taken_as_it_is(value: int) -> None:
    """Nothing is rounded or capped."""
    assert value == whole(1)(value, "n")


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None, [], float("nan")])
def test_what_is_no_whole_number_in_code_is_refused(value: Any) -> None:
    """Text is a number only where it comes from an environment."""
    with pytest.raises(ConfigError) as caught:
        whole(1)(value, "n")

    assert (Problem(f"n={value!r}", "use a whole number from 1", "n"),) == (
        caught.value.problems
    )


def test_a_number_written_as_text_is_taken_from_an_environment() -> None:
    """Variables hold nothing but text."""
    check = whole(0, from_text=True)

    assert [0, 12, 3] == [check("0", "n"), check(" 12 ", "n"), check(3, "n")]
    for value in ("2.5", "", "many", False):
        with pytest.raises(ConfigError, match="use a whole number from 0"):
            check(value, "n")


def test_one_of_a_few_names_is_taken_and_the_nearest_is_offered() -> None:
    """Where nothing is near, all of them are listed in their own order."""
    check = choice("retry", "fail")

    assert "fail" == check(" fail ", "on_lost")
    with pytest.raises(ConfigError, match="did you mean 'retry'"):
        check("retyr", "on_lost")
    with pytest.raises(ConfigError, match="use retry or fail"):
        check("xyz", "on_lost")


def test_none_passes_an_optional_check_and_nothing_else_does() -> None:
    """An option without a value of its own takes the setting's."""
    check = optional(whole(1))

    assert (None, 3) == (check(None, "n"), check(3, "n"))
    with pytest.raises(ConfigError, match="n=0"):
        check(0, "n")


def test_texts_and_names_are_told_from_other_values() -> None:
    """The error shows what was expected."""
    assert ("x y", "a-b_2") == (
        text("a text")("x y", "t"),
        plain_name("a key")("a-b_2", "t"),
    )
    with pytest.raises(ConfigError, match=r"t=5: use a text"):
        text("a text")(5, "t")
    with pytest.raises(ConfigError, match=r"t='a:b': use letters.*\(a key\)"):
        plain_name("a key")("a:b", "t")


KNOWN = {"queue", "timeout", "retry"}


def test_a_typing_error_is_answered_with_the_nearest_name() -> None:
    """Who mistyped a name is told which one was meant."""
    problem = unknown_name("option", "timout", KNOWN)

    assert "unknown option 'timout': did you mean 'timeout'?" == str(problem)
    assert "timout" == problem.source


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    """Where nothing is near, all that is known is listed in order."""
    assert "unknown option 'xyz': known are queue, retry, timeout" == str(
        unknown_name("option", "xyz", KNOWN)
    )
