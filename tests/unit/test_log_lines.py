"""Lines of log records among all that a job prints."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.log_lines import LogLine, format_line, parse_line, parse_lines

FIELDS = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8)
)
NAMES = st.text(string.ascii_letters + "._", min_size=1, max_size=12)
# Whatever splits lines for others is a character like any other here.
MESSAGES = st.text(max_size=40).filter(lambda text: not set("\n\t\r") & set(text))


@given(
    at=st.integers(0, 4_000_000_000_000),
    level=st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "Level 5"]),
    logger=NAMES,
    message=MESSAGES,
    fields=FIELDS,
)
def test_a_record_is_read_as_it_was_written(
    at: int, level: str, logger: str, message: str, fields: dict[str, Any]
) -> None:
    """To the millisecond; whatever its message and fields are."""
    line = format_line(at / 1000, level, logger, message, fields)

    assert "\n" not in line
    found = parse_line(line + "\n")
    assert (message, level, logger, fields) == (
        *(found.text, found.level, found.logger, found.fields),
    )
    assert at == round((found.at or 0) * 1000)


@given(st.text(max_size=60))
def test_whatever_is_printed_is_a_line(text: str) -> None:
    """And nothing of it is lost."""
    line = text.replace("\n", " ")
    found = parse_line(line)

    assert found.level or line == found.text
    assert len(text.split("\n")) == len(list(parse_lines(text + "\n")))


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22T02:20:01.123Z WARNING shop: no fields\tbut a tab",
        "2026-11-22T02:20:01.123Z WARNING shop: no object\t[1]",
        "2026-99-22T02:20:01.123Z WARNING shop: no such month",
        "NOTICE:shop:unknown to logging",
        "",
    ],
)
def test_what_looks_nearly_like_a_record_is_text(line: str) -> None:
    """As it was printed."""
    assert LogLine(line) == parse_line(line)


def test_records_of_other_handlers_have_a_level() -> None:
    """As `logging.basicConfig` writes them."""
    expected = LogLine("card: refused", None, "ERROR", "shop.orders")

    assert expected == parse_line("ERROR:shop.orders:card: refused\n")


def test_what_follows_the_first_line_of_a_message_is_text() -> None:
    """With the fields in the first, where they are found."""
    told = format_line(0.5, "ERROR", "shop", "one\ttab\ntwo\n", {"n": 1})
    first, *rest = parse_lines(told)

    assert LogLine("one tab", 0.5, "ERROR", "shop", {"n": 1}) == first
    assert [LogLine("two")] == rest
