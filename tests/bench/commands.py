"""Redis commands a job costs: what clients send, which is what Fly's Redis bills."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from waiting import until

from .figures import Figure, Note
from .tasks import echo, noop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .rig import Rig

__all__ = ["commands"]

# The server counts calls made inside scripts too; of these there are none inside.
_SENT = ("evalsha", "eval", "blmove", "blpop", "subscribe", "unsubscribe", "auth")
_OTHER = "6 (Taskiq)"


def commands(rig: Rig, *, jobs: int) -> list[Figure | Note]:
    """Count for a cold job, for drained ones and for warm ones."""
    counts = {
        "cold, with result()": _cold(rig),
        f"drained, of {jobs:,} on one machine": _drained(rig, jobs),
        "warm, with result()": _warm(rig, 100),
    }
    found: list[Figure | Note] = []
    for name, sent in counts.items():
        total = sum(sent.values())
        other = _OTHER if name.startswith("warm") else ""
        label = f"Redis commands a job, {name}"
        found.append(Figure(name=label, unit="", samples=[total], orientation=other))
        parts = (f"{word} {times:.2f}" for word, times in sent.items() if times)
        found.append(Note(name=label, text=", ".join(parts)))
    return found


def _cold(rig: Rig) -> dict[str, float]:
    with rig.client(machines=True) as client:
        noop.delay(1).result(30)
        until(lambda: not client.launcher.api.list_machines())
        rig.refill(client)
        return _count(rig, 1, lambda: noop.delay(1).result(30))


def _drained(rig: Rig, jobs: int) -> dict[str, float]:
    def drain() -> None:
        for number in range(jobs):
            noop.delay(number)
        with rig.machine(client) as machine:
            machine.wait()

    with rig.client(machines=False) as client:
        return _count(rig, jobs, drain)


def _warm(rig: Rig, jobs: int) -> dict[str, float]:
    def call() -> None:
        for number in range(jobs):
            echo.delay(number).result(30)

    with rig.client(machines=True):
        echo.delay(0).result(30)
        return _count(rig, jobs, call)


def _count(rig: Rig, jobs: int, step: Callable[[], object]) -> dict[str, float]:
    before = _sent(rig)
    step()
    time.sleep(0.05)  # a machine says good-bye after its caller has the result
    after = _sent(rig)
    return {name: (after[name] - before[name]) / jobs for name in _SENT}


def _sent(rig: Rig) -> dict[str, int]:
    stats = rig.redis.info("commandstats")
    return {name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in _SENT}
