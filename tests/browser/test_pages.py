"""Every page there is: in each size and theme, for everybody, without a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tabs import THEMES, WIDTHS
from views import VIEWS, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from seeding import Seeded
    from tabs import Tab

views = pytest.mark.parametrize("view", VIEWS, ids=str)


@views
def test_a_page_fits_and_is_open_to_everybody(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    """In light and dark, on a phone and a desk, checked with axe."""
    tab = open_tab(width=1280)
    tab.goto(view.path(tab.site, seeded))
    found = {}
    for theme in THEMES:
        tab.page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            tab.resize(width)
            found[theme, width] = [*tab.too_wide(), *tab.barriers()]

    assert {key: [] for key in found} == found
    assert ([], []) == (tab.faults, tab.reports)


@views
def test_a_page_says_the_same_without_scripts(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(scripts=False)
    tab.goto(view.path(tab.site, seeded))

    assert tab.page.locator("h1").is_visible()
    assert "" != tab.page.locator("#live").inner_text().strip()
    assert [] == tab.faults


@views
def test_a_page_has_its_json(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab()
    answer = tab.page.request.get(tab.site.url + view.json_path(tab.site, seeded))

    assert 200 == answer.status
    assert isinstance(json.loads(answer.text()), dict)


@views
def test_a_page_can_be_walked_by_keyboard(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    """Tab reaches every link and button, and each shows that it has the focus."""
    tab = open_tab()
    tab.goto(view.path(tab.site, seeded))

    reached, unmarked = tab.walk()

    assert [] == unmarked
    assert tab.focusable() <= reached


@views
def test_nobody_else_sees_a_page(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(role="")
    path = view.path(tab.site, seeded)
    answer = tab.page.request.get(tab.site.url + path, headers={"Accept": "text/html"})

    assert 403 == answer.status
    assert "locked" in answer.text()
