"""Headers that keep a browser from running or keeping what it should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Response

__all__ = ["add_security_headers"]

_OWN = ("script-src", "style-src", "img-src", "connect-src", "form-action")
_NONE = ("default-src", "base-uri", "frame-ancestors")
_POLICY = "; ".join(
    [f"{what} 'none'" for what in _NONE] + [f"{what} 'self'" for what in _OWN]
)


def add_security_headers(response: Response) -> Response:
    """Let a page load our own script and style, and nothing else from anywhere."""
    headers = response.headers
    headers["Content-Security-Policy"] = _POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers.setdefault("Cache-Control", "no-store")
    return response
