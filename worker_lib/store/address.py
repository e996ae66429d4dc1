"""What a `REDIS_URL` says, read as redis-py reads it."""

from __future__ import annotations

from worker_lib.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from worker_lib.records import NamedTuple

__all__ = ["Address", "parse"]

_UNREADABLE = Problem(
    "REDIS_URL cannot be read",
    "write redis://user:password@host:port/0 (rediss:// for TLS), with %-escapes for "
    "special characters of the password, or unix:///path",
    "REDIS_URL",
)


class Address(NamedTuple):
    """Where Redis is, and what to say first.

    Attributes:
        scheme: `redis`, `rediss` or `unix`.
        path: Of the socket, with `unix`.
        host: Else.
        port: The same.
        greeting: The commands that log in and choose the database.
    """

    scheme: str
    path: str
    host: str
    port: int
    greeting: tuple[tuple[str, ...], ...]

    @property
    def place(self) -> str:
        """Host and port, or path: what errors may show."""
        return self.path or f"{self.host}:{self.port}"


def parse(url: str) -> Address:
    """Return what a URL says.

    Raises:
        ConfigError: it cannot be read; the message shows nothing of it, since it may
            hold a password.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix"}:
        raise ConfigError(_UNREADABLE)
    try:
        return _unix(rest) if scheme == "unix" else _network(scheme, rest)
    except ValueError:
        raise ConfigError(_UNREADABLE) from None


def _network(scheme: str, rest: str) -> Address:
    place, _, query = rest.partition("?")
    where, _, path = place.partition("/")
    login, _, host_port = where.rpartition("@")
    host, port = _host_and_port(host_port)
    greeting = _greeting(login, _database(query) or path.strip("/"))
    return Address(scheme, "", host, port, greeting)


def _unix(rest: str) -> Address:
    path, _, query = rest.partition("?")
    before, slash, tail = path.partition("/")
    login, _, start = before.rpartition("@")
    path = _unquote(start + slash + tail)
    return Address("unix", path, "", 0, _greeting(login, _database(query)))


def _database(query: str) -> str:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "db":
            return value
    return ""


def _host_and_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = text.partition(":")
    number = int(port or 6379)
    if not 0 < number < 65536:
        raise ValueError(number)
    return host or "localhost", number


def _greeting(login: str, database: str) -> tuple[tuple[str, ...], ...]:
    user, _, password = login.partition(":")
    commands: list[tuple[str, ...]] = []
    if password:
        words = (user, password) if user else (password,)
        commands.append(("AUTH", *map(_unquote, words)))
    if database not in {"", "0"}:
        commands.append(("SELECT", str(int(database))))
    return tuple(commands)


def _unquote(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415 - few passwords need it

    return unquote(text)
