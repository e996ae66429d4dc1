"""Which arguments are taken, and what is said of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.calls.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Callable


def two(a: int, b: int = 0) -> None: ...
def any_number(a: int, *rest: int) -> None: ...
def named(a: int, *, b: int) -> None: ...
def named_default(a: int, *, b: int = 1, **more: int) -> None: ...
def positional(a: int, /, b: int) -> None: ...
def none() -> None: ...


FUNCTIONS = (two, any_number, named, named_default, positional, none)


def refusal(check: Callable[[], object]) -> str:
    """Return what is said of wrong arguments, "" of right ones."""
    try:
        check()
    except TypeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("count", range(5))
def test_calls_of_many_take_what_a_call_takes(function: Any, count: int) -> None:
    """To count arguments says the same as to bind them."""
    arguments = Arguments(function, "m:f", ())
    args = tuple(range(count))
    if said := refusal(lambda: arguments.check(args, {})):
        assert f"call 0: {said}" == refusal(lambda: list(arguments.each([args])))
    else:
        assert [args] == list(arguments.each([args]))


def test_the_instance_comes_first() -> None:
    """It is none of the caller's arguments."""
    bound = Arguments(two, "m:C.f", ("self",))

    assert [("self", 1), ("self", 2, 3)] == list(bound.each([(1,), (2, 3)]))


def test_calls_are_read_one_by_one() -> None:
    """An endless iterator of them is no problem."""

    def calls() -> Any:
        yield (1,)
        yield "text"
        raise AssertionError

    each = Arguments(two, "m:f", ()).each(calls())
    assert (1,) == next(each)
    with pytest.raises(TypeError, match="call 1 of m:f is a str: give a tuple"):
        next(each)
