"""The way of each request: access, route, limit, fault, work, fault."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from worker_lib.emulator import routes
from worker_lib.emulator.limits import RateLimiter
from worker_lib.emulator.messages import ApiRefusal
from worker_lib.emulator.validation import wanted_subject
from worker_lib.emulator.visibility import Subject
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.emulator.access import Access
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Reply, Request
    from worker_lib.emulator.routes import Route

log = get_logger("emulator")

_UNKNOWN = "unknown"


class Dispatcher:
    """Answers requests with one backend.

    Args:
        backend: Does the work.
        access: Is asked first, but for requests by a machine's own socket.
    """

    def __init__(self, backend: Backend, access: Access) -> None:
        self._backend = backend
        self._access = access
        self._limiter = RateLimiter() if backend.options.rate_limits else None

    def answer(self, request: Request) -> Reply:
        """Do what a request asks.

        Raises:
            ApiRefusal: It is answered with an error.
            ReplyLost: It is not answered at all.
        """
        if not request.socket_app:
            self._access.check(request.headers)
        found = routes.find(request.method, request.path)
        if found is None:
            self._backend.calls[_UNKNOWN] += 1
            raise ApiRefusal(404, f"not_found: no such path: {request.path}")
        route, params = found
        own = request.socket_app
        if own and own != params.get("app"):
            raise ApiRefusal(403, f"unauthorized: machines of {own} have their own app")
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
