"""Tabs of a real Chromium that note whatever a page must not do."""

from __future__ import annotations

import contextlib
import time
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright
    from site_of import Site

__all__ = ["CHROMIUM", "THEMES", "WIDTHS", "Tab", "launch"]

CHROMIUM = "/usr/bin/chromium"
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (360, 1280)
_HEIGHTS = {360: 740, 1280: 800}
# It asks for pages of its maker at every start, and cannot have a sandbox as root.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-dev-shm-usage"),
)
# Runs before any script of a page, and in every frame.
_WATCH = """
  window.__reports = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.__reports.push(`${event.violatedDirective}: ${event.blockedURI}`);
  });
"""
_OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const hidden = (one) => {
    for (let at = one; at && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflowX !== "visible") return true;
    }
    return false;
  };
  const wide = [...document.querySelectorAll("body *")].filter(
    (one) => one.getBoundingClientRect().right > width + 1 && !hidden(one)
  );
  const own = document.documentElement.scrollWidth > width;
  return own ? wide.map((one) => one.outerHTML.slice(0, 120)).concat("page") : [];
}"""
# What somebody can do something with; in a closed part of the page it counts not.
_FOCUSABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((one) => one.type !== "hidden" && !one.disabled && one.tabIndex >= 0
    && one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true })
    && !one.closest("dialog:not([open])"))
  .map((one) => {
    one.dataset.number ??= String(window.__number = (window.__number ?? 0) + 1);
    return `${one.dataset.number} ${one.outerHTML.slice(0, 90)}`;
  })"""
_FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return ["", true];
  const style = getComputedStyle(one);
  const marked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return [`${one.dataset.number} ${one.outerHTML.slice(0, 90)}`, marked];
}"""
_SERIOUS = frozenset({"serious", "critical"})


class Fault(NamedTuple):
    """What a page did that it must not."""

    what: str
    text: str


class Tab:
    """A tab, in a profile without history.

    Attributes:
        page: Playwright's.
        faults: Errors of scripts, of the console, dialogs, and answers of the server
            that are faults of its own.
    """

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self.faults: list[Fault] = []
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self._note("script", str(error)))
        self.page.on("console", self._hear)
        self.page.on("dialog", self._refuse)
        self.page.on("response", self._see)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        browser: Browser,
        site: Site,
        *,
        role: str = "admin",
        width: int = 1280,
        theme: Theme = "light",
        scripts: bool = True,
    ) -> Iterator[Tab]:
        """Open one; close it with all it has at the end.

        Args:
            role: Of the visitor; "" for somebody who may not look.
            width: In CSS pixels.
            theme: What the visitor's computer prefers.
            scripts: Whether pages may run any.
        """
        context = browser.new_context(
            viewport={"width": width, "height": _HEIGHTS[width]},
            color_scheme=theme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
            timezone_id="UTC",
            locale="en-GB",
        )
        context.set_default_timeout(15_000)
        if role:
            context.add_cookies([{"name": "role", "value": role, "url": site.url}])
        context.add_init_script(_WATCH)
        yield cls(context, site)
        context.close()

    def goto(self, path: str = "") -> None:
        """Open a page of the dashboard; wait until its scripts have run."""
        self.page.goto(self.site.url + path)

    def resize(self, width: int) -> None:
        """Make the window as wide as that of a phone or a desk."""
        self.page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})

    def act(self, action: str, *, within: str = "body") -> None:
        """Click the button of an action, the first in a part of the page.

        Args:
            action: Its name.
            within: Where the button is, if there are several.
        """
        self.buttons(action, within=within).first.click()

    def buttons(self, action: str, *, within: str = "body") -> Locator:
        """Return the buttons of an action."""
        end = f'$="/actions/{action}"'
        own, shared = f"form[action{end}] button", f"button[formaction{end}]"
        return self.page.locator(within).locator(f"{own}, {shared}")

    def agree(self, typed: str = "") -> None:
        """Answer the question that an action asks first."""
        dialog = self.page.get_by_role("dialog")
        if typed:
            dialog.get_by_role("textbox").fill(typed)
        dialog.locator("form.question button").click()

    def told(self, text: str) -> str:
        """Wait for a notice with this in it; return all of it."""
        notice = self.page.locator("#notices .notice", has_text=text).first
        notice.wait_for()
        return notice.inner_text()

    def count_clicks(self) -> Callable[[], list[str]]:
        """Return what tells where somebody has clicked since, on any page."""
        clicks: list[str] = []
        self.page.expose_function("notedClick", lambda where: clicks.append(where))  # noqa: PLW0108 - the driver marks what it is given
        script = """addEventListener("click", (event) => {
          if (event.isTrusted) notedClick(event.target.outerHTML.slice(0, 90));
        }, true);"""
        self.page.evaluate(script)
        self.page.add_init_script(script)
        return lambda: clicks

    @property
    def ground(self) -> str:
        """The colour behind everything."""
        script = "getComputedStyle(document.body).backgroundColor"
        return str(self.page.evaluate(script))

    def focusable(self) -> set[str]:
        """Return what a keyboard has to reach."""
        return set(self.page.evaluate(_FOCUSABLE))

    def walk(self) -> tuple[set[str], list[str]]:
        """Press Tab until the walk is round.

        Returns:
            What never had the focus, of what was there when the walk began; and what
            had it without showing it.
        """
        self.page.keyboard.press("p")  # an update takes the numbers away
        every = self.focusable()
        reached: set[str] = set()
        unmarked = []
        for _ in range(len(every) + 5):
            self.page.keyboard.press("Tab")
            one, marked = self.page.evaluate(_FOCUSED)
            if one in reached:
                break
            reached.add(one)
            if not marked:
                unmarked.append(one)
        return every - reached, unmarked

    @property
    def reports(self) -> list[str]:
        """What the page's policy (CSP) had to forbid."""
        found: list[str] = self.page.evaluate("window.__reports")
        return found

    def too_wide(self, within: float = 3.0) -> list[str]:
        """Return what makes the page scroll sideways, once charts are drawn anew."""
        deadline = time.monotonic() + within
        while found := self.page.evaluate(_OVERFLOW):
            if time.monotonic() > deadline:
                break
            self.page.wait_for_timeout(50)
        return list(found)

    def barriers(self) -> list[str]:
        """Return what keeps people out who see, hear or move in another way."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]

    def _note(self, what: str, text: str) -> None:
        self.faults.append(Fault(what, text))

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "")
            self._note("console", f"{message.text} ({where})")

    def _refuse(self, dialog: Any) -> None:
        self._note("dialog", dialog.message)
        dialog.dismiss()

    def _see(self, response: Any) -> None:
        if response.status >= 500:
            self._note("server", f"{response.status} {response.url}")


@cache
def _axe() -> str:
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text()


@contextlib.contextmanager
def launch(driver: Playwright) -> Iterator[Browser]:
    """Start Debian's Chromium; end it afterwards."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
    yield browser
    browser.close()
