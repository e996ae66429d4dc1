"""Calls accepted a second, and the warm round trip, each beside Redis itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .figures import Figure
from .limits import BareRedis, per_second
from .tasks import echo, noop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .rig import Rig

__all__ = ["accepted", "warm"]


def accepted(rig: Rig, *, rounds: int, calls: int) -> list[Figure]:
    """Enqueue from one thread of one process; no machine is asked for."""
    rates: dict[str, list[float]] = {"delay": [], "ping": [], "script": []}
    with rig.client(machines=False), BareRedis(rig.socket_path) as bare:
        noop.delay(1)
        for _ in range(rounds):
            rates["ping"].append(per_second(bare.ping, calls))
            rates["script"].append(per_second(bare.trivial_script, calls))
            rates["delay"].append(per_second(lambda: noop.delay(1), calls))
    beside = Figure(
        name="calls accepted, beside a script",
        unit="/s",
        samples=rates["delay"],
        limit="EVALSHA 'return 1', bare socket",
        limits=rates["script"],
    )
    return [
        Figure(
            name="calls accepted",
            unit="/s",
            samples=rates["delay"],
            limit="PING, bare socket",
            limits=rates["ping"],
            orientation="7,400/s (Huey)",
        ),
        beside,
    ]


def warm(rig: Rig, *, calls: int) -> list[Figure]:
    """Call a machine that waits for calls, and wait for the result."""
    trips, pings = [], []
    with rig.client(machines=True), BareRedis(rig.socket_path) as bare:
        for _ in range(20):
            echo.delay(1).result(30)
        for _ in range(calls):
            pings.append(_ms(bare.ping))
            trips.append(_ms(lambda: echo.delay(1).result(30)))
    return [
        Figure(
            name="warm round trip",
            unit="ms",
            samples=trips,
            limit="PING, bare socket",
            limits=pings,
            orientation="1.2 ms (Huey)",
        )
    ]


def _ms(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000
