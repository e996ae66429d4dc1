"""Checks of what people write: variables, options and words of a command line.

A check takes a value and its source (the variable or option, for the error), and
returns the value in its clean form or raises `ConfigError`. Callers and machines use
the same ones, so that a value that one side takes is never refused, or read
otherwise, by the other. Machines load this module before their first claim: it must
not import `typing` or `dataclasses` at run time.
"""

from __future__ import annotations

from worker_lib.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    Check: TypeAlias = Callable[[Any, str], T]

__all__ = [
    "LEASE_TTL",
    "MAX_LIFETIME",
    "MAX_OUTPUT_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MIN_SECRET_BYTES",
    "NAMESPACE",
    "SETTINGS",
    "choice",
    "duration",
    "optional",
    "plain_name",
    "seconds",
    "stripped",
    "text",
    "unknown_name",
    "whole",
]

LEASE_TTL = 30.0
MAX_LIFETIME = 6 * 3600.0
MAX_OUTPUT_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
NAMESPACE = "worker_lib"
MIN_SECRET_BYTES = 32
_MIN_TOKEN = 16
_SCHEMES = ("redis", "rediss", "unix")
# Beyond it, an int is no float any more; a float that large is no duration either.
_LARGEST = 1e300
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def unknown_name(what: str, name: str, known: Iterable[str]) -> Problem:
    """Return the problem with `name`; its remedy is the nearest known name, or all."""
    remedy = _nearest(name, sorted(known), "known are {}", ", ")
    return Problem(f"unknown {what} {name!r}", remedy, name)


def whole(low: int, high: int | None = None, *, from_text: bool = False) -> Check[int]:
    """Return a check for whole numbers.

    Args:
        low: The smallest that is allowed.
        high: The largest; None for no limit.
        from_text: Take a number written as text too, as in an environment.
    """
    allowed = f"from {low}" if high is None else f"from {low} to {high}"

    def check(value: Any, source: str) -> int:
        number: Any = value
        if from_text and isinstance(value, str):
            number = _number(value)
        is_number = isinstance(number, int) and not isinstance(number, bool)
        if not is_number or number < low or (high is not None and number > high):
            raise _refused(value, source, f"use a whole number {allowed}")
        return int(number)

    return check


def duration(low: float) -> Check[float]:
    """Return a check for durations of `low` seconds or more; it returns seconds."""

    def check(value: Any, source: str) -> float:
        length = seconds(value, source)
        if length < low:
            raise _refused(value, source, f"it must be {low:g} s or more")
        return length

    return check


def choice(*names: str) -> Check[str]:
    """Return a check for one of a few names."""

    def check(value: Any, source: str) -> str:
        chosen = str(value).strip()
        if chosen not in names:
            raise _refused(value, source, _nearest(chosen, names, "use {}", " or "))
        return chosen

    return check


def text(example: str) -> Check[str]:
    """Return a check for text; `example` shows in the error what was expected."""

    def check(value: Any, source: str) -> str:
        if not isinstance(value, str):
            raise _refused(value, source, f"use {example}")
        return value

    return check


def plain_name(purpose: str) -> Check[str]:
    """Return a check for names of ASCII letters, digits, `-` and `_`.

    Args:
        purpose: What the name is for; the error says it.
    """

    def check(value: Any, source: str) -> str:
        name = str(value).strip()
        bare = name.replace("_", "").replace("-", "")
        if not (bare.isalnum() and bare.isascii()):
            remedy = f"use letters, digits, '-' and '_' ({purpose})"
            raise _refused(name, source, remedy)
        return name

    return check


def optional(check: Check[T]) -> Check[T | None]:
    """Return a check that lets None pass, and leaves the rest to `check`."""
    return lambda value, source: None if value is None else check(value, source)


def stripped(value: Any, source: str) -> str:
    """Return any value as text, without spaces around it."""
    del source
    return str(value).strip()


def seconds(value: float | str | timedelta, source: str) -> float:
    """Return a duration in seconds.

    Args:
        value: Seconds as a number, a number with a unit (`"30s"`, `"10m"`, `"2h"`,
            `"1d"`, `"50ms"`), or a `timedelta`.
        source: What is being set, for the error.

    Raises:
        ConfigError: it is no duration, is negative, or is not finite.
    """
    length = _length(value)
    if length is None or not 0 <= length < float("inf"):
        remedy = 'write seconds as a number, or "30s", "10m", "2h", "1d"'
        raise ConfigError(
            Problem(f"{source}={value!r} is not a duration", remedy, source)
        )
    return length


def _refused(value: object, source: str, remedy: str) -> ConfigError:
    return ConfigError(Problem(f"{source}={value!r}", remedy, source))


def _nearest(name: str, known: Sequence[str], otherwise: str, joint: str) -> str:
    """Return the remedy for a wrong name: the nearest known one, or all of them."""
    import difflib  # noqa: PLC0415 - only on the way to an error

    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    return otherwise.format(joint.join(known))


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _length(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < _LARGEST else None
    if isinstance(value, str):
        return _length_of_text(value.strip().lower())
    total = getattr(value, "total_seconds", None)
    return float(total()) if total is not None else None


def _length_of_text(text: str) -> float | None:
    number = text.rstrip("smhd")
    unit = text[len(number) :] or "s"
    try:
        return float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        return None


def _redis_url(value: Any, source: str) -> str:
    url = str(value).strip()
    # Not urlsplit: it refuses some with an error that shows the password.
    if url.partition("://")[0] not in _SCHEMES:
        remedy = "it must start with redis://, rediss:// or unix://"
        raise ConfigError(Problem(f"{source} is no Redis URL", remedy, source))
    return url


def _secret(value: Any, source: str) -> str:
    secret = str(value)
    size = len(secret.encode())
    if size < MIN_SECRET_BYTES:
        problem = f"{source} is {size} bytes long, which is too easy to guess"
        remedy = f"use {MIN_SECRET_BYTES} or more (openssl rand -hex 32)"
        raise ConfigError(Problem(problem, remedy, source))
    return secret


def _token(value: Any, source: str) -> str:
    token = str(value).strip()
    if len(token) < _MIN_TOKEN:
        problem = f"{source} is too short, so it can be guessed"
        remedy = f"use {_MIN_TOKEN} characters or more (openssl rand -hex 32)"
        raise ConfigError(Problem(problem, remedy, source))
    return token


SETTINGS: dict[str, Check[Any]] = {
    "redis_url": _redis_url,
    "secret": _secret,
    "old_secret": _secret,
    "metrics_token": _token,
    "namespace": plain_name("it starts every Redis key"),
    "max_machines": whole(1, from_text=True),
    "park": whole(0, from_text=True),
    "max_payload_bytes": whole(256 * 1024, from_text=True),
    "max_output_bytes": whole(0, from_text=True),
    "result_ttl": duration(1),
    "pending_ttl": duration(60),
    "lease_ttl": duration(0.2),
    "boot_timeout": duration(1),
    "max_lifetime": duration(1),
    "max_generations": whole(1, from_text=True),
    "nested_rate": whole(1, from_text=True),
    "local_stay": duration(0),
    "previews": choice("on", "off"),
    "runtime": choice("process", "docker", "docker-unconfined"),
}
"""How each setting is checked; those that are not here are any text."""
