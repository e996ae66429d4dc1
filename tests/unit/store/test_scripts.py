"""How scripts are called: by the names that their first statement gives."""

from __future__ import annotations

import re

import pytest
from scripts import ROOT

from worker_lib.job import FIELDS
from worker_lib.store.resp import pack
from worker_lib.store.scripts import Script, script

FOLDER = ROOT / "worker_lib" / "store" / "lua"
VERBS = sorted(path.stem for path in FOLDER.glob("[!_]*.lua"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_names_its_arguments_first(verb: str) -> None:
    """And what follows them begins after the last; no argument is read by number."""
    text = (FOLDER / f"{verb}.lua").read_text()
    count = len(script(verb).arguments)
    rest = re.findall(r"unpack\(ARGV, (\d+)\)", text)
    rest += re.findall(r"^local first_field = (\d+)", text, re.MULTILINE)

    assert count == 0 or text.startswith(f"local {script(verb).arguments[0]}")
    assert {str(count + 1)} >= set(rest)
    assert "ARGV[" not in text


def test_arguments_are_put_in_the_scripts_own_order() -> None:
    """Whatever the order in which a caller names them."""
    made = Script("verb", b"", b"local a,\n  b, c = unpack(ARGV)\nreturn a")

    assert ("a", "b", "c") == made.arguments
    assert [1, 2, 3, "x", "y"] == made.words(("x", "y"), {"c": 3, "a": 1, "b": 2})


def test_last_arguments_can_be_packed_once() -> None:
    """They are sent in their place, with all that follows them."""
    made = Script("verb", b"", b"local a, b, c = unpack(ARGV)\n")
    packed = made.packed("x", "y", c=3, b=2)

    words = made.words((packed, "z"), {"a": 1})
    assert pack(["1", "2", "3", "x", "y", "z"]) == pack(words)
    with pytest.raises(TypeError, match="verb: missing or unknown"):
        made.words((packed,), {"a": 1, "b": 2, "c": 3})
    with pytest.raises(TypeError, match="verb: missing argument"):
        made.packed(a=1)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"a": 1}, r"missing or unknown: \['b'\]"),
        ({"a": 1, "b": 2, "c": 3}, r"missing or unknown: \['c'\]"),
        ({"a": 1, "c": 3}, "missing argument 'b'"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    named: dict[str, int], words: str
) -> None:
    """With the verb and the name."""
    made = Script("verb", b"", b"local a, b = unpack(ARGV)\n")

    with pytest.raises(TypeError, match=f"verb: {words}"):
        made.words((), dict(named))


def test_the_scripts_know_no_field_that_the_record_has_not() -> None:
    """Fields of `job:<id>` that are written stand in the one list."""
    parts = "".join(path.read_text() for path in FOLDER.glob("*.lua"))
    written = re.findall(r"move\([\w.]+, '\w+', '\w+', '(\w+)'", parts)
    written += re.findall(r"requeue\(job, [^\n]*?, '(\w+)'", parts)

    assert {"past", "fence", "alone", "error"} <= set(written)
    assert set(written) <= FIELDS.keys()


def test_what_a_job_keeps_is_what_the_list_says() -> None:
    """A job that succeeded keeps neither its call nor what only a machine needs."""
    kept = re.search(r"local KEPT = (\{.*?\})", script("finish").source.decode())
    assert kept is not None
    names = set(re.findall(r"'(\w+)'", kept[1]))

    assert {"task", "pool", "queue", "tags", "created", "attempt"} <= names
    assert not {"call", "policy", "slot", "order", "due"} & names
    assert names <= FIELDS.keys()


def test_a_verb_carries_what_it_uses_and_no_more() -> None:
    """Each definition that is shared costs every run of the script."""
    source = script("heartbeat").source

    assert b"local function key(" in source
    assert b"local function keep_batch(" not in source
    assert b"\n--" not in source.partition(b"unpack(ARGV)")[0]


def test_what_is_used_brings_what_it_uses_itself() -> None:
    """In the order of the files, also what is declared first and defined later."""
    source = script("finish").source
    places = [
        source.index(text)
        for text in (b"local P = ", b"local function key(", b"local serve_idle", *LATER)
    ]

    assert sorted(places) == places


def test_what_few_runs_need_is_made_when_it_is_called() -> None:
    """A function that is declared first, and what it alone uses, costs one closure."""
    source = script("enqueue").source
    head, _, rest = source.partition(b"\nserve_idle = function(...)\n")
    made, _, after = rest.partition(b"return serve_idle(...)\nend\n")

    assert b"\nlocal serve_idle\n" in head
    assert b"local function hand_over(" in made
    assert b"\nserve_idle = function(pool, about)\n" in made
    assert b"local function hand_over(" not in head + after
    assert b"local function key(" in head


def test_what_two_such_functions_share_is_made_once() -> None:
    """It may keep what both must know."""
    source = script("enqueue").source
    before = source.partition(b"= function(...)")[0]

    assert 1 == source.count(b"local function look_at_pool(")
    assert b"local function look_at_pool(" in before


LATER = (b"local function promote(", b"\nserve_idle = function(")
