"""Keeps out forged requests, those for other hosts, and clients that ask too much."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, request, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response

__all__ = [
    "RateLimit",
    "add_security_headers",
    "csrf_token",
    "refuse_forged",
    "refuse_other_hosts",
]

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

    def take(self, client: str) -> float:
        """Count one request; return 0.0 if it may pass.

        Otherwise return the seconds until one may. A refused request is not counted.
        """
        now = self._clock()
        with self._lock:
            times = self._seen.setdefault(client, deque())
            self._seen.move_to_end(client)
            if len(self._seen) > _MAX_CLIENTS:
                self._seen.popitem(last=False)
            while times and times[0] <= now - self._window:
                times.popleft()
            if len(times) >= self._limit:
                return times[0] + self._window - now
            times.append(now)
            return 0.0


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


def refuse_other_hosts(hosts: frozenset[str]) -> None:
    """End a request that is for a host which is not ours.

    A page of another site may have its own name lead to this computer (DNS rebinding),
    and would then be of the same origin as we are. The health check is let through:
    Fly's asks by the machine's address, and the answer tells nothing.
    """
    if request.endpoint != "pages.healthz" and _name_of(request.host) not in hosts:
        abort(421)


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
    if request.endpoint != "static":
        # Pages hold what is one visitor's own.
        response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = "; ".join(policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port; "" if it makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
