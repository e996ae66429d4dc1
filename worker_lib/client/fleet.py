"""How many machines work at something, and what they have cost since it began."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.fly.prices import price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.store.views import SlotState, Views

__all__ = ["Fleet", "FleetMeter"]

_EXITS = 200
_NOT_UP = frozenset({"owed", "parked"})


class Fleet(NamedTuple):
    """The machines of a pool.

    Attributes:
        at: Seconds since the epoch, by Redis's clock.
        machines: That are up, or on their way.
        cost_usd: Since it began, by the price list, from a machine's first claim on.
    """

    at: float
    machines: int
    cost_usd: float


class FleetMeter:
    """Reads the machines of a pool, again and again, whatever calls they run.

    Args:
        views: Of the store.
        pool: Whose machines.
        since: Seconds since the epoch, by Redis's clock; None: the first reading.
    """

    def __init__(self, views: Views, pool: str, since: float | None = None) -> None:
        self._views = views
        self._pool = pool
        self._since = since
        # Those that have ended, by slot and the moment when they came up.
        self._ended: dict[tuple[str, float], float] = {}

    def read(self) -> Fleet:
        """Return them as they are now; two commands for 50 pools.

        Of the machines that end between two readings, the last 200 count.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        at, slots = self._views.slots()
        if self._since is None:
            self._since = at
        for told in map(json.loads, self._views.exits(_EXITS)):
            up_at, ended_at = float(told["up_at"]), float(told["ended_at"])
            if told["pool"] == self._pool and ended_at > self._since:
                seconds = ended_at - max(up_at, self._since)
                usd = seconds * price(told["size"], told["region"])
                self._ended[told["slot"], up_at] = usd
        mine = [one for one in slots if one.pool == self._pool]
        machines = sum(one.about["state"] not in _NOT_UP for one in mine)
        return Fleet(at, machines, sum(self._costs(at, self._since, mine)))

    def _costs(
        self, at: float, since: float, slots: list[SlotState]
    ) -> Iterator[float]:
        yield from self._ended.values()
        for one in slots:
            up_at = float(one.about["up_at"] or at)
            if (one.slot, up_at) not in self._ended and one.about["state"] != "parked":
                seconds = max(0.0, at - max(up_at, since))
                yield seconds * price(one.size, one.about["region"])
