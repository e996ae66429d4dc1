"""How numbers, times and money are written on pages."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from worker_lib.dashboard import charts

__all__ = ["FILTERS", "NOTHING", "ago", "duration", "epoch", "exact", "iso"]

NOTHING = "\u2013"  # a dash
_DAY = 86400.0
_UNITS = ((_DAY, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
_BYTES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))
_CENT = 0.01


def epoch(when: float | str | datetime) -> float:
    """Return seconds since the epoch, of those or of a time in ISO 8601."""
    if isinstance(when, datetime):
        return when.timestamp()
    return datetime.fromisoformat(when).timestamp() if isinstance(when, str) else when


def iso(when: float | str | datetime) -> str:
    """Return a time in ISO 8601, in UTC, to the second."""
    at = datetime.fromtimestamp(epoch(when), UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def exact(when: float | str | datetime) -> str:
    """Return a time as people read it: `2026-11-22 14:03:07 UTC`."""
    return datetime.fromtimestamp(epoch(when), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(when: float | str | datetime, step: float = 60.0) -> str:
    """Return a time for an axis: with the day if steps are hours."""
    shape = "%d %b %H:%M" if step >= 3600 else "%H:%M"
    return datetime.fromtimestamp(epoch(when), UTC).strftime(shape)


def ago(when: float | str | datetime) -> str:
    """Return how long ago a time was, or in how long it comes, as a person says it."""
    seconds = time.time() - epoch(when)
    if abs(seconds) < 1.0:
        return "now"
    text = _rough(abs(seconds))
    return f"{text} ago" if seconds > 0 else f"in {text}"


def duration(seconds: float | None) -> str:
    """Return a length of time with about three digits, as `850 ms` or `2 m 03 s`."""
    if seconds is None:
        return NOTHING
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return _two_units(seconds)


def money(usd: float | None) -> str:
    """Return dollars, with as many digits as a machine of some seconds needs."""
    if usd is None:
        return NOTHING
    if usd == 0:
        return "$0"
    if abs(usd) >= 1000:
        return f"${usd:,.0f}"
    if abs(usd) >= _CENT:
        return f"${usd:.2f}"
    return f"${usd:.4f}" if abs(usd) >= 0.0001 else "< $0.0001"


def compact(number: float | None) -> str:
    """Return a count: exact up to 9,999, then as `12.3k`."""
    if number is None:
        return NOTHING
    for size, unit in _THOUSANDS:
        if abs(number) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{number / scale:.3g}{unit}"
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as `1 machine` or `2 machines`."""
    return f"{compact(number)} {noun}{'' if number == 1 else 's'}"


def percent(share: float | None) -> str:
    """Return a share of 1 as `99.5 %`."""
    if share is None:
        return NOTHING
    digits = 0 if share in {0.0, 1.0} else 1
    return f"{share * 100:.{digits}f} %"


def size(count: float | None) -> str:
    """Return a number of bytes, as `12.3 MB`."""
    if count is None:
        return NOTHING
    for unit_size, unit in _BYTES:
        if count >= unit_size:
            return f"{count / unit_size:.3g} {unit}"
    return f"{count:.0f} B"


def _rough(seconds: float) -> str:
    unit_size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{seconds // unit_size:.0f} {unit}"


def _two_units(seconds: float) -> str:
    left = round(seconds)
    for (large, name), (small, small_name) in itertools.pairwise(_UNITS):
        if left >= large:
            whole, rest = divmod(left, int(large))
            return f"{whole} {name} {rest // int(small):02d} {small_name}"
    return f"{left} s"


def since(when: float | str | datetime) -> str:
    """Return how long something has gone on that began at a time."""
    return duration(max(0.0, float(int(time.time() - epoch(when)))))


def part(value: Any, name: str) -> Any:
    """Return one field of a record; None of none."""
    return None if value is None else value[name]


FILTERS: dict[str, Any] = {
    "ago": ago,
    "chart_rows": charts.rows,
    "clock": clock,
    "compact": compact,
    "counted": counted,
    "duration": duration,
    "epoch": epoch,
    "exact": exact,
    "iso": iso,
    "marks": charts.marks,
    "money": money,
    "part": part,
    "percent": percent,
    "since": since,
    "size": size,
}
