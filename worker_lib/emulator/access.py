"""Who may use the emulator: requests with a valid token and a known Host.

The emulator runs commands, so a token is always needed. The Host is checked because a
web page can make its own name lead to a loopback address (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from worker_lib.emulator.messages import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCHEMES = ("bearer", "flyv1")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
_LOOPBACK = "localhost"
_SHOWN = 80


class Access:
    """Accepts or refuses requests.

    Args:
        tokens: The valid ones, with or without their scheme.
        host: The address that the emulator listens on.
        names: Further hosts that requests may name.
    """

    def __init__(
        self, *, tokens: Sequence[str], host: str, names: Iterable[str] = ()
    ) -> None:
        self._tokens = tuple(tokens)
        self._names = {_LOOPBACK, host.lower(), *(name.lower() for name in names)}
        address = _address(host)
        self._any_address = not host or (address is not None and address.is_unspecified)

    def check(self, headers: Mapping[str, str]) -> None:
        """Accept a request by its headers.

        Raises:
            ApiError: 421, it names another host; 401, it has no valid token.
        """
        host = headers.get("host", "")
        if not self._is_own(host):
            raise ApiError(
                421,
                f'invalid_argument: the Host "{host[:_SHOWN]}" is not one of this '
                "emulator's: use its address, or start it with --allow-host",
            )
        if not is_authorized(headers.get("authorization", ""), self._tokens):
            raise ApiError(401, "unauthenticated: invalid or missing token")

    def _is_own(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found["name"].lower().removesuffix(".").strip("[]")
        if name in self._names:
            return True
        address = _address(name)
        return address is not None and (self._any_address or address.is_loopback)


def is_loopback_host(host: str) -> bool:
    """Whether only this computer can reach an address to listen on."""
    address = _address(host)
    return host == _LOOPBACK or (address is not None and address.is_loopback)


def is_authorized(header: str, tokens: Sequence[str]) -> bool:
    """Whether an `Authorization` header holds one of the tokens.

    Args:
        header: `Bearer` or `FlyV1` and the token.
        tokens: With or without their scheme.

    Source: "Machines API" (`Bearer`); fly-go, tokens/tokens.go (`FlyV1`).
    """
    scheme, _, given = header.partition(" ")
    given = given.strip()
    if scheme.lower() not in _SCHEMES or not given:
        return False
    return any(
        hmac.compare_digest(given.encode(), _without_scheme(token).encode())
        for token in tokens
    )


def _without_scheme(token: str) -> str:
    scheme, _, rest = token.strip().partition(" ")
    return rest.strip() if scheme.lower() in _SCHEMES else token.strip()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
