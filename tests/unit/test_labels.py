"""Names of queues, tags and keys: what is taken, what is refused, in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jobs
import pytest

from worker_lib import labels
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(check: Callable[[Any, str], Any], value: Any) -> str:
    """Return the sentence with which a value is refused."""
    with pytest.raises(ConfigError) as caught:
        check(value, "what")
    return str(caught.value)


@pytest.mark.parametrize("name", ["high", "a", "Mail-2.eu_west", "0", "q" * 64])
def test_a_queue_has_any_plain_name(name: str) -> None:
    """Nobody has to make do with three."""
    assert name == labels.queue_name(name, "queue")


@pytest.mark.parametrize("name", ["", "q" * 65, "a b", "a,b", "a=1", "é", "-", 5, None])
def test_a_queue_of_another_name_is_refused(name: Any) -> None:
    """What would break a rule, a key of Redis or a terminal is not taken."""
    assert "use 1 to 64 letters, digits" in refusal(labels.queue_name, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("high,default,low", "high,default,low"),
        (" high , low ", "high,low"),
        ("one", "one"),
        ("high=5, default = 2 ,low=1", "high=5,default=2,low=1"),
        ("a=1000", "a=1000"),
    ],
)
def test_an_order_of_queues_is_strict_or_by_weight(text: str, expected: str) -> None:
    """It is kept without blanks, so that equal orders are equal texts."""
    assert expected == labels.queue_order(text, "queues")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("high,", "is no name of a queue"),
        ("", "is no name of a queue"),
        ("high low", "is no name of a queue"),
        ("high,high", "names a queue twice"),
        (",".join(f"q{n}" for n in range(33)), "more than 32 queues"),
        ("high=5,low", "a weight from 1 to 1000, or none has"),
        ("high=", "a weight from 1 to 1000"),
        ("high=0", "a weight from 1 to 1000"),
        ("high=-1", "a weight from 1 to 1000"),
        ("high=1.5", "a weight from 1 to 1000"),
        ("high=1001", "a weight from 1 to 1000"),
        ("high=²", "a weight from 1 to 1000"),
        (["high"], "to serve all of one before the next"),
    ],
)
def test_a_wrong_order_of_queues_is_refused(text: Any, words: str) -> None:
    """The sentence says what to write."""
    assert words in refusal(labels.queue_order, text)


@pytest.mark.parametrize("value", [-100, 0, 100])
def test_a_priority_is_a_whole_number(value: int) -> None:
    """The bounds belong to it."""
    assert value == labels.priority(value, "priority")


@pytest.mark.parametrize("value", [-101, 101, 1.0, "1", True, None, 10**400])
def test_another_priority_is_refused(value: Any) -> None:
    """Nothing is rounded, and nothing is cut."""
    assert "use a whole number from -100 to 100" in refusal(labels.priority, value)


def test_tags_are_sorted_pairs() -> None:
    """The order in which they were written means nothing."""
    expected = (("a.b", "x=y z"), ("tenant", "é"))

    assert expected == labels.tag_pairs({"tenant": "é", "a.b": "x=y z"}, "tags")
    assert () == labels.tag_pairs({}, "tags")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("tenant=x", "takes names and texts"),
        ({"a b": "x"}, "a tag named 'a b': use 1 to 64 letters"),
        ({"a=b": "x"}, "a tag named"),
        ({5: "x"}, "a tag named 5"),
        ({"a": 7}, "the value of tag 'a' is a text of 1 to 128 characters"),
        ({"a": ""}, "this is a str of 0"),
        ({"a": "x" * 129}, "this is a str of 129"),
        ({"a": "x\ny"}, "all printable"),
        ({"a": "\ud800"}, "all printable"),
        ({f"t{n}": "x" for n in range(17)}, "17 tags and a job may have 16"),
    ],
)
def test_wrong_tags_are_refused(value: Any, words: str) -> None:
    """The sentence says which tag, and what to pass instead."""
    assert words in refusal(labels.tag_pairs, value)


def test_neither_a_tags_value_nor_a_key_is_in_a_refusal() -> None:
    """Both may be an address or a name, and errors end up in logs."""
    tags = refusal(labels.tag_pairs, {"mail": "CANARY\n"})
    key = refusal(labels.job_key, "CANARY\n")

    assert "CANARY" not in tags + key


def test_jobs_are_looked_up_by_the_text_of_a_tag() -> None:
    """Its value may hold an equals sign."""
    assert "tenant=a=b" == labels.tag_text("tenant=a=b", "tag")
    assert "write it as NAME=VALUE" in refusal(labels.tag_text, "tenant")
    assert "a str of 0" in refusal(labels.tag_text, "tenant=")


@pytest.mark.parametrize("value", ["", "k" * 201, 7, b"k", "a\tb"])
def test_a_wrong_key_is_refused(value: Any) -> None:
    """An empty one would make all calls of a task one."""
    assert "a text of 1 to 200 characters" in refusal(labels.job_key, value)


def test_what_is_said_of_one_call_is_not_part_of_what_calls_share() -> None:
    """Else a key for each call would make a plan for each call."""
    plain = jobs.add.options(queue="mail", queues="mail").spec
    dressed = jobs.add.options(
        queue="mail",
        queues="mail",
        priority=5,
        tags={"tenant": "x"},
        key="k",
        unique_for=60,
        expires=60,
        delay=60,
    ).spec

    assert plain == dressed.shared
    assert plain is plain.shared
