"""The real parts, put together on a timeline: what stands in for time and for wires."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import requests

from worker_lib import creation, launcher, own_machines, starting, sweeper
from worker_lib.emulator import backend as emulator_backend
from worker_lib.emulator import engine, lifecycle, termination, transitions
from worker_lib.emulator.access import Access
from worker_lib.emulator.backend import Backend
from worker_lib.emulator.billing import BillingMeter
from worker_lib.emulator.dispatch import Dispatcher
from worker_lib.emulator.engine import Engine
from worker_lib.emulator.faults import FaultInjector
from worker_lib.emulator.fleet import Fleet
from worker_lib.emulator.lifecycle import Lifecycle
from worker_lib.emulator.limits import RateLimiter
from worker_lib.emulator.machine_sockets import MachineSockets
from worker_lib.emulator.messages import ApiError, Request
from worker_lib.machines.api import MachinesApi
from worker_lib.machines.transport import Transport
from worker_lib.store import scripts
from worker_lib.store.connection import Connection
from worker_lib.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import LaunchSpec, Runtime
    from worker_lib.machines.errors import Call
    from worker_lib.settings import Settings

    from .timeline import Timeline

__all__ = ["Clock", "Fly", "VirtualStore", "virtual_time"]

TOKEN = "burst-token"
_ON_THE_TIMELINE = (
    *(launcher, creation, starting, sweeper, own_machines),
    *(engine, lifecycle, transitions, emulator_backend),
)
_TIME, _CLOCK_KEY = b"redis.call('TIME')", b"':virtual-clock'"


@contextlib.contextmanager
def virtual_time(timeline: Timeline) -> Iterator[None]:
    """Have the library's threads, pauses and scripts go by a timeline.

    Of the scripts one expression is replaced: where they read the server's clock, they
    read a key, which `Clock` keeps.
    """
    read = scripts._read

    def read_part(part: str) -> bytes:
        source = read(part)
        if part != "_common":
            return source
        if source.count(_TIME) != 1:
            raise RuntimeError("the scripts read the time in another way now")
        stored = b"redis.call('HMGET', KEYS[1] .. " + _CLOCK_KEY + b", 's', 'us')"
        return source.replace(_TIME, stored)

    def start_timer(delay: float, action: Any) -> Any:
        return timeline.after(delay, action)

    with contextlib.ExitStack() as stack:

        def patch(owner: Any, name: str, stand_in: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, stand_in))

        patch(scripts, "_read", read_part)
        patch(scripts, "_loaded", {})
        patch(scripts, "_defined", {})
        for module in _ON_THE_TIMELINE:
            for name, stand_in in timeline.modules().items():
                if hasattr(module, name):
                    patch(module, name, stand_in)
        for module in (transitions, termination):
            patch(module, "start_timer", start_timer)
        patch(sweeper, "Wakeup", lambda: Wakeup(timeline))
        yield


class Clock:
    """Redis's clock: it stands at the timeline's time whenever a script runs."""

    def __init__(self, timeline: Timeline, redis: Any, prefix: str) -> None:
        self._timeline, self._redis = timeline, redis
        self._key = f"{prefix}{_CLOCK_KEY.decode().strip(chr(39))}"
        self._set_to = -1.0

    def set(self) -> None:
        """Set it."""
        now = self._timeline.now
        if now == self._set_to:
            return
        self._set_to = now
        whole = int(now)
        self._redis.hset(
            self._key, mapping={"s": whole, "us": int((now - whole) * 1e6)}
        )


class Wakeup:
    """What wakes the sweeper's thread, as `worker_lib.store.changes.Wakeup` does."""

    def __init__(self, timeline: Timeline) -> None:
        self._news = timeline.modules()["threading"].Condition()
        self.is_notified = False

    def notify(self) -> None:
        """Wake it now, or when it next waits."""
        self.is_notified = True
        self._news.notify()

    def wait(self, timeout: float) -> None:
        """Return when notified, or after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self.is_notified, timeout)
        self.is_notified = False

    def close(self) -> None:
        """Nobody may notify it any more."""


class _Connection(Connection):
    """The calling side's connection, which sets the clock first."""

    clock: Clock

    def run(self, script: Any, *rest: Any, **named: Any) -> Any:
        self.clock.set()
        return super().run(script, *rest, **named)


