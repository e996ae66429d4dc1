"""Go durations and signals, in every form that Fly's clients send."""

from __future__ import annotations

import re
import signal
from decimal import Decimal

from worker_lib.emulator.messages import ApiError, invalid_argument

_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # the Greek letter; Go reads both
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_LARGEST = 2**63 - 1
_SHOWN = 40

_NAMES = (
    *("SIGABRT", "SIGALRM", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGKILL"),
    *("SIGPIPE", "SIGQUIT", "SIGSEGV", "SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2"),
)
SIGNALS = {name: int(getattr(signal, name)) for name in _NAMES}
"""Source: the OpenAPI file, `SignalRequest.signal`."""


def nanoseconds(value: object) -> int:
    """The nanoseconds in a Go duration: `"1m30s"`, or a number of nanoseconds.

    Raises:
        ApiError: 400, neither of the two; the text is that of Go's
            `time.ParseDuration`.

    Source: fly-go, duration.go (reads both, writes strings).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise invalid_argument("must be a duration such as 1m30s")
    if isinstance(value, str):
        found = _parsed(value)
    else:
        found = int(value) if abs(value) <= _LARGEST else _LARGEST + 1
    if abs(found) > _LARGEST:
        raise _not_a_duration(str(value))
    return found


def seconds(value: object) -> float:
    """The seconds in a Go duration; raises as `nanoseconds` does."""
    return nanoseconds(value) / _SECOND


def go_duration(value: int) -> str:
    """Nanoseconds as Go prints them: `"1m30s"`, `"1h0m0s"`, `"500ms"`, `"0s"`."""
    sign, rest = ("-" if value < 0 else ""), abs(value)
    if rest < _SECOND:
        unit = next(u for u in ("ms", "µs", "ns") if rest >= _UNITS[u] or u == "ns")
        return f"{sign}{_decimal(rest, _UNITS[unit])}{unit if rest else 's'}"
    minutes, rest = divmod(rest, 60 * _SECOND)
    hours, minutes_left = divmod(minutes, 60)
    text = f"{_decimal(rest, _SECOND)}s"
    if minutes:
        text = f"{minutes_left}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _parsed(text: str) -> int:
    rest = text[1:] if text[:1] in ("+", "-") else text
    parts = _PART.findall(rest)
    if rest == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise _not_a_duration(text)
    total = 0
    for number, unit in parts:
        if not unit:
            raise _not_a_duration(text, "missing unit in duration")
        if unit not in _UNITS:
            unknown = f'unknown unit "{unit[:_SHOWN]}" in duration'
            raise _not_a_duration(text, unknown)
        total += int(Decimal(number) * _UNITS[unit])
    return -total if text.startswith("-") else total


def _not_a_duration(text: str, why: str = "invalid duration") -> ApiError:
    return invalid_argument(f'time: {why} "{text[:_SHOWN]}"')


def _decimal(value: int, unit: int) -> str:
    """A number of units, without zeros at the end of its fraction."""
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def signal_number(value: object) -> int:
    """The number of a signal given by number, digits, `"SIGTERM"` or `"TERM"`.

    Raises:
        ApiError: 400, not one of Fly's fourteen signals.

    Source: the OpenAPI file gives names; fly-go, machine_types.go, sends integers.
    """
    text = str(value).upper() if type(value) in (int, str) else ""
    numbers = {str(number): number for number in SIGNALS.values()}
    found = SIGNALS.get(text) or SIGNALS.get(f"SIG{text}") or numbers.get(text)
    if found is None:
        names = ", ".join(SIGNALS)
        raise invalid_argument(
            f"unknown signal {str(value)[:_SHOWN]!r}; valid are {names}"
        )
    return found
