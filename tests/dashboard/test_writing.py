"""How numbers, times and charts are written."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from worker_lib.dashboard import charts
from worker_lib.dashboard.assets import FOLDER
from worker_lib.dashboard.filters import FILTERS, NOTHING
from worker_lib.dashboard.rendering import Addresses, Templates

NOON = datetime(2026, 11, 22, 12, 3, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("duration", 0.0, "0 ms"),
        ("duration", 0.0004, "0 ms"),
        ("duration", 0.9994, "999 ms"),
        ("duration", 0.9996, "1.00 s"),
        ("duration", 9.996, "10.0 s"),
        ("duration", 59.96, "1 m 00 s"),
        ("duration", 3599.9, "1 h 00 m"),
        ("duration", 90_061.0, "1 d 01 h"),
        ("duration", None, NOTHING),
        ("money", 0, "$0"),
        ("money", 0.00001, "< $0.0001"),
        ("money", 0.0012, "$0.0012"),
        ("money", 12.345, "$12.35"),
        ("money", 1234.5, "$1,234"),
        ("money", None, NOTHING),
        ("compact", 9999, "9,999"),
        ("compact", 12_345, "12.3k"),
        ("compact", 1_234_567, "1.23M"),
        ("percent", 0.0321, "3.2 %"),
        ("percent", 1.0, "100 %"),
        ("size", 1023, "1023 B"),
        ("size", 1 << 21, "2 MB"),
        ("exact", NOON, "2026-11-22 12:03:07 UTC"),
        ("iso", "2026-11-22T12:03:07.250Z", "2026-11-22T12:03:07Z"),
        ("clock", NOON.timestamp(), "12:03"),
        ("counted", 1, "1"),
    ],
)
def test_values_are_written_for_people(name: str, value: Any, text: str) -> None:
    words = ["machine"] if name == "counted" else []

    assert text == FILTERS[name](value, *words).removesuffix(" machine")


@pytest.mark.parametrize(
    ("passed", "text"),
    [(0.2, "now"), (3.5, "3 s ago"), (61, "1 m ago"), (-7300, "in 2 h")],
)
def test_times_are_told_from_now(passed: float, text: str) -> None:
    assert text == FILTERS["ago"](time.time() - passed)


def test_bars_stand_on_one_another() -> None:
    """The highest fills the drawing; a gap has none."""
    series = [
        {"name": "failed", "kind": "bad", "values": [1, 0, None]},
        {"name": "succeeded", "kind": "good", "values": [1, 4, None]},
    ]
    found = charts.marks(series, "bars")

    assert ["bad", "good", "good"] == [mark.kind for mark in found]
    failed, succeeded, full = found
    assert failed.y == pytest.approx(succeeded.y + succeeded.height)
    assert failed.x == succeeded.x
    assert (1.0, charts.HEIGHT - 1) == (full.y, full.height)


def test_lines_have_a_dot_for_each_value() -> None:
    series = [{"name": "p50", "kind": "info", "values": [None, 2.0, 4.0]}]

    assert 2 == len(charts.marks(series, "lines"))
    assert [] == charts.marks([{"name": "x", "kind": "info", "values": []}], "bars")


def test_the_table_of_a_chart_leaves_out_what_is_empty() -> None:
    series = [{"values": [0, 2, None]}, {"values": [None, 0, 3]}]

    assert [("c", (None, 3)), ("b", (2, 0))] == charts.rows(["a", "b", "c"], series)


def test_addresses_keep_strange_words_together() -> None:
    made = Addresses("/jobs/", {"job": "jobs/<id>", "overview": "overview"}, "v1")

    assert "/jobs/jobs/a%2Fb%3F%22" == made.url("job", id='a/b?"')
    assert "/jobs/?window=7d" == made.url("overview", window="7d", tag=None)
    assert "/jobs/assets/v1/a.js" == made.asset("a.js")


@pytest.mark.parametrize(
    "call",
    [
        "ui.tag(x)",
        "ui.task(x)",
        "ui.badge(x)",
        "ui.code(x, x)",
        "ui.notice(x, 'bad', x)",
        "ui.tile(x, x, x, x)",
        "ui.act(x, x, [x], fields={x: x})",
        "ui.input(x, x, x)",
        "ui.select(x, x, [[x, x]], x)",
        "ui.empty(x, x, x)",
        "ui.bar(0.5, x)",
        "ui.stack([[x, 1, x]], x)",
        "ui.pager(x, x, x)",
        "ui.pick(x, x, x)",
        "ui.tabs([[x, x, true, 1]], x)",
        "ui.facts([[x, x]])",
        "ui.chart(x, x, [1.0], 60, [{'name': x, 'kind': x, 'values': [1]}])",
    ],
)
def test_no_macro_lets_text_become_a_tag(call: str) -> None:
    """Nor leave its attribute."""
    evil = "\"'><img src=x onerror=alert(1)>"
    made = Templates()._environment.from_string("{{ " + call + " }}").render(x=evil)

    assert "<img" not in made
    assert not re.search(r'="[^"]*"\'>', made)


def test_every_icon_that_a_status_needs_is_there() -> None:
    macros = Templates()._environment.get_template("_ui.html").module
    statuses = set(macros.status_words)  # type: ignore[attr-defined]  # of the template

    assert statuses < set(macros.icons)  # type: ignore[attr-defined]  # of the template


def test_every_status_has_a_colour() -> None:
    css = (FOLDER / "dashboard.css").read_text()
    macros: Any = Templates()._environment.get_template("_ui.html").module

    assert all(f".is-{status}" in css for status in macros.status_words)
