"""Durations as people write them: `30`, `"30s"`, `"10m"`, `"2h"`, `"1d"`, timedelta."""

from __future__ import annotations

from worker_lib.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["seconds"]

# Beyond it, an int is no float any more; a float that large is no duration either.
_MOST = 1e300
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: float | str | timedelta, option: str) -> float:
    """Return `value` in seconds.

    Args:
        value: Seconds as a number, a number with a unit, or a `timedelta`.
        option: What is being set, for the error message.

    Raises:
        ConfigError: it is no duration, is negative, or is not finite.
    """
    parsed = _parse(value)
    if parsed is None or not 0 <= parsed < float("inf"):
        raise ConfigError(
            f"{option}={value!r} is not a duration: write seconds as a number, "
            'or "30s", "10m", "2h", "1d"'
        )
    return parsed


def _parse(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < _MOST else None
    if isinstance(value, str):
        return _parse_text(value.strip().lower())
    total = getattr(value, "total_seconds", None)
    return float(total()) if total is not None else None


def _parse_text(text: str) -> float | None:
    number = text.rstrip("smhd")
    unit = text[len(number) :] or "s"
    try:
        return float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        return None
