"""Cookies of the dashboard's own, signed, and apart from those of the app around it.

The app may have no key for sessions, or share one with others. So the key is made from
`WORKER_LIB_SECRET`, which every process of the app has.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from itsdangerous import BadData, URLSafeTimedSerializer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request, Response

__all__ = ["SESSION_SECONDS", "Cookies"]

SESSION_SECONDS = 12 * 3600
_PURPOSE = b"worker_lib dashboard:"
_NAME = "worker_lib_{}"


class Cookies:
    """Signs and verifies small values, each for one purpose.

    Args:
        secret: Returns the secret that the key is made from; called on first use.
        bound_to: Returns what else ends all cookies when it changes: the passwords.
    """

    def __init__(self, secret: Callable[[], str], bound_to: Callable[[], str]) -> None:
        self._secret = secret
        self._bound_to = bound_to
        self._key = b""

    def signed(self, purpose: str, value: Any) -> str:
        """Return `value` (as JSON has them) signed, as text for a cookie or a form."""
        return str(self._serializer(purpose).dumps(value))

    def verified(self, purpose: str, text: str, max_age: float) -> Any:
        """Return what was signed for this purpose; None if it is forged or too old."""
        try:
            return self._serializer(purpose).loads(text, max_age=int(max_age))
        except BadData:
            return None

    def get(self, request: Request, name: str) -> Any:
        """Return the value of a cookie that this browser was given; None for none."""
        text = request.cookies.get(_NAME.format(name), "")
        return self.verified(name, text, SESSION_SECONDS) if text else None

    def set(
        self, request: Request, response: Response, name: str, value: Any, path: str
    ) -> None:
        """Have the browser keep `value` until it is closed, 12 hours at most."""
        response.set_cookie(
            _NAME.format(name),
            self.signed(name, value),
            path=path,
            httponly=True,
            secure=request.is_secure
            or request.headers.get("X-Forwarded-Proto") == "https",
            samesite="Lax",
        )

    def delete(self, response: Response, name: str, path: str) -> None:
        """Have the browser forget a cookie."""
        response.delete_cookie(_NAME.format(name), path=path)

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        if not self._key:
            message = _PURPOSE + self._bound_to().encode()
            self._key = hmac.digest(self._secret().encode(), message, "sha256")
        return URLSafeTimedSerializer(self._key, salt=purpose)
