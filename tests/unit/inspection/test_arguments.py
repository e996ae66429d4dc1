"""Arguments that people may edit: read from previews, never from pickles."""

from __future__ import annotations

import pytest

from worker_lib.calls.preview import call_preview
from worker_lib.inspection import PlainArguments, plain_arguments
from worker_lib.printable import printable


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((7, "a'\"\n\\"), {}),
        ((), {"to": "x@example.org", "copies": 2, "deep": {"a": [1, None, -2.5]}}),
        (([True, False],), {}),
    ],
)
def test_plain_values_come_back_as_they_were(
    args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    shown = call_preview((), args, kwargs).decode()

    assert PlainArguments(list(args), kwargs) == plain_arguments(shown)


def test_positional_arguments_have_names_where_these_are_known() -> None:
    shown = call_preview(("a", "b"), (1, "x"), {}).decode()

    assert PlainArguments([], {"a": 1, "b": "x"}) == plain_arguments(shown)


@pytest.mark.parametrize(
    "value",
    [
        BaseException(),
        b"bytes",
        (1, 2),
        {1, 2},
        {1: "one"},
        "x" * 81,
        list(range(6)),
        [[[[1]]]],
        float("nan"),
        float("inf"),
        1 << 200,
        "sk-hidden",
        {"token": "t"},
    ],
)
def test_what_is_not_shown_in_full_is_not_taken(value: object) -> None:
    """Nor what JSON has no word for: editing it would change it."""
    assert plain_arguments(call_preview((), (value,), {}).decode()) is None


def test_a_secret_argument_is_not_taken() -> None:
    assert plain_arguments(call_preview((), (), {"password": "x"}).decode()) is None


@pytest.mark.parametrize(
    "preview",
    [
        None,
        "3 calls, the first: a=1",
        "1) + (2",
        "1)(2",
        "1).x(2",
        "*[1]",
        "**{'a': 1}",
        "__import__('os')",
        "a=1, a=2",
        "(" * 500,
        "x for x in [1]",
        "f'{1}'",
    ],
)
def test_text_of_another_kind_is_not_taken(preview: str | None) -> None:
    """A preview is signed, yet nothing in it can do anything."""
    assert plain_arguments(preview) is None


@pytest.mark.parametrize("text", ["é 漢", "\x7f", "\x1b[31m", "a\u202eb", "\ud800"])
def test_no_character_is_hidden_from_who_edits(text: str) -> None:
    """What cannot be seen is written as JSON does it, and comes back the same."""
    arguments = PlainArguments([text], {})
    shown = arguments.as_json()

    assert printable(shown) == shown
    assert arguments == PlainArguments.from_json(shown)


def test_what_a_person_writes_is_an_object_or_a_list() -> None:
    assert PlainArguments([], {"a": 1}) == PlainArguments.from_json('{"a": 1}')
    assert PlainArguments([1], {}) == PlainArguments.from_json("[1]")
    for text in ("7", "", "{", "[NaN]", "null"):
        with pytest.raises(ValueError):  # noqa: PT011 - JSON words it
            PlainArguments.from_json(text)
