"""Open pages change by themselves, and rest while nobody sees them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from jobs import add, waits_for
from shop.reports import monthly_report
from site_of import Site, serve
from waiting import until

from worker_lib import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tabs import Tab

    from worker_lib.client.client import Client

WITHIN = 3.0
# What a browser does when another tab is looked at; the driver cannot do it.
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def site() -> Iterator[Site]:
    """One for each test: a page that is opened often is read less often then."""
    with serve() as running:
        yield running


def tile(tab: Tab, status: str) -> str:
    """Return the number in a tile of the first page."""
    return tab.page.locator(f"#tile-{status} .tile-value").inner_text()


def test_a_job_that_ends_changes_the_open_page(
    own: Client, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    """Within three seconds, without any click."""
    gate, started = tmp_path / "gate", tmp_path / "started"
    job = waits_for.delay(str(gate), str(started))
    until(started.exists, within=50)
    tab = open_tab()
    tab.goto()
    tab.page.locator("#live-sign[data-state=live]").wait_for()
    tab.page.locator("#tile-running .tile-value", has_text="1").wait_for()
    gate.touch()
    job.wait(timeout=20)
    began = time.monotonic()
    tab.page.locator("#tile-running .tile-value", has_text="0").wait_for()
    took = time.monotonic() - began

    assert took < WITHIN
    assert ([], []) == (tab.faults, tab.reports)


@pytest.mark.timeout(120)
def test_what_a_job_prints_is_followed(
    own: Client, open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    """For ten seconds, each line once, in order, and soon after it was printed."""
    gate = tmp_path / "gate"
    job = monthly_report.delay("2026-10", str(gate))
    until(lambda: job.status == "running", within=50)
    tab = open_tab()
    tab.goto(f"jobs/{job.id}")
    log = tab.page.locator(".log-text")
    log.get_by_text("order 10001:").wait_for()
    gaps, before = [], time.monotonic()
    for number in range(2, 42, 4):
        tab.page.wait_for_function(
            "(text) => document.querySelector('.log-text').textContent.includes(text)",
            arg=f"order {10_000 + number}:",
        )
        gaps.append(time.monotonic() - before)
        before = time.monotonic()
    gate.touch()
    orders = job.result(timeout=20)["orders"]
    tab.page.locator(".job-state .badge", has_text="Succeeded").wait_for()
    tab.page.wait_for_function(
        "(text) => document.querySelector('.log-text').textContent.includes(text)",
        arg=f": {orders} orders",
    )
    lines = [line for line in log.inner_text().splitlines() if "items" in line]
    expected = [f"order {10_001 + n}: 3 items, 41.70 EUR" for n in range(len(lines))]

    assert orders == len(lines) >= 38
    assert expected == lines
    assert max(gaps) < WITHIN + 1
    assert ([], []) == (tab.faults, tab.reports)


def test_a_page_rests_while_it_is_hidden(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """It closes its stream, and is up to date as soon as it is seen again."""
    Queue("resting").pause()
    tab = open_tab()
    tab.goto()
    tab.page.locator("#live-sign[data-state=live]").wait_for()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.evaluate(HIDE, True)
    add.options(queue="resting").delay(1)
    tab.page.wait_for_timeout(2500)  # an interval, in which nothing is to happen
    while_hidden = (tile(tab, "queued"), list(asked))
    tab.page.evaluate(HIDE, False)
    tab.page.locator("#tile-queued .tile-value", has_text="1").wait_for()

    assert ("0", []) == while_hidden
    assert ["live"] == [url.partition("?")[0].rpartition("/")[2] for url in asked]


def test_a_page_that_is_paused_stays_as_it_is(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """By its sign or the key p, until the same again."""
    Queue("resting").pause()
    tab = open_tab()
    tab.goto()
    sign = tab.page.locator("#live-sign")
    tab.page.locator("#live-sign[data-state=live]").wait_for()
    sign.click()
    assert "Paused" == sign.inner_text().strip()
    add.options(queue="resting").delay(1)
    tab.page.wait_for_timeout(2500)  # an interval, in which nothing is to happen
    while_paused = tile(tab, "queued")
    tab.page.locator("h1").click()
    tab.page.keyboard.press("p")
    tab.page.locator("#tile-queued .tile-value", has_text="1").wait_for()

    assert "0" == while_paused


def test_the_address_keeps_what_was_chosen(
    own: Client, open_tab: Callable[..., Tab]
) -> None:
    """A reload and the way back show the same."""
    tab = open_tab()
    tab.goto()
    tab.page.get_by_role("link", name="7 days").click()
    tab.page.wait_for_url("**?window=7d")
    tab.page.reload()
    chosen = tab.page.locator(".tabs [aria-current]").first.inner_text()
    tab.page.go_back()

    assert "7 days" == chosen
    assert "1 hour" == tab.page.locator(".tabs [aria-current]").first.inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_kept(
    own: Client, open_tab: Callable[..., Tab], theme: str
) -> None:
    """Against what the computer prefers, from the first paint of the next page on."""
    tab = open_tab(theme="dark" if theme == "light" else "light")
    tab.goto()
    before = tab.ground
    tab.page.keyboard.press("t")
    switched = tab.ground
    tab.page.reload()

    assert before != switched == tab.ground
    assert theme == tab.page.locator("html").get_attribute("data-theme")
