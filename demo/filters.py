"""Numbers as people read them, for the templates."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

__all__ = [
    "ago",
    "clock",
    "countdown",
    "moment",
    "seconds",
    "size",
    "time_of_day",
    "usd",
]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_JUST_NOW = 5
_MINUTE = 60
_KB, _MB = 1000, 1_000_000


def ago(when: float) -> str:
    """Return how long ago that was: `just now`, `40 s ago`, `3 h ago`."""
    passed = time.time() - when
    if passed < _JUST_NOW:
        return "just now"
    for length, unit in _UNITS:
        if passed >= length:
            return f"{passed // length:.0f} {unit} ago"
    return f"{passed:.0f} s ago"


def moment(when: float) -> str:
    """Return a time in ISO format, in UTC, to the second."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def clock(length: float) -> str:
    """Return a length of time that goes on, as the page's script writes it."""
    if length < _MINUTE:
        return f"{length:.1f} s"
    minutes, rest = divmod(int(length), _MINUTE)
    return f"{minutes} min {rest:02} s"


def countdown(length: float) -> str:
    """Return the time until something, as the page's script writes it."""
    return f"{math.ceil(length)} s" if length < _MINUTE else clock(length)


def time_of_day(when: float) -> str:
    """Return a time of day in UTC, to the second."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S")


def usd(amount: float) -> str:
    """Return US dollars with two digits that count, however small the amount is."""
    if amount <= 0:
        return "$0"
    digits = max(2, 1 - math.floor(math.log10(amount)))
    return f"${amount:.{digits}f}"


def seconds(length: float | None) -> str:
    """Return a length of time with two decimals, or a hyphen for None."""
    return "-" if length is None else f"{length:.2f}\N{NO-BREAK SPACE}s"


def size(count: int) -> str:
    """Return a number of bytes in kB or MB."""
    if count < _MB:
        return f"{count / _KB:.1f} kB"
    return f"{count / _MB:.1f} MB"
