"""The functions that a child keeps: the last ones, within bounds."""

from __future__ import annotations

from worker_lib.runtime.functions import Functions


def kept(functions: Functions, *names: str) -> list[bool]:
    """Return which of these are there, without using any."""
    return [name in functions._kept for name in names]


def test_what_was_not_used_for_longest_goes_first() -> None:
    """Using is looking up, as well as putting."""
    functions = Functions(most=2)
    functions.put("a", len, 1)
    functions.put("b", max, 1)
    assert len is functions.get("a")
    functions.put("c", min, 1)

    assert [True, False, True] == kept(functions, "a", "b", "c")
    assert functions.get("b") is None


def test_large_code_takes_the_room_of_many() -> None:
    """The bound is memory, whichever way it is used up."""
    functions = Functions(most=100, most_bytes=1000)
    for name in "abcde":
        functions.put(name, len, 200)
    assert 5 == len(functions)
    functions.put("f", len, 700)

    assert [False] * 4 + [True, True] == kept(functions, *"abcdef")


def test_the_last_one_stays_whatever_its_size() -> None:
    """The supervisor tells Redis that it need not be sent again."""
    functions = Functions(most=100, most_bytes=1000)
    functions.put("a", len, 10)
    functions.put("huge", max, 5000)

    assert max is functions.get("huge")
    assert 1 == len(functions)
    functions.put("b", min, 10)
    assert [False, True] == kept(functions, "huge", "b")
