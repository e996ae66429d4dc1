"""What one request is about: who asks, where the dashboard is, what was rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Response, g, request, url_for

from worker_lib.dashboard.rendering import Addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.dashboard.access import Access, Viewer
    from worker_lib.dashboard.assets import Assets
    from worker_lib.dashboard.cookies import Cookies
    from worker_lib.dashboard.csrf import Csrf
    from worker_lib.dashboard.live import Hub, Slots
    from worker_lib.dashboard.registry import Page, Query, Registry
    from worker_lib.dashboard.rendering import Templates

__all__ = ["Parts", "Visit", "viewer"]

_THEMES = frozenset({"light", "dark"})
_FLASH = "flash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every request uses."""

    registry: Registry
    access: Access
    cookies: Cookies
    csrf: Csrf
    assets: Assets
    templates: Templates
    hub: Hub
    slots: Slots


def viewer() -> Viewer | None:
    """Return who makes this request; None before it was let in."""
    found: Viewer | None = g.get("worker_lib_viewer")
    return found


class Visit:
    """One request, as pages and parts of them see it."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.viewer = viewer()
        root = url_for(f"{request.blueprint}.home")
        rules = parts.registry.rules
        self.addresses = Addresses(root, rules, parts.assets.version)

    @property
    def root(self) -> str:
        """Where the dashboard is, with a slash at its end."""
        return self.addresses.root

    @property
    def wants_part(self) -> bool:
        """Whether a script asks, which has the rest of the page."""
        return "HX-Request" in request.headers

    def block_words(self, page: Page, query: Query, document: Any) -> dict[str, Any]:
        """Return what the block `live` is rendered with: the same for a whole role."""
        return {
            "page": document,
            "query": query,
            "slug": page.slug,
            "url": self.addresses.url,
            "has_page": self.parts.registry.pages.__contains__,
            "action": self.addresses.action,
            "can_act": self.viewer is not None and self.viewer.may_act,
        }

    def block(self, page: Page, query: Query, document: Mapping[str, Any]) -> str:
        """Return the block `live` of a page, without tokens."""
        words = self.block_words(page, query, document)
        return self.parts.templates.block(page.template, "live", words)

    def html(self, template: str, status: int = 200, **words: Any) -> Response:
        """Return a whole page, or a part of one, with this browser's token."""
        registry, viewer = self.parts.registry, self.viewer
        flash = self.parts.cookies.get(request, _FLASH) if viewer else None
        defaults: dict[str, Any] = {
            "asset": self.addresses.asset,
            "can_act": viewer is not None and viewer.may_act,
            "current": "",
            "flash": flash,
            "has_page": registry.pages.__contains__,
            "has_login": viewer is not None and self.parts.access.has_login,
            "lines": (),
            "live": None,
            "navigation": [page for page in registry.pages.values() if page.order],
            "query": {},
            "root": self.root,
            "slug": "",
            "theme": _theme(),
            "url": self.addresses.url,
            "action": self.addresses.action,
            "viewer": viewer,
        }
        text = self.parts.templates.page(template, defaults | words)
        response = self._with_token(text, status)
        if flash and not self.wants_part:
            self.parts.cookies.delete(response, _FLASH, self.root)
        return response

    def tell_next_page(self, response: Response, kind: str, text: str) -> None:
        """Have the next page show a sentence, once."""
        words = [kind, text]
        self.parts.cookies.set(request, response, _FLASH, words, self.root)

    def place(self, address: str | None) -> str:
        """Return an address if it is one of ours, else that of the first page."""
        try:
            split = urlsplit(address or "")
        except ValueError:
            return self.root
        path = split.path
        is_ours = path.startswith(self.root) and "\\" not in path and "//" not in path
        if not is_ours or path.startswith(f"{self.root}actions/"):
            return self.root
        return f"{path}?{split.query}" if split.query else path

    def _with_token(self, text: str, status: int) -> Response:
        if self.viewer is None and "csrf" not in text:
            return Response(text, status)
        fresh = self.parts.csrf.new_value(request)
        html = self.parts.csrf.fill(request, text, fresh=fresh)
        response = Response(html, status)
        if fresh:
            self.parts.csrf.remember(request, response, fresh, self.root)
        return response


def _theme() -> str:
    chosen = request.cookies.get("worker_lib_theme", "")
    return chosen if chosen in _THEMES else ""
