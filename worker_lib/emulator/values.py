"""Durations and signals in every form that Fly's clients send them."""

from __future__ import annotations

import re
import signal

from worker_lib.emulator.messages import ApiRefusal

_NANOSECOND = 1e-9
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_GO_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")

SIGNALS = {
    name: getattr(signal, name)
    for name in (
        *("SIGABRT", "SIGALRM", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGKILL"),
        *("SIGPIPE", "SIGQUIT", "SIGSEGV", "SIGTERM", "SIGTRAP", "SIGUSR1", "SIGUSR2"),
    )
}
"""Source: the OpenAPI file, `SignalRequest.signal`."""


def seconds(value: object) -> float:
    """The seconds in a Go duration: `"1m30s"`, or a number of nanoseconds.

    Raises:
        ApiRefusal: 400, neither of the two.

    Source: fly-go, duration.go (reads both, writes strings).
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value * _NANOSECOND
    if isinstance(value, str) and _GO_DURATION.fullmatch(value):
        return sum(float(n) * _UNITS[unit] for n, unit in _GO_PART.findall(value))
    raise ApiRefusal(400, f'invalid_argument: time: invalid duration "{value}"')


def query_seconds(text: str) -> float:
    """The seconds in a query parameter, where a bare number is seconds or more.

    The OpenAPI file calls a bare number of `restart` seconds, while fly-go sends
    nanoseconds there. Fewer than a million nanoseconds make no grace at all, so a
    number below that is seconds.
    """
    if text.isdecimal():
        number = int(text)
        return number * _NANOSECOND if number >= 1_000_000 else float(number)
    return seconds(text)


def go_duration(value: float) -> str:
    """Seconds as Fly writes them back: `"10s"`, `"0.5s"`."""
    return f"{value:g}s"


def signal_number(value: object) -> int:
    """The number of a signal given by number, digits, `"SIGTERM"` or `"TERM"`.

    Raises:
        ApiRefusal: 400, not one of Fly's fourteen signals.

    Source: the OpenAPI file gives names; fly-go, machine_types.go, sends integers.
    """
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        found = int(value) if int(value) in SIGNALS.values() else None
    else:
        name = str(value).upper()
        found = SIGNALS.get(name, SIGNALS.get(f"SIG{name}"))
    if found is None:
        names = ", ".join(SIGNALS)
        raise ApiRefusal(
            400, f"invalid_argument: unknown signal {value!r}; valid are {names}"
        )
    return int(found)
