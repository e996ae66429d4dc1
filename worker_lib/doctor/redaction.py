"""Removes secrets from every finding, as the last step.

No check puts one there. But Redis, Fly and the operating system may quote what they
were sent.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.doctor.findings import Finding

__all__ = ["redacted", "secrets_of"]

_SHORTEST = 6
_TOKENS = ("FLY_API_TOKEN", "FLY_ACCESS_TOKEN")
_KEYS = (
    *("WORKER_LIB_SECRET", "WORKER_LIB_SECRET_OLD"),
    *("WORKER_LIB_DASHBOARD_PASSWORD", "WORKER_LIB_DASHBOARD_READ_PASSWORD"),
    "WORKER_LIB_METRICS_TOKEN",
)


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return every secret in `environ`, the longest first.

    Very short ones are left out: hiding every "1" would help nobody.
    """
    found = {word for word in _candidates(environ) if len(word) >= _SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))


def redacted(finding: Finding, secrets: tuple[str, ...]) -> Finding:
    """Return the finding with `[hidden]` in place of every secret."""
    return dataclasses.replace(
        finding,
        text=_hidden(finding.text, secrets),
        remedy=_hidden(finding.remedy, secrets),
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _KEYS:
        yield environ.get(name, "").strip()
    for name in _TOKENS:
        token = environ.get(name, "").strip()
        yield from (token, *token.replace(",", " ").split())
    url = environ.get("REDIS_URL", "").strip()
    password = url.rpartition("@")[0].partition("://")[2].partition(":")[2]
    yield from (url if password else "", password, unquote(password))


def _hidden(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    return text
