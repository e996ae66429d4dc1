"""Keeps out forms that another site sends in the name of a person.

Browsers say in `Sec-Fetch-Site` where a request comes from, and no page can set that.
They leave it out over plain HTTP to other computers; then the form has to hold a token
that is signed for this browser's cookie.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from werkzeug.exceptions import Forbidden

from worker_lib.dashboard.cookies import SESSION_SECONDS
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from flask import Request, Response

    from worker_lib.dashboard.cookies import Cookies

__all__ = ["FIELD", "MARK", "Csrf"]

log = get_logger("dashboard")

FIELD = "csrf_token"
MARK = secrets.token_hex(24)
"""Stands for the token in rendered pages, since many viewers share a rendering."""

_COOKIE = "csrf"


class Csrf:
    """Makes and checks the tokens of forms."""

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies

    def fill(self, request: Request, html: str, *, fresh: str = "") -> str:
        """Return a rendering with this browser's token where `MARK` is.

        Args:
            fresh: The value of a cookie that is about to be set.
        """
        if MARK not in html:
            return html
        value = fresh or str(self._cookies.get(request, _COOKIE) or "")
        return html.replace(MARK, self._cookies.signed(FIELD, value) if value else "")

    def new_value(self, request: Request) -> str:
        """Return a value for this browser's cookie, or "" if it has one."""
        has_one = self._cookies.get(request, _COOKIE) is not None
        return "" if has_one else secrets.token_urlsafe(16)

    def remember(
        self, request: Request, response: Response, value: str, path: str
    ) -> None:
        """Have the browser keep its value."""
        self._cookies.set(request, response, _COOKIE, value, path)

    def check(self, request: Request) -> None:
        """End a request that is not from a page of ours.

        Raises:
            Forbidden: as HTTP 403.
        """
        site = request.headers.get("Sec-Fetch-Site")
        trusted = site == "same-origin" if site else self._has_token(request)
        if not trusted:
            log.warning(
                "dashboard_form_refused", extra={"path": request.path, "site": site}
            )
            raise Forbidden(
                "This form did not come from a page of the dashboard. Open the page "
                "again and repeat what you did."
            )

    def _has_token(self, request: Request) -> bool:
        given = request.form.get(FIELD, "")
        signed = self._cookies.verified(FIELD, given, SESSION_SECONDS)
        expected = self._cookies.get(request, _COOKIE)
        if not isinstance(signed, str) or not isinstance(expected, str):
            return False
        return bool(expected) and hmac.compare_digest(signed, expected)