class VirtualStore(Store):
    """The calling side's store on a timeline.

    Attributes:
        refused: Reasons that somebody was told, or could have been.
    """

    def __init__(self, settings: Settings, prefix: str, clock: Clock) -> None:
        connection = _Connection(settings.redis_url, prefix)
        connection.clock = clock
        super().__init__(connection, settings.namespace)
        self._wakeups: list[Wakeup] = []
        self._clock, self._redis = clock, clock._redis
        self._calls_key = f"{prefix}:calls"
        self.refused: list[str] = []

    def refuse(self, slot: str, reason: str, hold: float, **how: Any) -> bool:
        """Note the refusal of a machine."""
        self.refused.append(reason)
        return super().refuse(slot, reason, hold, **how)

    @contextlib.contextmanager
    def calls(self) -> Iterator[Any]:
        """Yield what hears calls for a launcher."""
        yield self

    def wait(self, wakeup: Any, timeout: float) -> Any:
        """Return whether a launcher is called for, as `Calls.wait` does."""
        self._wakeups.append(wakeup)
        wakeup.wait(timeout)
        self._wakeups.remove(wakeup)
        return self._redis.lpop(self._calls_key) is not None

    def tell_callers(self) -> None:
        """Wake who waits for calls, if there is one."""
        if self._redis.exists(self._calls_key):
            for wakeup in self._wakeups:
                wakeup.notify()


class Fly:
    """The emulator's parts without its server, and a client that calls them directly.

    Attributes:
        answers: How often each status was answered.
    """

    def __init__(
        self, timeline: Timeline, options: EmulatorOptions, runtime: Runtime
    ) -> None:
        clock = lambda: timeline.now  # noqa: E731 - three parts take it
        self.answers: dict[int, int] = {}
        self.meter = BillingMeter(clock)
        self._fleet = Fleet(options, clock)
        injector = FaultInjector(clock)
        injector.pause = timeline.sleep  # type: ignore[assignment,method-assign]  # it would wait
        sockets = MachineSockets(max_body_bytes=1, region=options.region)
        engine_ = Engine(
            fleet=self._fleet,
            runtime=runtime,
            meter=self.meter,
            options=options,
            injector=injector,
            sockets=sockets,
        )
        self.backend = Backend(
            options=options,
            fleet=self._fleet,
            lifecycle=Lifecycle(fleet=self._fleet, engine=engine_, options=options),
            runtime=runtime,
            meter=self.meter,
            injector=injector,
        )
        self._dispatcher = Dispatcher(
            self.backend, Access(tokens=(TOKEN,), host="localhost")
        )
        self._dispatcher._limiter = RateLimiter(clock)
        self.api = MachinesApi(
            "http://localhost", TOKEN, options.apps[0], sleep=timeline.sleep
        )
        transport = _Transport(self)
        self.api._transport, self.api._send = transport, transport.send

    def suspend(self, spec: LaunchSpec) -> float:
        """Suspend a machine that asks for it by its own socket.

        Returns:
            Seconds to wait before it may ask again; 0 if it is done.
        """
        path = f"/v1/apps/{spec.app}/machines/{spec.machine_id}/suspend"
        request = Request(method="POST", path=path, socket_app=spec.app)
        status, headers, body = self.answer(request)
        if status not in {200, 429}:
            raise RuntimeError(f"a machine cannot be suspended: {body!r}")
        return float(headers.get("Retry-After", 0))

    def answer(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Answer a request as the emulator's server would."""
        try:
            reply = self._dispatcher.answer(request)
        except ApiError as error:
            reply = error.reply()
        self.answers[reply.status] = self.answers.get(reply.status, 0) + 1
        return reply.status, reply.headers, json.dumps(reply.body).encode()


class _Transport(Transport):
    """Hands requests to the emulator's parts instead of sending them."""

    def __init__(self, fly: Fly) -> None:
        super().__init__("http://localhost", TOKEN, timeout=1.0, sleep=time.sleep)
        self._fly = fly

    def _attempt(
        self,
        call: Call,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        patience: float,
    ) -> requests.Response:
        del patience
        request = Request(
            method=call.method,
            path=call.path,
            query={name: [value] for name, value in (query or {}).items()},
            headers={"host": "localhost", "authorization": self._authorization},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        response = requests.Response()
        response.status_code, headers, response._content = self._fly.answer(request)
        response.headers.update(headers)
        return response
