"""Jobs that one machine works off, when it finds many waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .figures import Figure
from .limits import BareRedis, per_second
from .tasks import noop

if TYPE_CHECKING:
    from worker_lib.client.client import Client

    from .rig import Rig

__all__ = ["drained"]

_LIMIT = "EVALSHA 'return 1', bare socket"


def drained(rig: Rig, *, rounds: int, jobs: int) -> list[Figure]:
    """Enqueue jobs that do nothing, then start one machine by hand."""
    whole, steady, scripts = [], [], []
    with BareRedis(rig.socket_path) as bare:
        for _ in range(rounds):
            scripts.append(per_second(bare.trivial_script, jobs))
            with rig.client(machines=False) as client:
                ids = [noop.delay(number).id for number in range(jobs)]
                whole.append(jobs / _drain(rig, client))
                steady.append((jobs - 1) / _span(client, ids))
    name = f"jobs drained by one machine, {jobs:,}"
    return [
        Figure(
            name=f"{name}, with its start and end",
            unit="/s",
            samples=whole,
            limit=_LIMIT,
            limits=scripts,
            orientation="1,500/s (Huey)",
        ),
        Figure(
            name=f"{name}, from first finish to last",
            unit="/s",
            samples=steady,
            limit=_LIMIT,
            limits=scripts,
        ),
    ]


def _drain(rig: Rig, client: Client) -> float:
    """Return the seconds from a machine's start to its end."""
    began = time.perf_counter()
    with rig.machine(client) as machine:
        machine.wait()
        return time.perf_counter() - began


def _span(client: Client, ids: list[str]) -> float:
    first, last = client.look(ids[0]).info, client.look(ids[-1]).info
    if first.ended_at is None or last.ended_at is None:
        raise RuntimeError("the machine left before all jobs were done")
    return last.ended_at - first.ended_at
