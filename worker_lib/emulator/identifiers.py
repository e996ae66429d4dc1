"""Identifiers as Fly makes them.

Source: "Machines API", Machine properties (id of 14 hexadecimal digits); the
OpenAPI file, `wait` (versions and event ids are 26-character ULIDs).
"""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


def machine_id() -> str:
    """A new machine id: 14 hexadecimal digits."""
    return secrets.token_hex(7)


class UlidSource:
    """Makes ULIDs in strictly ascending order, even within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> str:
        """The next ULID: 26 characters of Crockford's base 32."""
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS
        fresh |= secrets.randbits(_RANDOM_BITS)
        with self._lock:
            self._last = max(fresh, self._last + 1)
            value = self._last
        return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


ulid = UlidSource()
