"""Every page there is: in each size and theme, for everybody, without a fault."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from tabs import THEMES, WIDTHS
from views import PAGES, VIEWS, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from seeding import Seeded
    from tabs import Tab

views = pytest.mark.parametrize("view", VIEWS, ids=str)
pages = pytest.mark.parametrize("view", PAGES, ids=str)


@views
def test_a_page_fits_and_is_open_to_everybody(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    """On a phone and a desk, in light and dark; axe finds nothing in any of them."""
    tab = open_tab(width=1280)
    tab.goto(view.path(tab.site, seeded))
    found = {}
    for theme, width in itertools.product(THEMES, WIDTHS):
        tab.page.emulate_media(color_scheme=theme)
        tab.resize(width)
        found[theme, width] = tab.too_wide() + tab.barriers()

    assert {key: [] for key in found} == found
    assert ([], []) == (tab.faults, tab.reports)


@pages
def test_a_page_says_the_same_without_scripts(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(scripts=False)
    tab.goto(view.path(tab.site, seeded))

    assert tab.page.locator("h1").is_visible()
    assert "" != tab.page.locator("#live").inner_text().strip()
    assert [] == tab.faults


@pages
def test_a_page_can_be_walked_by_keyboard(
    view: View, seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    """Tab reaches every link and button, and each shows that it has the focus."""
    tab = open_tab()
    tab.goto(view.path(tab.site, seeded))

    assert (set(), []) == tab.walk()


def test_every_page_has_its_json_and_is_for_nobody_else(
    seeded: Seeded, open_tab: Callable[..., Tab]
) -> None:
    ours, other = open_tab(), open_tab(role="")
    for view in VIEWS:
        path = view.json_path(ours.site, seeded)
        answer = ours.page.request.get(ours.site.url + path)
        refused = other.page.request.get(ours.site.url + path)

        assert (200, 403) == (answer.status, refused.status), path
        assert isinstance(json.loads(answer.text()), dict)
        assert ["error"] == list(json.loads(refused.text()))
