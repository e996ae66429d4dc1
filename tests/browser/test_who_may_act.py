"""Buttons are for who may act, forms for pages of the dashboard, and all are tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from views import PAGES

from worker_lib.dashboard.registry import Registry
from worker_lib.inspection import audits

if TYPE_CHECKING:
    from collections.abc import Callable

    from seeding import Seeded
    from tabs import Tab

    from worker_lib.client.client import Client

ACTIONS = sorted(Registry.load().actions)
FORM = """<!doctype html><form method="post" action="{action}"><button>Win</button>
<input name="target" value="mail"><input name="_confirmed" value="mail"></form>"""


def test_every_action_is_done_by_hand_in_a_test() -> None:
    """By its name, in one of the files for actions."""
    tests = Path(__file__).parent.glob("test_*_actions.py")
    text = "\n".join(path.read_text() for path in tests)

    assert [] == [name for name in ACTIONS if f'"{name}"' not in text]


def test_who_may_look_is_offered_nothing_else(
    seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(role="read")
    forms = '[action*="/actions/"], [formaction*="/actions/"], [hx-post]'
    offered = {}
    for view in PAGES:
        tab.goto(view.path(tab.site, seeded))
        assert tab.page.locator("h1").is_visible()
        offered[str(view)] = tab.page.locator(forms).count()

    assert dict.fromkeys(offered, 0) == offered


@pytest.mark.parametrize("name", ACTIONS)
def test_who_may_look_is_refused(
    own: Client, open_tab: Callable[..., Tab], name: str
) -> None:
    """Also a form that somebody made; and it is noted."""
    tab = open_tab(role="read")
    tab.goto()
    tab.page.set_content(FORM.format(action=f"{tab.site.url}actions/{name}"))
    with tab.page.expect_navigation() as moved:
        tab.page.get_by_role("button").click()

    assert 403 == moved.value.status
    assert "needs the role admin" in tab.page.locator("main").inner_text()
    assert [(name, "refused: the role is read")] == [
        (entry.what, entry.outcome) for entry in audits()
    ]


@pytest.mark.parametrize("name", ACTIONS)
def test_a_form_of_another_place_is_refused(
    own: Client, open_tab: Callable[..., Tab], name: str
) -> None:
    """Of another port of the same computer, whose forms send the same cookies."""
    tab = open_tab()
    elsewhere = "http://127.0.0.1:1/"
    form = FORM.format(action=f"{tab.site.url}actions/{name}")
    tab.page.route(
        f"{elsewhere}**",
        lambda route: route.fulfill(body=form, content_type="text/html"),
    )
    tab.page.goto(elsewhere)
    with tab.page.expect_navigation() as moved:
        tab.page.get_by_role("button").click()

    assert 403 == moved.value.status
    assert "did not come from a page" in tab.page.locator("main").inner_text()
    assert [] == audits()
