"""Chunks: an outcome for each call, whatever becomes of the others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from worker_lib.calls import chunks, pickling
from worker_lib.calls.pickling import Call
from worker_lib.errors import ArgumentsNotEncodable, JobFailed, PayloadError


def chunk(*items: tuple[Any, ...]) -> Call:
    """Return calls as a chunk, as a machine loads it."""
    call = Call(list(items), {}, None, items=len(items))
    return pickling.load_call(pickling.whole(pickling.dump_call("m:f", call)))


def never(_error: Exception) -> bool:
    """Say that no attempt follows."""
    return False


def outcomes_of(run_one: Any, *items: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Return what the caller loads of a chunk that ran to its end."""
    dumped = chunks.dump_value(chunks.run(chunk(*items), run_one, never), "m:f")
    good, value = pickling.load_outcome(pickling.whole(dumped), "j1")
    assert good
    return chunks.load_value(value, "j1")


def divided(a: int, b: int) -> float:
    """Divide."""
    return a / b


def test_each_call_has_its_outcome() -> None:
    """A failed one does not keep the others from running."""
    first, failed, last = outcomes_of(divided, (1, 2), (1, 0), (6, 3))

    assert [(True, 0.5), (True, 2.0)] == [first, last]
    good, error = failed
    assert (False, ZeroDivisionError) == (good, type(error))
    assert isinstance(error.__cause__, JobFailed)
    assert "division by zero" in error.__cause__.remote_traceback


def test_a_value_that_cannot_be_pickled_is_the_failure_of_its_call_alone() -> None:
    """The others keep theirs."""
    first, failed = outcomes_of(lambda a: a or threading.Lock(), (7,), (0,))

    assert (True, 7) == first
    assert isinstance(failed[1], PayloadError)
    assert "m:f returned a lock, which cannot be pickled" in str(failed[1])


def test_all_calls_run_before_the_chunk_is_tried_again() -> None:
    """The first exception that is retried is the attempt's."""
    seen: list[int] = []

    def run_one(number: int) -> int:
        seen.append(number)
        if number:
            raise OSError(number)
        raise ValueError

    def has_retry(error: Exception) -> bool:
        return isinstance(error, OSError)

    with pytest.raises(OSError, match=r"^1$"):
        chunks.run(chunk((0,), (1,), (2,)), run_one, has_retry)

    assert [0, 1, 2] == seen


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_process_ends_the_chunk(ending: type[BaseException]) -> None:
    """As a stop signal and a time-out do."""

    def run_one(number: int) -> None:
        raise ending if number == 1 else AssertionError(number)

    with pytest.raises(ending):
        chunks.run(chunk((1,), (2,)), run_one, never)


def test_an_argument_of_a_chunk_that_cannot_be_pickled_is_named() -> None:
    """By its place in its own call."""
    bad = Call([(1, 2), (3, threading.Lock())], {}, None, items=2)

    with pytest.raises(ArgumentsNotEncodable, match="argument 2 of m:f is a lock"):
        pickling.dump_call("m:f", bad)
