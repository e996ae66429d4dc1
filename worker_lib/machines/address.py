"""Where calls go and how they prove who they are, checked before the first one.

A token must never travel in the clear over a public network, nor show up in an
error, so both are settled here, once, with messages that do not repeat the token.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from worker_lib.errors import ConfigError, InvalidRequest, Problem

__all__ = ["authorization", "clean_base_url", "segment"]

_MACAROONS: Final = ("fm1r_", "fm1a_", "fm2_")
_SCHEMES: Final = ("bearer", "flyv1")


def clean_base_url(text: str) -> str:
    """Return the API's address as `scheme://host[:port]`.

    A trailing slash or `/v1` is taken off: Fly's own pages show both forms.

    Raises:
        ConfigError: not an address, one with a password, query or other path in it,
            or plain http to a host that is neither this one nor a private one.
    """
    try:
        parts = urlsplit(text.strip())
        problem = _problem(parts)
    except ValueError as exc:
        problem = str(exc)
        raise ConfigError(_refusal(problem)) from exc
    if problem:
        raise ConfigError(_refusal(problem))
    return f"{parts.scheme}://{parts.netloc}"


def authorization(token: str) -> str:
    """Return the `Authorization` header for a token, in either of Fly's schemes.

    Macaroons go as `FlyV1`, all else as `Bearer`; a scheme that the token brings
    along is taken off first. With both kinds in one list only the macaroons count.

    Raises:
        ConfigError: empty, or has a character that no header may have.

    Source: fly-go, tokens/tokens.go (`Parse`, `FlapsHeader`).
    """
    parts = [part.strip() for part in _without_scheme(token).split(",")]
    macaroons = [part for part in parts if part.startswith(_MACAROONS)]
    value = ",".join(macaroons or filter(None, parts))
    if not value:
        raise _wrong_token("is empty", "make one with `fly tokens create`")
    # requests would refuse it later, with the token in its message.
    if any(not "!" <= character <= "~" for character in value):
        raise _wrong_token(
            "has a space, line break or letter that no token has", "copy it again"
        )
    return f"{'FlyV1' if macaroons else 'Bearer'} {value}"


def segment(text: str) -> str:
    """Return `text` as one segment of a URL's path.

    Raises:
        InvalidRequest: empty or dots only; the path would name something else, up
            to the whole app.
    """
    if not text.strip("."):
        raise InvalidRequest(f"{text!r} names nothing in the Machines API: give an id")
    return quote(text, safe="")


def _without_scheme(token: str) -> str:
    scheme, _, rest = token.strip().partition(" ")
    return _without_scheme(rest) if scheme.lower() in _SCHEMES else token


def _problem(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        return "not of the form https://host"
    if parts.username is not None or parts.query or parts.fragment:
        return "has a password, a query or a fragment in it"
    if parts.path.rstrip("/") not in ("", "/v1"):
        return f"has the path {parts.path!r}, and only /v1 is known"
    if parts.port == 0:
        return "has port 0"
    if parts.scheme == "http" and not _is_private(host):
        return f"would send the token in the clear to the public host {host!r}"
    return ""


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".internal")):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _refusal(problem: str) -> Problem:
    return Problem(
        f"the Machines API's address {problem}",
        "set FLY_API_HOSTNAME to https://api.machines.dev, or leave it unset",
        "FLY_API_HOSTNAME",
    )


def _wrong_token(problem: str, remedy: str) -> ConfigError:
    name = "FLY_API_TOKEN"
    return ConfigError(Problem(f"{name} {problem}", remedy, name))
