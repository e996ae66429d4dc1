"""What people meet before they are in, and when something is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tabs import THEMES, WIDTHS

if TYPE_CHECKING:
    from collections.abc import Callable

    from site_of import Site
    from tabs import Tab

    from worker_lib.client.client import Client

PASSWORD = "open, sesame"


def faults_in_all_looks(tab: Tab) -> dict[tuple[str, int], list[str]]:
    """Return what is wrong with the open page, by theme and width."""
    found = {}
    for theme in THEMES:
        tab.page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            tab.resize(width)
            found[theme, width] = [*tab.too_wide(), *tab.barriers()]
    return {look: faults for look, faults in found.items() if faults}


def test_a_password_opens_the_page_that_was_asked_for(
    own: Client, locked_site: Site, open_tab: Callable[..., Tab]
) -> None:
    """After a wrong one was refused; and whoever logs out is out."""
    tab = open_tab(locked_site, role="")
    tab.goto("?window=24h")
    faults = faults_in_all_looks(tab)
    tab.page.get_by_label("Password").fill("wrong password")
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text("That is not the password").wait_for()
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_label("Your name").fill("Ann")
    tab.page.get_by_role("button", name="Log in").click()
    tab.page.get_by_role("heading", name="Overview").wait_for()
    assert tab.page.url.endswith("?window=24h")
    assert "Ann" in tab.page.locator(".who").inner_text()
    tab.page.get_by_role("button", name="Log out").click()

    tab.page.get_by_label("Password").wait_for()
    assert {} == faults
    refused = [fault for fault in tab.faults if "401" not in fault.text]
    assert ([], []) == (refused, tab.reports)


def test_a_password_opens_it_without_scripts(
    own: Client, locked_site: Site, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(locked_site, role="", scripts=False)
    tab.goto()
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.page.get_by_role("button", name="Log in").click()

    tab.page.get_by_role("heading", name="Overview").wait_for()


REFUSALS = {
    "locked": ("", "", 403, "This dashboard is locked"),
    "nothing there": ("read", "no-such-page", 404, "no page at this address"),
    "impossible": ("read", "?window=9h", 400, "window"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_are_pages_for_people(
    own: Client, open_tab: Callable[..., Tab], refusal: str
) -> None:
    """That say what is the matter, in every size and theme."""
    role, path, status, text = REFUSALS[refusal]
    tab = open_tab(role=role)
    answer = tab.page.goto(tab.site.url + path)

    assert answer is not None
    assert status == answer.status
    assert text in tab.page.locator("main").inner_text()
    assert {} == faults_in_all_looks(tab)
    assert [] == tab.reports
