"""Checks of the settings that need neither Redis nor Fly."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from worker_lib.doctor.findings import Finding, failed, from_error, ok, warning
from worker_lib.errors import ConfigError
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker_lib.errors import Problem

__all__ = ["check_secret_strength", "check_url", "load"]

_OURS = ("REDIS_URL", "FLY_", "WORKER_")
_ON_MACHINE = "WORKER_LIB_SLOT"
_NEW_SECRET = "make one with: openssl rand -hex 32"  # noqa: S105 - how to make one
_FEWEST_CHARACTERS = 8
# The callers' client of Redis reads them, the machines' own one does not.
_UNREAD = "of the options only db= is read"


def load(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Return the settings of `environ`, and every problem with them.

    Wrong values are left out of the settings, so that the rest can be checked.
    """
    given = {name: value for name, value in environ.items() if name.startswith(_OURS)}
    problems = _problems_of(lambda: Settings.load(given))
    wrong = {one.source for one in problems}
    settings = Settings.load(
        {name: value for name, value in given.items() if name not in wrong}
    )
    if not settings.local:
        missing = _problems_of(settings.require_remote)
        if _ON_MACHINE not in environ:  # machines need no token
            missing += _problems_of(settings.require_machines)
        # Wrong values are among the problems already.
        problems += [one for one in missing if one.source not in wrong]
    if not problems:
        where = "local stack" if settings.local else f"app {settings.fly_app!r}"
        text = f"loaded ({where}, namespace {settings.namespace!r})"
        return settings, [ok("settings", text)]
    return settings, list(from_error("settings", ConfigError(*problems)))


def check_secret_strength(secret: str) -> Finding:
    """Check whether a secret that is long enough repeats itself."""
    name, size = "secret strength", len(secret.encode())
    if _is_repetition(secret):
        return failed(name, "WORKER_LIB_SECRET repeats one short text", _NEW_SECRET)
    kinds = len(set(secret))
    if kinds < _FEWEST_CHARACTERS:
        text = f"WORKER_LIB_SECRET has only {kinds} different characters"
        return failed(name, text, _NEW_SECRET)
    return ok(name, f"{size} bytes, no repetition")


def check_url(url: str) -> Finding:
    """Check that REDIS_URL means the same here and on a machine."""
    name = "redis url"
    try:
        parts = urlsplit(url)
        options, host = parse_qs(parts.query), parts.hostname or ""
        _ = parts.port
    except ValueError:
        return failed(
            name,
            "REDIS_URL cannot be read",
            "write it as redis://user:password@host:port and escape special "
            "characters of the password (%40 for @)",
        )
    if parts.scheme == "unix":
        return ok(name, "a unix socket of this computer")
    return _check_transport(name, parts.scheme, host, options, bool(parts.password))


def _check_transport(
    name: str, scheme: str, host: str, options: Mapping[str, list[str]], secret: bool
) -> Finding:
    if "ssl_cert_reqs" in options:
        text = f"ssl_cert_reqs is set, and {_UNREAD}: certificates are checked"
        return warning(name, text, "use a certificate signed by a known authority")
    if scheme == "rediss" and host.startswith("fly-") and host.endswith(".upstash.io"):
        text = "rediss:// is meant for TLS, which Fly's own Redis does not offer"
        return warning(name, text, "use redis://: its network is private and encrypted")
    if scheme == "redis" and secret and not _is_private(host):
        text = f"the password goes to {host} unencrypted"
        return warning(name, text, "use rediss:// if the server offers TLS")
    unread = sorted(options.keys() - {"db"})
    if unread:
        text = f"it has {', '.join(unread)}, and {_UNREAD}"
        return warning(name, text, "leave them out")
    return ok(name, f"{scheme}:// to {host or 'localhost'}")


def _is_private(host: str) -> bool:
    """Whether traffic to `host` stays on this computer or in Fly's network."""
    if host in ("", "localhost", "127.0.0.1", "::1") or host.endswith(".internal"):
        return True
    return host.startswith("fly-") and host.endswith(".upstash.io")


def _is_repetition(text: str) -> bool:
    """Whether `text` is one shorter text, repeated."""
    return text in (text + text)[1:-1]


def _problems_of(check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except ConfigError as error:
        return list(error.problems)
    return []
