"""What a fan-out will take, told before it is made: machines, seconds and dollars.

`forecast` does what `lua/_pools.lua` decides, on paper: machines that are parked start,
others come one after another as Fly creates them, and one more is taken as long as it
is worth it. It takes every call to last as long, and the pool to have no others. `make
burst` plays the same with real parts.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from worker_lib import checks
from worker_lib.errors import ConfigError
from worker_lib.fly.prices import USD_PER_COMMAND, USD_PER_PARKED_GB, usd_per_second
from worker_lib.store.store import CREATE_BURST, CREATES_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized
    from datetime import timedelta

    from worker_lib.client.client import Client
    from worker_lib.task import Task

    Duration = float | str | timedelta

Basis = Literal["given", "measured", "assumed"]

__all__ = ["Forecast", "Pool", "forecast", "plan"]

# As in `lua/_pools.lua`.
WORTH, BILLED_BOOT, FIRST_BOOT, FIRST_WAKE = 5, 0.5, 3.0, 1.0
_ASSUMED = {"run": 1.0, "boot": FIRST_BOOT}
# Calls that one command stores, outcomes that one command reads.
_STORED_AT_ONCE, _READ_AT_ONCE = 250, 250
# A machine holds calls that take so long together, and so many at most.
_HELD_SECONDS, _HELD_CALLS = 0.05, 64
# Of each machine: it is launched, recorded, claims, and listens.
_COMMANDS_OF_A_MACHINE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What a forecast needs to know of a pool.

    Attributes:
        run: Seconds that a call takes.
        boot: Seconds from a machine's launch to its first call.
        most: Machines at the same time.
        target_latency: Seconds that a call may wait; 0 if that was not said.
        isolate: Each machine runs one call.
        parked: Machines that can be started instead of created.
        wake: Seconds from the start of one of them to its first call.
        park: How many may stay parked when there are no more calls.
        park_for: Seconds until these are destroyed.
        usd_per_second: Of one machine.
        lease_ttl: Seconds; a call's lease is renewed after a third of it.
    """

    run: float
    boot: float
    most: int
    target_latency: float = 0.0
    isolate: bool = False
    parked: int = 0
    wake: float = FIRST_WAKE
    park: int = 0
    park_for: float = 0.0
    usd_per_second: float = 0.0
    lease_ttl: float = checks.LEASE_TTL


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What so many calls will take, about; print it to read it.

    Attributes:
        calls: How many.
        run: Seconds that each takes, as was told, measured or assumed.
        boot: Seconds from a machine's launch to its first call, likewise.
        basis: Where those two are from: `given`, `measured` or `assumed`.
        machines: At the same time.
        creates: Of machines; fewer than machines where some are parked, more where
            calls are isolated.
        seconds: Until the last call has ended.
        machine_seconds: That are billed.
        usd: For these, in US dollars.
        commands: To Redis.
        redis_usd: For these, if Redis is billed by the command.
        parked: How many machines stay parked afterwards.
        parked_usd: What these cost, if nobody calls them, for each GB of their image.
    """

    calls: int
    run: float
    boot: float
    basis: tuple[Basis, Basis]
    machines: int
    creates: int
    seconds: float
    machine_seconds: float
    usd: float
    commands: int
    redis_usd: float
    parked: int = 0
    parked_usd: float = 0.0

    def __str__(self) -> str:
        """Return two lines for people, or three if machines stay parked."""
        run, boot = self.basis
        return (
            f"{_many(self.calls, 'call')} of {self.run:.3g} s ({run}), boots of "
            f"{self.boot:.3g} s ({boot}): {_many(self.machines, 'machine')} at once, "
            f"done in about {_length(self.seconds)}\n"
            f"{_many(round(self.machine_seconds), 'machine second')} for "
            f"{_dollars(self.usd)}, {_many(self.creates, 'create')}, about "
            f"{_many(self.commands, 'Redis command')} for {_dollars(self.redis_usd)}"
            + self._left()
        )

    def _left(self) -> str:
        if not self.parked:
            return ""
        return (
            f"\n{_many(self.parked, 'machine')} stay parked, for at most "
            f"{_dollars(self.parked_usd)} for each GB of the image"
        )


def plan(
    client: Client,
    task: Task[..., Any],
    items: int | Sized,
    *,
    run: Duration | None,
    boot: Duration | None,
    machines: int | None,
) -> Forecast:
    """Return what calls of a task would take; see `Task.plan`."""
    calls, known = _count(items), client.plan_of(task)
    told = {"run": _seconds(run, "run"), "boot": _seconds(boot, "boot")}
    most = known.max_machines
    if machines is not None:
        most = min(most, checks.whole(1)(machines, "machines"))
    seen = client.store.measured(known.pool)
    found = {name: _known(told[name], seen.get(name), name) for name in told}
    regions = task.spec.region or (client.settings.region,)
    pool = Pool(
        run=found["run"][0],
        boot=found["boot"][0],
        most=most,
        target_latency=known.target_latency,
        isolate=known.isolate,
        parked=int(seen["parked"]),
        wake=seen.get("wake", FIRST_WAKE),
        park=known.park,
        park_for=task.spec.park_for,
        usd_per_second=usd_per_second(task.spec.guest, regions[0]),
        lease_ttl=client.settings.lease_ttl,
    )
    return forecast(calls, pool, basis=(found["run"][1], found["boot"][1]))


def forecast(
    calls: int, pool: Pool, *, basis: tuple[Basis, Basis] = ("given", "given")
) -> Forecast:
    """Return what so many calls take in an empty pool.

    Args:
        calls: How many.
        pool: What is known.
        basis: Where its `run` and `boot` are from.
    """
    if pool.isolate:
        machines, seconds = _isolated(calls, pool)
        creates = calls
    else:
        arrivals = _machines(calls, pool)
        machines = len(arrivals)
        creates = max(0, machines - pool.parked)
        seconds = _drained(arrivals, calls, pool.run)
    begun = max(machines, creates)
    billed = calls * pool.run + begun * min(pool.boot, BILLED_BOOT)
    commands = _commands(calls, begun, pool)
    return Forecast(
        calls=calls,
        run=pool.run,
        boot=pool.boot,
        basis=basis,
        machines=machines,
        creates=creates,
        seconds=seconds,
        machine_seconds=billed,
        usd=billed * pool.usd_per_second,
        commands=commands,
        redis_usd=commands * USD_PER_COMMAND,
        parked=min(pool.park, machines),
        parked_usd=min(pool.park, machines) * pool.park_for * USD_PER_PARKED_GB,
    )


def _arrivals(pool: Pool) -> Iterator[float]:
    """Yield when one machine after the other takes its first call, in seconds."""
    yield from itertools.repeat(pool.wake, pool.parked)
    for number in itertools.count():
        line = max(0, number - CREATE_BURST + 1)
        yield pool.boot + line / CREATES_PER_SECOND


def _machines(calls: int, pool: Pool) -> list[float]:
    """Return when each machine comes that is worth it, as `worth_it` decides."""
    found: list[float] = []
    work = calls * pool.run
    for arrives in _arrivals(pool):
        count = len(found)
        if count == min(pool.most, calls):
            break
        if pool.target_latency and count:
            last_start = _drained(found, calls, pool.run) - pool.run
            wanted = last_start > pool.target_latency and last_start > arrives
        else:
            drained = (work + sum(found) + arrives) / (count + 1)
            wanted = drained - arrives >= WORTH * min(pool.boot, BILLED_BOOT)
        if count and not wanted:
            break
        found.append(arrives)
    return found


def _drained(arrivals: list[float], calls: int, run: float) -> float:
    """Return when machines that come so have run so many calls of equal length."""
    if not calls:
        return 0.0
    low = min(arrivals)
    high = low + calls * run

    def ended(at: float) -> int:
        return sum(math.floor((at - one) / run + 1e-9) for one in arrivals if one < at)

    while high - low > run / 1000:
        middle = (low + high) / 2
        low, high = (low, middle) if ended(middle) >= calls else (middle, high)
    return high


def _isolated(calls: int, pool: Pool) -> tuple[int, float]:
    """Return how many machines there are at once, and when the last has ended."""
    life = pool.boot + pool.run
    rate = min(CREATES_PER_SECOND, pool.most / life)
    at_once = min(calls, pool.most, math.ceil(CREATE_BURST + life * rate))
    return at_once, life + max(0, calls - min(CREATE_BURST, pool.most)) / rate


def _commands(calls: int, machines: int, pool: Pool) -> int:
    held = max(1, min(_HELD_CALLS, int(_HELD_SECONDS / pool.run)))
    renewed = int(pool.run / (pool.lease_ttl / 3))
    reports = math.ceil(calls / held) + calls * renewed
    stored = math.ceil(calls / _STORED_AT_ONCE) + math.ceil(calls / _READ_AT_ONCE)
    return stored + reports + machines * _COMMANDS_OF_A_MACHINE


def _count(items: int | Sized) -> int:
    if isinstance(items, int):
        return checks.whole(0)(items, "items")
    if not hasattr(items, "__len__"):
        raise ConfigError(
            f"plan() takes the number of calls, or something with a length, not a "
            f"{type(items).__name__}: an iterator would be used up"
        )
    return len(items)


def _known(told: float | None, seen: float | None, name: str) -> tuple[float, Basis]:
    if told is not None:
        return told, "given"
    return (_ASSUMED[name], "assumed") if seen is None else (seen, "measured")


def _seconds(value: Duration | None, name: str) -> float | None:
    return None if value is None else checks.duration(1e-6)(value, name)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _dollars(usd: float) -> str:
    if usd < 0.0001:
        return "less than $0.0001"
    return f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"


def _length(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
