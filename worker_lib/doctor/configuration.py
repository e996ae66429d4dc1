"""What can be said of the settings without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from worker_lib.doctor.findings import Finding, bad, good, poor, refused
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
# What only the calling side's client reads: the machines' own one does not.
_CALLER_ONLY = "machines do not read options of the URL"


def load(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Return what can be loaded of `environ`, and every problem with it.

    What is wrong is left out of the settings, so that the rest can be looked at.
    """
    given = {name: value for name, value in environ.items() if name.startswith(_OURS)}
    problems = _problems_of(lambda: Settings.load(given))
    wrong = {one.source for one in problems}
    settings = Settings.load(
        {name: value for name, value in given.items() if name not in wrong}
    )
    if not settings.local:
        missing = _problems_of(settings.require_remote)
        if _ON_MACHINE not in environ:  # there, no token is as it should be
            missing += _problems_of(settings.require_machines)
        # What is there and wrong was told of already.
        problems += [one for one in missing if one.source not in wrong]
    if not problems:
        where = "local stack" if settings.local else f"app {settings.fly_app!r}"
        text = f"loaded ({where}, namespace {settings.namespace!r})"
        return settings, [good("settings", text)]
    return settings, list(refused("settings", ConfigError(*problems)))


def check_secret_strength(secret: str) -> Finding:
    """Judge a secret that is long enough: does it repeat itself?"""
    name, size = "secret strength", len(secret.encode())
    if _is_repetition(secret):
        return bad(name, "WORKER_LIB_SECRET repeats one short text", _NEW_SECRET)
    kinds = len(set(secret))
    if kinds < _FEWEST_CHARACTERS:
        text = f"WORKER_LIB_SECRET has only {kinds} different characters"
        return bad(name, text, _NEW_SECRET)
    return good(name, f"{size} bytes, no repetition")


def check_url(url: str) -> Finding:
    """Find what in REDIS_URL means one thing here and another on a machine."""
    name = "redis url"
    try:
        parts = urlsplit(url)
        options, host = parse_qs(parts.query), parts.hostname or ""
        _ = parts.port
    except ValueError:
        return bad(
            name,
            "REDIS_URL cannot be read",
            "write it as redis://user:password@host:port and escape what is not a "
            "letter or a digit in the password (%40 for @)",
        )
    if parts.scheme == "unix":
        return good(name, "a unix socket of this computer")
    if "db" in options:
        text = f"the database is given as ?db=, and {_CALLER_ONLY}"
        return bad(name, text, "write it as a path: redis://host:6379/2")
    return _check_transport(name, parts.scheme, host, options, bool(parts.password))


def _check_transport(
    name: str, scheme: str, host: str, options: Mapping[str, list[str]], secret: bool
) -> Finding:
    if "ssl_cert_reqs" in options:
        text = f"ssl_cert_reqs is set, and {_CALLER_ONLY}: they check certificates"
        return poor(name, text, "use a certificate that a known authority has signed")
    if scheme == "rediss" and host.startswith("fly-") and host.endswith(".upstash.io"):
        text = "rediss:// is meant for TLS, which Fly's own Redis does not offer"
        return poor(name, text, "use redis://: its network is private and encrypted")
    if scheme == "redis" and secret and not _is_private(host):
        text = f"the password goes to {host} in the clear"
        return poor(name, text, "use rediss:// if the server offers TLS")
    if options:
        text = f"it has {', '.join(sorted(options))}, and {_CALLER_ONLY}"
        return poor(name, text, "leave them out")
    return good(name, f"{scheme}:// to {host or 'localhost'}")


def _is_private(host: str) -> bool:
    """Whether packets to `host` stay on this computer or in Fly's network."""
    if host in ("", "localhost", "127.0.0.1", "::1") or host.endswith(".internal"):
        return True
    return host.startswith("fly-") and host.endswith(".upstash.io")


def _is_repetition(text: str) -> bool:
    """Whether `text` is some part of it over and over."""
    return text in (text + text)[1:-1]


def _problems_of(check: Callable[[], object]) -> list[Problem]:
    try:
        check()
    except ConfigError as error:
        return list(error.problems)
    return []
