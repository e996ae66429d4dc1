"""The way of each request: token, route, limit, fault, work, fault."""

from __future__ import annotations

import dataclasses
import hmac
from typing import TYPE_CHECKING

from worker_lib.emulator import routes
from worker_lib.emulator.limits import RateLimiter
from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.sight import Subject
from worker_lib.emulator.validation import wanted_subject
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Reply, Request
    from worker_lib.emulator.routes import Route

log = get_logger("emulator")

_SCHEMES = ("bearer", "flyv1")
_UNKNOWN = "unknown"


class Dispatcher:
    """Answers requests with one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._tokens = backend.options.tokens
        self._limiter = RateLimiter() if backend.options.rate_limits else None

    def answer(self, request: Request) -> Reply:
        """Do what a request asks.

        Raises:
            ApiRefusal: It is answered with an error.
            ReplyLost: It is not answered at all.
        """
        header = request.headers.get("authorization", "")
        if not request.door and not is_let_in(header, self._tokens):
            raise ApiRefusal(401, "unauthenticated: invalid or missing token")
        found = routes.find(request.method, request.path)
        if found is None:
            self._backend.calls[_UNKNOWN] += 1
            raise ApiRefusal(404, f"not_found: no such path: {request.path}")
        route, params = found
        if request.door and request.door != params.get("app"):
            raise ApiRefusal(
                403, f"unauthorized: machines of {request.door} have their own app only"
            )
        request = dataclasses.replace(request, params=params)
        if route.is_admin:
            return route.handler(self._backend, request)
        return self._answer_api(route, request)

    def _answer_api(self, route: Route, request: Request) -> Reply:
        self._backend.calls[route.action] += 1
        params = request.params
        identifier = params.get("machine") or params.get("app")
        if self._limiter is not None and identifier:
            self._limiter.take(route.action, identifier)
        faults = self._backend.faults
        subject = Subject() if faults.is_empty else self._subject(route, request)
        sight = faults.before(route.action, subject)
        reply = route.handler(self._backend, dataclasses.replace(request, sight=sight))
        return faults.after(route.action, subject, reply)

    def _subject(self, route: Route, request: Request) -> Subject:
        """The machine that a request is about, as far as it says; never refuses."""
        try:
            if "machine" in request.params:
                with self._backend.fleet.lock:
                    return self._backend.fleet.machine(
                        request.params["app"], request.params["machine"]
                    ).subject
            if route.action == "create":
                return wanted_subject(request.json())
        except ApiRefusal:
            pass
        return Subject()


def is_let_in(header: str, tokens: Sequence[str] | None) -> bool:
    """Whether an `Authorization` header holds a token that is accepted.

    Args:
        header: `Bearer` or `FlyV1` and the token.
        tokens: None accepts any that is not empty.

    Source: "Machines API" (`Bearer`); fly-go, tokens/tokens.go (`FlyV1`).
    """
    scheme, _, given = header.partition(" ")
    given = given.strip()
    if scheme.lower() not in _SCHEMES or not given:
        return False
    if tokens is None:
        return True
    return any(
        hmac.compare_digest(given.encode(), _bare(token).encode()) for token in tokens
    )


def _bare(token: str) -> str:
    scheme, _, rest = token.strip().partition(" ")
    return rest.strip() if scheme.lower() in _SCHEMES else token.strip()
