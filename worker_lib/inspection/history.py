"""What has happened: jobs, waiting, boots and costs over a window, and of all time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from worker_lib.client.client import default_client
from worker_lib.errors import ConfigError
from worker_lib.inspection.counting import Counted, Tally, percentiles
from worker_lib.inspection.prices import priced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from worker_lib.inspection.counting import Percentiles
    from worker_lib.store.views import Views

__all__ = ["WINDOWS", "History", "Point", "TaskSeen", "Window", "counted", "history"]

Window: TypeAlias = Literal["1h", "24h", "7d"]
# Minutes of a step, and how many steps.
_STEPS: Mapping[str, tuple[int, int]] = {
    "1h": (1, 60),
    "24h": (15, 96),
    "7d": (60, 168),
}
WINDOWS: tuple[Window, ...] = get_args(Window)
_TREND_PARTS = 12
_NOT_FAILED = frozenset({"succeeded", "cancelled", "expired"})


class Point(NamedTuple):
    """What happened in a step of time.

    Attributes:
        at: Its beginning, in seconds since the epoch, by Redis's clock.
        failed: Jobs that failed for good; the others likewise.
        retried: Attempts that failed and are tried again.
        lost: Attempts whose machine vanished.
        wait: How long attempts waited to run; None without any.
        boot: How long machines took from their launch to the first claim.
        machine_s: Seconds of machines that ended in it.
        cost_usd: What those cost, in US dollars.
    """

    at: float
    succeeded: int
    failed: int
    cancelled: int
    expired: int
    retried: int
    lost: int
    wait: Percentiles | None
    boot: Percentiles | None
    machine_s: float
    cost_usd: float


class TaskSeen(NamedTuple):
    """How the jobs of a task fared.

    Attributes:
        failed: By kind of failure.
        run: How long their last attempts ran.
        wait: How long attempts waited to run.
        run_s: Seconds of all attempts together.
        cost_usd: What machines cost in these seconds.
        trend: Jobs that succeeded and that failed, in each twelfth of the window, the
            oldest first.
    """

    task: str
    succeeded: int
    failed: dict[str, int]
    cancelled: int
    expired: int
    retried: int
    lost: int
    run: Percentiles | None
    wait: Percentiles | None
    run_s: float
    cost_usd: float
    trend: tuple[tuple[int, int], ...] = ()

    @property
    def success_rate(self) -> float | None:
        """Which part of the jobs that ran to an end succeeded; None without any."""
        ended = self.succeeded + sum(self.failed.values())
        return self.succeeded / ended if ended else None


class History(NamedTuple):
    """A window of time up to now.

    Attributes:
        at: Redis's time.
        step: Seconds of a point.
        points: The oldest first; the last one is under way.
        tasks: Those that had jobs, the busiest first.
    """

    window: Window
    at: float
    step: float
    points: tuple[Point, ...]
    wait: Percentiles | None
    run: Percentiles | None
    boot: Percentiles | None
    tasks: tuple[TaskSeen, ...]
    cost_usd: float


def history(window: str = "1h") -> History:
    """Return what happened of late.

    One command to Redis once the steps are known that are over: 60 of a minute, 96 of
    a quarter of an hour, or 168 of an hour.

    Args:
        window: `1h`, `24h` or `7d`.

    Raises:
        ConfigError: there is no such window.
        StoreUnavailable: Redis cannot be reached.
    """
    if window not in _STEPS:
        raise ConfigError(f"window={window!r}: use {', '.join(WINDOWS)}")
    minutes, count = _STEPS[window]
    at, spans = counted().latest(minutes, count)
    whole = Tally()
    for _, tally in spans:
        whole.update(tally)
    return History(
        window=window,  # type: ignore[arg-type]  # one of the steps
        at=at,
        step=60.0 * minutes,
        points=tuple(_point(begin, tally) for begin, tally in spans),
        wait=percentiles(whole.histogram("w", 2)),
        run=percentiles(whole.histogram("j", 3)),
        boot=percentiles(whole.histogram("b", 2)),
        tasks=tuple(_tasks(whole, _trends([tally for _, tally in spans]))),
        cost_usd=priced(whole.by("m", 1, 2)),
    )


def counted() -> Counted:
    """Return what reads the counts of this process's Redis."""
    return _counted(default_client().store.views)


@lru_cache(maxsize=4)
def _counted(views: Views) -> Counted:
    return Counted(views)


def _point(begin: float, tally: Tally) -> Point:
    ended = {how: count for (how,), count in tally.by("j", 2).items()}
    machine_ms = tally.by("m", 1, 2)
    return Point(
        at=begin,
        succeeded=ended.get("succeeded", 0),
        failed=sum(count for how, count in ended.items() if how not in _NOT_FAILED),
        cancelled=ended.get("cancelled", 0),
        expired=ended.get("expired", 0),
        retried=sum(tally.by("t").values()),
        lost=sum(tally.by("l").values()),
        wait=percentiles(tally.histogram("w", 2)),
        boot=percentiles(tally.histogram("b", 2)),
        machine_s=sum(machine_ms.values()) / 1000,
        cost_usd=priced(machine_ms),
    )


def _trends(tallies: Sequence[Tally]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return for each task how many jobs succeeded and failed in each part of them."""
    found: dict[str, list[list[int]]] = {}
    for number, tally in enumerate(tallies):
        part = number * _TREND_PARTS // len(tallies)
        for (task, how), count in tally.by("j", 1, 2).items():
            if how == "succeeded" or how not in _NOT_FAILED:
                parts = found.setdefault(task, [[0, 0] for _ in range(_TREND_PARTS)])
                parts[part][how != "succeeded"] += count
    return {
        task: tuple((good, bad) for good, bad in parts) for task, parts in found.items()
    }


def _tasks(
    tally: Tally, trends: Mapping[str, tuple[tuple[int, int], ...]]
) -> Iterable[TaskSeen]:
    ended: dict[str, dict[str, int]] = {}
    for (task, how), count in tally.by("j", 1, 2).items():
        ended.setdefault(task, {})[how] = count
    retried, lost = tally.by("t", 1), tally.by("l", 1)
    times: dict[str, dict[tuple[str, ...], int]] = {}
    for (task, size, region), ms in tally.by("r", 1, 2, 3).items():
        times.setdefault(task, {})[size, region] = ms
    runs, waits = tally.histograms("j", 3), tally.histograms("w", 2)
    names = ended.keys() | times.keys() | {task for (task,) in (*retried, *lost)}
    seen = [
        _task(
            task,
            ended.get(task, {}),
            (retried.get((task,), 0), lost.get((task,), 0)),
            (runs.get(task, {}), waits.get(task, {})),
            times.get(task, {}),
        )._replace(trend=trends.get(task, ()))
        for task in names
    ]
    return sorted(seen, key=lambda one: (-one.run_s, one.task))


def _task(
    task: str,
    ended: Mapping[str, int],
    again: tuple[int, int],
    histograms: tuple[Mapping[int, int], Mapping[int, int]],
    times: Mapping[tuple[str, ...], int],
) -> TaskSeen:
    run, wait = map(percentiles, histograms)
    return TaskSeen(
        task=task,
        succeeded=ended.get("succeeded", 0),
        failed={how: n for how, n in sorted(ended.items()) if how not in _NOT_FAILED},
        cancelled=ended.get("cancelled", 0),
        expired=ended.get("expired", 0),
        retried=again[0],
        lost=again[1],
        run=run,
        wait=wait,
        run_s=sum(times.values()) / 1000,
        cost_usd=priced(times),
    )
