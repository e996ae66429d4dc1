"""Durations and signals in every form that Fly's clients send them."""

from __future__ import annotations

import re
import signal
from decimal import Decimal

from worker_lib.emulator.messages import ApiError

_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # the Greek letter: Go reads both
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_DURATION = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)[^0-9.]+)+")
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]+)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_LARGEST = 2**63 - 1
_SHOWN = 40

SIGNALS = {
    name: getattr(signal, name)
    for name in (
        *("SIGABRT", "SIGALRM", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGKILL"),
        *("SIGPIPE", "SIGQUIT", "SIGSEGV", "SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2"),
    )
}
"""Source: the OpenAPI file, `SignalRequest.signal`."""


def nanoseconds(value: object) -> int:
    """The nanoseconds in a Go duration: `"1m30s"`, or a number of nanoseconds.

    Raises:
        ApiError: 400, neither of the two; the text is that of Go's
            `time.ParseDuration`.

    Source: fly-go, duration.go (reads both, writes strings).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ApiError(400, "invalid_argument: must be a duration such as 1m30s")
    if isinstance(value, str):
        found = _parsed(value)
    else:
        found = int(value) if abs(value) <= _LARGEST else None
    if found is None or abs(found) > _LARGEST:
        raise _not_a_duration(str(value))
    return found


def seconds(value: object) -> float:
    """The same in seconds."""
    return nanoseconds(value) / _SECOND


def query_seconds(text: str) -> float:
    """The seconds in a query parameter, where a bare number is seconds or more.

    The OpenAPI file calls a bare number of `restart` seconds, while fly-go sends
    nanoseconds there. Fewer than a million nanoseconds make no grace at all, so a
    number below that is seconds.
    """
    if text.isdecimal() and len(text) <= len(str(_LARGEST)):
        number = int(text)
        return number / _SECOND if number >= 1_000_000 else float(number)
    return seconds(text)


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


def _parsed(text: str) -> int | None:
    if text.lstrip("+-") == "0" and len(text) <= 2:
        return 0
    if not _DURATION.fullmatch(text):
        return None
    parts = _PART.findall(text)
    if any(unit not in _UNITS for _, unit in parts):
        return None
    total = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in parts)
    return -total if text.startswith("-") else total


def _not_a_duration(text: str) -> ApiError:
    why = "invalid duration"
    unknown = [unit for _, unit in _PART.findall(text) if unit not in _UNITS]
    if _NUMBER.fullmatch(text):
        why = "missing unit in duration"
    elif _DURATION.fullmatch(text) and unknown:
        why = f'unknown unit "{unknown[0][:_SHOWN]}" in duration'
    return ApiError(400, f'invalid_argument: time: {why} "{text[:_SHOWN]}"')


def _decimal(value: int, unit: int) -> str:
    """A number of units with the digits after the point that it needs."""
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def signal_number(value: object) -> int:
    """The number of a signal given by number, digits, `"SIGTERM"` or `"TERM"`.

    Raises:
        ApiError: 400, not one of Fly's fourteen signals.

    Source: the OpenAPI file gives names; fly-go, machine_types.go, sends integers.
    """
    text = str(value).upper()
    found = SIGNALS.get(text, SIGNALS.get(f"SIG{text}"))
    if (
        isinstance(value, int | str)
        and not isinstance(value, bool)
        and text.isdecimal()
    ):
        found = next((one for one in SIGNALS.values() if str(int(one)) == text), None)
    if found is None:
        names = ", ".join(SIGNALS)
        raise ApiError(
            400,
            f"invalid_argument: unknown signal {str(value)[:_SHOWN]!r}; "
            f"valid are {names}",
        )
    return int(found)
