"""The path of each request: access, route, rate limit, faults, work, faults."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from worker_lib.emulator import routes
from worker_lib.emulator.faults.rule import Target
from worker_lib.emulator.limits import RateLimiter
from worker_lib.emulator.messages import ApiError, not_found
from worker_lib.emulator.validation import requested_target

if TYPE_CHECKING:
    from worker_lib.emulator.access import Access
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Reply, Request
    from worker_lib.emulator.routes import Route

_UNKNOWN = "unknown"


class Dispatcher:
    """Answers requests with one backend.

    Args:
        backend: Does the work.
        access: Checks every request but those of a machine's own socket.
    """

    def __init__(self, backend: Backend, access: Access) -> None:
        self._backend = backend
        self._access = access
        self._limiter = RateLimiter() if backend.options.rate_limits else None

    def answer(self, request: Request) -> Reply:
        """Do what a request asks.

        Raises:
            ApiError: It is answered with an error.
            ReplyLost: It is not answered at all.
        """
        if not request.socket_app:
            self._access.check(request.headers)
        found = routes.find(request.method, request.path)
        if found is None:
            self._backend.calls[_UNKNOWN] += 1
            raise not_found(f"no such path: {request.path}")
        route, params = found
        own = request.socket_app
        if own and own != params.get("app"):
            raise ApiError(
                403, f"unauthorized: this machine may use its own app only: {own}"
            )
        request = dataclasses.replace(request, params=params)
        if route.is_admin:
            return route.handler(self._backend, request)
        return self._answer_api(route, request)

    def _answer_api(self, route: Route, request: Request) -> Reply:
        self._backend.calls[route.action] += 1
        identifier = request.params.get("machine") or request.params.get("app")
        if self._limiter is not None and identifier:
            self._limiter.take(route.action, identifier)
        injector = self._backend.injector
        target = Target() if injector.is_empty else self._target(route, request)
        seen = injector.before(route.action, target)
        request = dataclasses.replace(request, visibility=seen)
        reply = route.handler(self._backend, request)
        return injector.after(route.action, target, reply)

    def _target(self, route: Route, request: Request) -> Target:
        """The machine that a request is about, as far as it says; never raises."""
        try:
            if "machine" in request.params:
                with self._backend.fleet.lock:
                    return self._backend.fleet.machine(
                        request.params["app"], request.params["machine"]
                    ).target
            if route.action == "create":
                return requested_target(request.json())
        except ApiError:
            pass
        return Target()
