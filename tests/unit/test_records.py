"""Records that load fast: the same rules as those of `typing.NamedTuple`."""

from __future__ import annotations

import functools
import pickle
import typing
from typing import Any

import pytest

from worker_lib import records


class Fast(records.NamedTuple):
    """What machines use."""

    a: int
    b: str = "b"
    c: float = 0.5


class Slow(typing.NamedTuple):
    """What type checkers are shown."""

    a: int
    b: str = "b"
    c: float = 0.5


class Marked(Fast):
    """A record with another method, as `typing.NamedTuple` allows."""

    def doubled(self) -> int:
        """Return twice the first item."""
        return 2 * self.a


GOOD: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, "x", 2.0), {}),
    ((), {"a": 1}),
    ((1,), {"c": 2.0}),
    ((), {"c": 1.0, "a": 2, "b": "y"}),
]
BAD: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((1, "x", 2.0, 3), {}, "Fast takes 3 items, and 4 were given"),
    ((1, "x", 2.0, 3), {"a": 1}, "Fast takes 3 items, and 4 were given"),
    ((1,), {"d": 4}, "Fast has no item 'd': it has a, b, c"),
    ((1, "x", 2.0), {"d": 4}, "Fast has no item 'd': it has a, b, c"),
    ((), {}, "Fast lacks a"),
    ((), {"b": "x"}, "Fast lacks a"),
    ((1,), {"a": 2}, "Fast was given 'a' twice"),
    ((1, "x", 2.0), {"c": 2.0}, "Fast was given 'c' twice"),
]


@pytest.mark.parametrize(("values", "named"), GOOD)
def test_items_are_taken_in_order_by_name_and_by_default(
    values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """In every mix that the standard library's record takes."""
    assert tuple(Slow(*values, **named)) == tuple(Fast(*values, **named))


@pytest.mark.parametrize(("values", "named", "words"), BAD)
def test_wrong_items_are_refused_by_name(
    values: tuple[Any, ...], named: dict[str, Any], words: str
) -> None:
    """What the standard library's record refuses is refused, with a sentence."""
    with pytest.raises(TypeError):
        Slow(*values, **named)
    with pytest.raises(TypeError) as caught:
        Fast(*values, **named)

    assert words == str(caught.value)


def test_a_changed_copy_is_checked_too() -> None:
    """A misspelt name in `_replace` changes nothing unseen."""
    record = Fast(1)

    assert Fast(1, "z") == record._replace(b="z")
    with pytest.raises(TypeError, match="has no item 'z'"):
        record._replace(z=1)


def test_a_record_below_a_record_keeps_its_items() -> None:
    """Methods can be added; names stay those of the record."""
    marked = Marked(2, c=1.0)

    assert (4, "b", 1.0) == (marked.doubled(), marked.b, marked.c)


def test_records_survive_a_pickle() -> None:
    """As the items, checked again."""
    assert Fast(1, "x") == pickle.loads(pickle.dumps(Fast(1, "x")))


def test_a_block_ends_quietly_at_what_is_suppressed() -> None:
    """Also at what is derived from it; anything else goes on."""
    with records.suppress(ValueError, OSError):
        raise FileNotFoundError
    with pytest.raises(KeyError), records.suppress(ValueError, OSError):
        raise KeyError


def test_a_cached_property_is_computed_once() -> None:
    """For each instance; and it can be found in the class, as one of `functools`."""

    class Counted:
        calls = 0

        @records.cached_property
        def number(self) -> int:
            """Count."""
            self.calls += 1
            return self.calls

    one, other = Counted(), Counted()
    other.calls = 10

    assert (1, 1, 11) == (one.number, one.number, other.number)
    assert "Count." == Counted.number.__doc__


@pytest.mark.parametrize("wrapped", [len, Fast, functools.partial(len), Marked.doubled])
def test_a_wrapper_looks_as_functools_makes_it(wrapped: Any) -> None:
    """Whatever it stands for has, and no more."""
    ours, theirs = type("Wrapper", (), {})(), type("Wrapper", (), {})()
    records.update_wrapper(ours, wrapped)
    functools.update_wrapper(theirs, wrapped)

    assert vars(theirs) == vars(ours)
