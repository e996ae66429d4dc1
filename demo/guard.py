"""Keeps out requests that another site forged, and clients that ask too much."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from flask import abort, request, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response

__all__ = ["RateLimit", "add_security_headers", "csrf_token", "refuse_forged"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_PAGE = frozenset({"same-origin", "none"})
_MAX_CLIENTS = 10_000


class RateLimit:
    """At most `limit` times within `window` seconds for each client, in this process.

    Clients are forgotten, longest silent first, once there are more than 10,000.
    """

    def __init__(
        self, limit: int, window: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Count one request and say whether it may pass; a refused one is free."""
        now = self._clock()
        with self._lock:
            times = self._seen.setdefault(client, deque())
            self._seen.move_to_end(client)
            if len(self._seen) > _MAX_CLIENTS:
                self._seen.popitem(last=False)
            while times and times[0] <= now - self._window:
                times.popleft()
            if len(times) >= self._limit:
                return False
            times.append(now)
            return True


def csrf_token() -> str:
    """Return this browser's token for forms, kept in its signed cookie."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def refuse_forged() -> None:
    """End a request that would change something and is not from a page of ours.

    Browsers say so in `Sec-Fetch-Site`, which no page can set; whoever does not send
    it must send the token of its cookie.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        trusted = site in _OWN_PAGE
    else:
        expected = str(session.get("csrf", ""))
        given = request.form.get("csrf_token", "")
        trusted = bool(expected) and secrets.compare_digest(
            expected.encode(), given.encode()
        )
    if not trusted:
        abort(403)


def add_security_headers(response: Response, files_origin: str) -> Response:
    """Let a page load our own script and style, and pictures from the bucket."""
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        f"img-src 'self' {files_origin}".rstrip(),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    response.headers["Content-Security-Policy"] = "; ".join(policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
