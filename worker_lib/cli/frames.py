"""One moment of everything as lines of text: what `stats` and `top` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.cli.tables import age, aligned, dollars
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from worker_lib.inspection import Costs, History, Overview, Percentiles

__all__ = ["Line", "count_rows", "overview_lines", "window_rows"]

_QUEUES = ("QUEUE", "WAITING", "OLDEST", "PAUSED")
_POOLS = ("POOL", "SIZE", "WAITING", "RUNNING", "MACHINES", "RUN", "BOOT")
_MB = 1024 * 1024
_UNDER_WAY = ("queued", "running", "retrying", "scheduled")


class Line(NamedTuple):
    """A line without control characters, and the colour that it may have."""

    text: str
    colour: str = ""


def overview_lines(seen: Overview) -> Iterator[Line]:
    """Yield what there is now: jobs, machines, alerts, queues, pools."""
    rows = [(name, _counted(counts)) for name, counts in _groups(seen).items()]
    rows.append(("redis", _server(seen)))
    yield from (Line(line) for line in aligned(rows))
    for alert in seen.alerts:
        yield Line("")
        yield Line(printable(f"! {alert.text}", keep=""), "yellow")
        yield Line(printable(f"  → {alert.remedy}", keep=""))
    yield from _table(_QUEUES, _queue_rows(seen))
    yield from _table(_POOLS, _pool_rows(seen))


def count_rows(seen: Overview) -> list[tuple[str, str]]:
    """Return names and numbers for programs."""
    return [
        (f"{group} {name}", str(count))
        for group, counts in _groups(seen).items()
        for name, count in counts.items()
    ]


def window_rows(seen: History, spent: Costs) -> list[tuple[str, str]]:
    """Return what happened in a window, and what it cost."""
    names = ("succeeded", "failed", "cancelled", "expired", "retried", "lost")
    sums = {name: sum(getattr(one, name) for one in seen.points) for name in names}
    rows = [(f"{name} {seen.window}", f"{total:,}") for name, total in sums.items()]
    times = {"wait": seen.wait, "run": seen.run, "boot": seen.boot}
    rows += [
        (f"{name} {seen.window}", _percentiles(one))
        for name, one in times.items()
        if one
    ]
    return [
        *rows,
        (f"cost {seen.window}", dollars(seen.cost_usd)),
        ("cost today", dollars(spent.today_usd)),
        ("cost this month", dollars(spent.month_usd)),
        ("cost an hour now", dollars(spent.hourly_usd)),
    ]


def _percentiles(times: Percentiles) -> str:
    return f"p50 {times.p50:.3g} s, p95 {times.p95:.3g} s, most {times.most:.3g} s"


def _groups(seen: Overview) -> dict[str, dict[str, int]]:
    jobs = {name: seen.counts.get(name, 0) for name in _UNDER_WAY}
    ended = {name: n for name, n in seen.counts.items() if name not in _UNDER_WAY}
    return {"jobs": jobs, "ended": ended, "machines": seen.machines}


def _counted(counts: Mapping[str, int]) -> str:
    return "   ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _server(seen: Overview) -> str:
    server = seen.server
    limit = f" of {server.max_bytes / _MB:,.0f}" if server.max_bytes else ""
    text = f"{server.used_bytes / _MB:,.1f}{limit} MB   {server.policy}"
    return printable(text, keep="")


def _table(header: Sequence[str], rows: list[tuple[str, ...]]) -> Iterator[Line]:
    if not rows:
        return
    first, *rest = aligned([tuple(header), *rows])
    yield Line("")
    yield Line(first, "dim")
    yield from map(Line, rest)


def _queue_rows(seen: Overview) -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            f"{one.waiting:,}",
            "" if one.oldest_wait is None else age(one.oldest_wait),
            "" if one.paused_at is None else age(seen.at - one.paused_at),
        )
        for one in seen.queues
    ]


def _pool_rows(seen: Overview) -> list[tuple[str, ...]]:
    return [
        (
            one.id,
            one.size,
            f"{one.waiting:,}",
            f"{one.running:,}",
            f"{sum(one.machines.values()):,}/{one.max_machines:,}",
            "" if one.run_s is None else f"{one.run_s:.3g} s",
            "" if one.boot_s is None else f"{one.boot_s:.3g} s",
        )
        for one in seen.pools
    ]
