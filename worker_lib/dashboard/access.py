"""Who may see the dashboard, and who may act. Nobody, until somebody was named.

In order: what the app's own `auth` says; else a password, by the login form or HTTP
basic authentication; else, while developing, whoever sits at this computer.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from werkzeug.security import check_password_hash

from worker_lib.errors import ConfigError, Problem
from worker_lib.local import is_local
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request

    from worker_lib.dashboard.cookies import Cookies
    from worker_lib.dashboard.registry import Role

__all__ = ["Access", "Auth", "Passwords", "Throttle", "Viewer"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PROXY_HEADERS = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"),
    *("Forwarded", "Via", "Fly-Client-IP"),
)
_HASHES = ("scrypt:", "pbkdf2:")
_MIN_LENGTH = 8
_NAME_LENGTH = 60
_MAX_CLIENTS = 10_000


class Viewer(NamedTuple):
    """A person at the dashboard.

    Attributes:
        role: `admin` may do everything, `read` may look.
        name: For the audit.
    """

    role: Role
    name: str

    @property
    def may_act(self) -> bool:
        """Whether this one may do what changes something."""
        return self.role == "admin"


Answer: TypeAlias = "Viewer | Role | None"
Auth: TypeAlias = "Callable[[Request], Answer]"


class Throttle:
    """Refuses those who guess: five wrong tries a minute each, 100 of all together.

    Clients are forgotten, longest silent first, once there are more than 10,000.
    """

    def __init__(
        self,
        each: int = 5,
        everyone: int = 100,
        window: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = {False: each, True: everyone}
        self._window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Return the seconds until this client may try; 0.0 for now."""
        with self._lock:
            return max(self._left(client), self._left(""))

    def failed(self, client: str) -> None:
        """Count a wrong try."""
        with self._lock:
            for name in (client, ""):
                self._failures.setdefault(name, []).append(self._clock())
                self._failures.move_to_end(name)
            while len(self._failures) > _MAX_CLIENTS:
                self._failures.popitem(last=False)

    def _left(self, client: str) -> float:
        start = self._clock() - self._window
        recent = [at for at in self._failures.get(client, ()) if at > start]
        if client in self._failures:
            self._failures[client] = recent
        over = len(recent) - self._limits[not client]
        return recent[over] - start if over >= 0 else 0.0


class Passwords:
    """The passwords of the two roles: plain, or hashes as werkzeug makes them.

    Args:
        admin: Of who may do everything; "" for nobody.
        read: Of who may look; "" for nobody.

    Raises:
        ConfigError: one is too short, or a hash cannot be read.
    """

    def __init__(self, admin: str = "", read: str = "") -> None:
        self._known: list[tuple[Role, str]] = [("admin", admin), ("read", read)]
        for name, text in (("password", admin), ("read_password", read)):
            _check_password(name, text)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(text for _, text in self._known)

    @property
    def fingerprint(self) -> str:
        """What changes when a password does."""
        return "\n".join(text for _, text in self._known)

    def role(self, given: str) -> Role | None:
        """Return the role that this password gives, in constant time for each."""
        matches: list[Role] = [
            role for role, text in self._known if text and _equal(text, given)
        ]
        return matches[0] if matches else None


class Access:
    """Decides who a request comes from.

    Args:
        auth: The app's own, or None.
        passwords: Those of the dashboard, which count where there is no `auth`.
        cookies: Keep who has logged in.
        standalone: Whether this is the command `worker-lib dashboard`.
    """

    def __init__(
        self,
        auth: Auth | None,
        passwords: Callable[[], Passwords],
        cookies: Cookies,
        *,
        standalone: bool = False,
    ) -> None:
        self.auth = auth
        self.throttle = Throttle()
        self._passwords = passwords
        self._cookies = cookies
        self._standalone = standalone

    @property
    def has_login(self) -> bool:
        """Whether a password opens it."""
        return self.auth is None and bool(self._passwords())

    def viewer(self, request: Request) -> Viewer | None:
        """Return who asks; None for somebody who may not even look.

        Raises:
            ConfigError: `auth` returned something else than it may.
        """
        if self.auth is not None:
            return _named(self.auth(request), request)
        if self._passwords():
            return self._from_cookie(request) or self._from_header(request)
        if is_at_this_computer(request) and self._is_development():
            return Viewer("admin", "this computer")
        return None

    def login(self, request: Request, password: str, name: str) -> Viewer | None:
        """Return who this password makes of somebody; None if it is wrong.

        Ask `throttle` first.
        """
        role = self._passwords().role(password)
        if role is None:
            self.throttle.failed(_address(request))
            return None
        who = " ".join(name.split())[:_NAME_LENGTH]
        return Viewer(role, f"{who or role} ({_address(request)})")

    def wait(self, request: Request) -> float:
        """Return the seconds until this client may try a password; 0.0 for now."""
        return self.throttle.wait(_address(request))

    def _from_cookie(self, request: Request) -> Viewer | None:
        kept = self._cookies.get(request, "session")
        return None if kept is None else Viewer(*kept)

    def _from_header(self, request: Request) -> Viewer | None:
        given = request.authorization
        if given is None or given.type != "basic" or self.wait(request):
            return None
        return self.login(request, given.password or "", given.username or "")

    def _is_development(self) -> bool:
        if os.environ.get("FLY_APP_NAME") or os.environ.get("FLY_MACHINE_ID"):
            return False
        if self._standalone:
            return True
        settings = Settings.load(os.environ)
        return settings.local or is_local(settings)


def is_at_this_computer(request: Request) -> bool:
    """Whether a browser of this computer asks for this computer, without a proxy.

    The name in the address counts, too: a page of another site may have its own name
    lead to 127.0.0.1 (DNS rebinding).
    """
    if any(header in request.headers for header in _PROXY_HEADERS):
        return False
    try:
        name = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return False
    peer = (request.remote_addr or "").removeprefix("::ffff:")
    return peer in _LOOPBACK and name in _LOOPBACK


def _named(answer: Answer, request: Request) -> Viewer | None:
    if answer is None or isinstance(answer, Viewer):
        return answer
    if answer in {"admin", "read"}:
        return Viewer(answer, f"{answer} ({_address(request)})")
    raise ConfigError(
        Problem(
            f"auth returned {type(answer).__name__} {str(answer)[:20]!r}",
            'return "admin", "read", a Viewer, or None for nobody',
            "auth",
        )
    )


def _address(request: Request) -> str:
    return request.remote_addr or "unknown address"


def _check_password(name: str, text: str) -> None:
    if text.startswith(_HASHES):
        try:
            check_password_hash(text, "")
        except ValueError as error:
            remedy = "make it with werkzeug.security.generate_password_hash"
            problem = Problem(f"{name} is no hash that can be read", remedy, name)
            raise ConfigError(problem) from error
    elif text and len(text) < _MIN_LENGTH:
        remedy = f"use {_MIN_LENGTH} characters or more"
        raise ConfigError(Problem(f"{name} is too short", remedy, name))


def _equal(known: str, given: str) -> bool:
    if known.startswith(_HASHES):
        return check_password_hash(known, given)
    return hmac.compare_digest(known.encode(), given.encode())
