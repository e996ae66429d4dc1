"""How the values of settings are read, by callers and machines alike.

Machines cannot afford to import `settings`; what they share with it stands here, so
that a value that one side takes is never refused, or read otherwise, by the other.
"""

from __future__ import annotations

from worker_lib.durations import seconds
from worker_lib.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "LEASE_TTL",
    "MAX_LIFETIME",
    "MAX_PAYLOAD_BYTES",
    "MIN_SECRET_BYTES",
    "NAMESPACE",
    "PARSERS",
    "text",
]

LEASE_TTL = 30.0
MAX_LIFETIME = 6 * 3600.0
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
NAMESPACE = "worker_lib"
MIN_SECRET_BYTES = 32
_SCHEMES = ("redis", "rediss", "unix")


def text(value: Any, source: str) -> str:
    """Return any value as text, without the blanks around it."""
    del source
    return str(value).strip()


def _redis_url(value: Any, source: str) -> str:
    url = str(value).strip()
    # Not urlsplit: it refuses some with an error that shows the password.
    if url.partition("://")[0] not in _SCHEMES:
        raise ConfigError(
            f"{source} is no Redis URL: it must start with redis://, rediss:// "
            "or unix://"
        )
    return url


def _secret(value: Any, source: str) -> str:
    secret = str(value)
    size = len(secret.encode())
    if size < MIN_SECRET_BYTES:
        raise ConfigError(
            f"{source} is {size} bytes long, which is too easy to guess: use "
            f"{MIN_SECRET_BYTES} or more (openssl rand -hex 32)"
        )
    return secret


def _namespace(value: Any, source: str) -> str:
    name = str(value).strip()
    bare = name.replace("_", "").replace("-", "")
    if not (bare.isalnum() and bare.isascii()):
        raise ConfigError(
            f"{source}={name!r}: use letters, digits, '-' and '_' (it starts every "
            "Redis key)"
        )
    return name


def _choice(*names: str) -> Callable[[Any, str], str]:
    def parse(value: Any, source: str) -> str:
        chosen = str(value).strip()
        if chosen not in names:
            raise ConfigError(f"{source}={chosen!r}: use {' or '.join(names)}")
        return chosen

    return parse


def _whole(low: int) -> Callable[[Any, str], int]:
    def parse(value: Any, source: str) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        if number < low or (isinstance(value, float) and number != value):
            raise ConfigError(f"{source}={value!r}: use a whole number from {low}")
        return number

    return parse


def _duration(low: float) -> Callable[[Any, str], float]:
    def parse(value: Any, source: str) -> float:
        length = seconds(value, source)
        if length < low:
            raise ConfigError(f"{source}={value!r}: it must be {low:g} s or more")
        return length

    return parse


PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "redis_url": _redis_url,
    "secret": _secret,
    "old_secret": _secret,
    "namespace": _namespace,
    "max_machines": _whole(1),
    "max_payload_bytes": _whole(256 * 1024),
    "result_ttl": _duration(1),
    "pending_ttl": _duration(60),
    "lease_ttl": _duration(0.2),
    "boot_timeout": _duration(1),
    "max_lifetime": _duration(1),
    "max_generations": _whole(1),
    "nested_rate": _whole(1),
    "local_stay": _duration(0),
    "runtime": _choice("process", "docker", "docker-unconfined"),
}
