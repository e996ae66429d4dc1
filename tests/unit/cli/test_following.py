"""What a job prints, in a terminal: which lines, and when."""

from __future__ import annotations

from typing import Any

import pytest

from worker_lib.cli.following import Past, as_lines, show_text
from worker_lib.client.following import LogNews
from worker_lib.client.output import BEGINNING, LogText
from worker_lib.log_lines import format_line
from worker_lib.store.printed import Printed

RECORD = format_line(1000.0, "INFO", "shop", "at 1000", {})


def news(*texts: LogText, is_complete: bool = True) -> LogNews:
    """Return what there was at a moment."""
    printed = Printed("running", 1, 1, (), False, (), ())
    return LogNews("running", 1, texts, BEGINNING, False, is_complete, printed)


def shown(past: Past, *found: LogNews) -> list[str]:
    """Return what is written, piece by piece."""
    pieces: list[str] = []
    show_text(found, past, pieces.append)
    return pieces


def test_text_is_written_as_it_comes() -> None:
    """Within lines, too; the last one is ended."""
    found = [news(LogText(1, one)) for one in ("a", "b\nc", "\x1b")]

    assert ["a", "b\nc", "\\x1b", "\n"] == shown(Past(), *found)
    assert [] == shown(Past(), news())


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ({"lines": 2}, "--- attempt 1 ---\ntwo\n--- attempt 2 ---\nthree"),
        ({"lines": 1}, "--- attempt 2 ---\nthree"),
        ({"lines": 0}, ""),
        ({"lines": 9}, "--- attempt 1 ---\none\ntwo\n--- attempt 2 ---\nthree"),
        ({"since": 1.0, "began": {1: 0.5, 2: 1.5}}, "--- attempt 2 ---\nthree"),
    ],
)
def test_of_what_was_printed_before_only_some_is_written(
    past: dict[str, Any], expected: str
) -> None:
    """Once it is there; then all that comes."""
    first = LogText(1, "one\ntwo", "--- attempt 1 ---\n")
    second = LogText(2, "three", "\n--- attempt 2 ---\n")
    found = [
        news(first, is_complete=False),
        news(second),
        news(LogText(2, " and on\n")),
    ]

    assert f"{expected} and on\n" == "".join(shown(Past(**past), *found))


def test_lines_are_as_old_as_the_record_before_them() -> None:
    """Or as their attempt."""
    text = f"plain\n{RECORD}\nits second line\n"
    lines = as_lines([LogText(1, text)])
    old = Past(since=500.0, began={1: 400.0})

    assert ["at 1000", "its second line"] == [one.said.text for one in old.of(lines)]
    assert lines == Past(since=500.0, began={1: 600.0}).of(lines)
    assert [] == Past(since=2000.0, began={1: 600.0}).of(lines)


def test_a_line_as_a_document_tells_what_a_record_says() -> None:
    """With the time as it was printed."""
    (line,) = as_lines([LogText(3, RECORD)])

    told = line.document()
    assert (3, "1970-01-01T00:16:40.000Z") == (told["attempt"], told["at"])
    assert ("INFO", "shop", "at 1000", {}) == tuple(
        told[name] for name in ("level", "logger", "text", "fields")
    )
    assert RECORD == line.raw
