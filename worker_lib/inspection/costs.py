"""What machines have cost, by the price list of Fly; parked ones are not in it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.inspection.counting import Tally
from worker_lib.inspection.history import counted
from worker_lib.inspection.machines import machines
from worker_lib.inspection.prices import price, priced

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Costs", "Day", "costs"]

_DAY_MINUTES, _DAYS = 1440, 35


class Day(NamedTuple):
    """A day, in UTC.

    Attributes:
        at: Its beginning, in seconds since the epoch.
        machine_s: Seconds of machines that ended in it; today also of those that are
            up, so far.
    """

    at: float
    machine_s: float
    cost_usd: float


class Costs(NamedTuple):
    """What machines cost, in US dollars; days and months are those of UTC.

    Attributes:
        today_usd: With what the machines cost so far that are up, as all but `by_task`
            and `idle_usd`.
        alive_usd: Of the machines that are up, so far.
        hourly_usd: What those cost an hour.
        by_size: This month, as the next two; `month_usd` is the sum.
        by_task: While jobs of a task ran; idle time and boots are nobody's.
        idle_usd: What machines cost this month while they ran no job.
        days: The last 35.
    """

    at: float
    today_usd: float
    month_usd: float
    alive_usd: float
    hourly_usd: float
    by_size: dict[str, float]
    by_region: dict[str, float]
    by_task: dict[str, float]
    idle_usd: float
    days: tuple[Day, ...]


def costs() -> Costs:
    """Return what machines cost today, this month and on each of the last 35 days.

    An estimate by the price list in `worker_lib.fly.prices`, of the time from a
    machine's first claim to its end and half a second of its boot. Two commands to
    Redis.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    at, spans = counted().latest(_DAY_MINUTES, _DAYS)
    up = [one for one in machines() if one.up_at and one.state != "parked"]
    up_ms = Counter[tuple[str, ...]]()
    for one in up:
        up_ms[one.size, one.region] += int(1000 * max(0.0, at - (one.up_at or at)))
    alive = priced(up_ms)
    hourly = 3600 * sum(price(one.size, one.region) for one in up)
    month = Tally()
    for begin, tally in spans:
        if begin >= _month_of(at):
            month.update(tally)
    ended_ms = month.by("m", 1, 2)
    machine_ms = Counter(ended_ms) + up_ms
    ended, busy = priced(ended_ms), priced(month.by("r", 2, 3))
    *before, today = (_day(begin, tally) for begin, tally in spans)
    up_s = sum(up_ms.values()) / 1000
    today = Day(today.at, today.machine_s + up_s, today.cost_usd + alive)
    return Costs(
        at=at,
        today_usd=today.cost_usd,
        month_usd=ended + alive,
        alive_usd=alive,
        hourly_usd=hourly,
        by_size=_grouped(machine_ms, 0),
        by_region=_grouped(machine_ms, 1),
        by_task=_grouped(month.by("r", 1, 2, 3), 0),
        idle_usd=max(0.0, ended - busy),
        days=(*before, today),
    )


def _day(begin: float, tally: Tally) -> Day:
    machine_ms = tally.by("m", 1, 2)
    return Day(begin, sum(machine_ms.values()) / 1000, priced(machine_ms))


def _grouped(
    milliseconds: Mapping[tuple[str, ...], int], place: int
) -> dict[str, float]:
    """Return the price by one of the names, the highest first."""
    sums: dict[str, float] = {}
    for names, number in milliseconds.items():
        sums[names[place]] = sums.get(names[place], 0.0) + priced({names: number})
    return dict(sorted(sums.items(), key=lambda one: -one[1]))


def _month_of(at: float) -> float:
    now = datetime.fromtimestamp(at, UTC)
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
