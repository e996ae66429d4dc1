"""The metrics: their names, labels and what they mean.

A job's id is never a label. Tasks, and what else a program names, are bounded: those
with the highest numbers are told, and how many were left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from worker_lib.inspection.counting import Tally, upper_bound
from worker_lib.inspection.overview import ALERT_KINDS
from worker_lib.inspection.prices import price

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from worker_lib.inspection import MachineSeen, Overview

__all__ = ["MOST_SERIES", "MOST_TASKS", "Room", "counted_families", "present_families"]

_Name = TypeVar("_Name", str, tuple[str, ...])

MOST_TASKS = 100
MOST_SERIES = 1000
# Every third class of the counted histograms: 1 ms, 3.4 ms, 11 ms ... 23 hours. Each
# bound is that of a class, so that no number is guessed.
_CLASSES = range(0, 46, 3)
_OF_TASKS = frozenset("jwqrtl")
# Told as 0 until they happen: Prometheus sees no increase from nothing to one.
_LOST_REASONS = ("lost", "out_of_memory")
_LAUNCH_ERRORS = (
    *("ApiUnavailable", "ConfigError", "InvalidRequest", "MachineConflict"),
    *("NoCapacity", "RateLimited", "Unauthorized"),
)
_STATES = ("owed", "launching", "starting", "idle", "woken", "busy", "parked")
_NOT_FAILED = frozenset({"succeeded", "cancelled", "expired"})


class Room:
    """Sees to it that there are not too many series, and counts what it left out.

    Args:
        tasks: Tasks that are told of.
        series: Combinations of other labels, for each metric.
    """

    def __init__(self, tasks: int = MOST_TASKS, series: int = MOST_SERIES) -> None:
        self._tasks = tasks
        self._series = series
        self._left_out = 0

    def tasks(self, counts: Tally) -> frozenset[str]:
        """Return the tasks that had the most attempts and ends."""
        sums: dict[str, int] = {}
        for kind in "jtl":
            for (task,), number in counts.by(kind, 1).items():
                sums[task] = sums.get(task, 0) + number
        return frozenset(task for task, _ in self._most(sums, self._tasks))

    def series(self, numbers: Mapping[tuple[str, ...], int]) -> Tally:
        """Return the largest of these."""
        return Tally(dict(self._most(numbers, self._series)))

    def family(self) -> Metric:
        """Return how many were left out so far."""
        return GaugeMetricFamily(
            "worker_lib_left_out",
            f"Tasks beyond {self._tasks} and label sets beyond {self._series} of a "
            "metric that are not told; those with the highest numbers are.",
            value=self._left_out,
        )

    def _most(self, sums: Mapping[_Name, int], most: int) -> list[tuple[_Name, int]]:
        ordered = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
        self._left_out += max(0, len(ordered) - most)
        return ordered[:most]


def counted_families(counts: Tally, room: Room) -> Iterator[Metric]:
    """Yield the counters and histograms: what happened since the first job."""
    tasks = room.tasks(counts)
    told = Tally(
        {
            names: number
            for names, number in counts.items()
            if names[0] in _OF_TASKS and not tasks.isdisjoint(names[1:2])
        }
    )
    yield _jobs(told, tasks, room)
    yield _counter(
        "worker_lib_retried",
        "Attempts that failed and were to be tried again.",
        ("task", "cause"),
        room.series(told.by("t", 1, 2)),
    )
    yield _counter(
        "worker_lib_lost",
        "Attempts that ended with their machine.",
        ("reason",),
        room.series(_with_zeros(_LOST_REASONS) | counts.by("l", 2)),
    )
    yield from _durations(told, counts)
    yield from _machine_counts(counts, room)


def present_families(
    seen: Overview, alive: Sequence[MachineSeen], room: Room
) -> Iterator[Metric]:
    """Yield the gauges: what there is at this moment."""
    yield _gauge(
        "worker_lib_jobs",
        "Jobs by status; of those that ended, the ones that are still kept.",
        ("state",),
        {(status,): number for status, number in seen.counts.items()},
    )
    yield _gauge(
        "worker_lib_machines",
        "Machines by state; owed ones are to be asked for. Of more than 100 in a pool, "
        "an estimate.",
        ("state",),
        {(state,): seen.machines.get(state, 0) for state in _STATES},
    )
    yield from _waiting(seen, room)
    yield from _running(alive)
    kinds = [alert.kind for alert in seen.alerts]
    yield _gauge(
        "worker_lib_alerts",
        "What a person should know at present, as worker-lib stats tells it.",
        ("kind",),
        {(kind,): kinds.count(kind) for kind in ALERT_KINDS},
    )
    yield GaugeMetricFamily(
        "worker_lib_redis_memory_bytes",
        "Memory that the Redis server uses.",
        value=seen.server.used_bytes,
    )
    yield GaugeMetricFamily(
        "worker_lib_redis_memory_limit_bytes",
        "Memory that the Redis server may use; 0 for no limit.",
        value=seen.server.max_bytes,
    )


def _jobs(told: Tally, tasks: Iterable[str], room: Room) -> Metric:
    ended: dict[tuple[str, ...], int] = {}
    for task in tasks:
        ended[task, "succeeded", ""] = ended[task, "failed", "error"] = 0
    for (task, how), number in told.by("j", 1, 2).items():
        is_failure = how not in _NOT_FAILED
        ended[(task, "failed", how) if is_failure else (task, how, "")] = number
    return _counter(
        "worker_lib_jobs",
        "Jobs that ended; the cause is the kind of failure.",
        ("task", "outcome", "cause"),
        room.series(ended),
    )


def _durations(told: Tally, counts: Tally) -> Iterator[Metric]:
    runs = Tally()
    for kind in "jtl":
        runs.update({("run", *n): v for n, v in told.by(kind, 1, 3).items()})
    yield _histogram(
        "worker_lib_job_duration_seconds",
        "How long attempts ran, those that failed or were lost too.",
        "task",
        runs.histograms("run", 2),
        told.by("r", 1),
    )
    yield _histogram(
        "worker_lib_queue_wait_seconds",
        "How long attempts waited to run, from when they could.",
        "task",
        told.histograms("w", 2),
        told.by("q", 1),
    )
    yield _histogram(
        "worker_lib_machine_boot_seconds",
        "How long machines took from their launch to the first claim; how is created, "
        "or started if they were parked.",
        "how",
        counts.histograms("b", 2),
        counts.by("B", 1),
    )


def _machine_counts(counts: Tally, room: Room) -> Iterator[Metric]:
    kinds = ("size", "region")
    milliseconds = room.series(counts.by("m", 1, 2))
    yield _counter(
        "worker_lib_machine_seconds",
        "Seconds that are paid for of machines that have ended or were parked.",
        kinds,
        {names: number / 1000 for names, number in milliseconds.items()},
    )
    yield _gauge(
        "worker_lib_machine_usd_per_second",
        "What such a machine costs, by the price list.",
        kinds,
        {names: price(*names) for names in milliseconds},
    )
    yield _counter(
        "worker_lib_machines_ended",
        "Machines that have ended or were parked; the reason is empty (no more jobs), "
        "parked, stopped or lost.",
        ("size", "region", "reason"),
        room.series(counts.by("c", 1, 2, 3)),
    )
    yield _counter(
        "worker_lib_launch_errors",
        "Machines that could not be had; the code is the class of the error.",
        ("code",),
        room.series(_with_zeros(_LAUNCH_ERRORS) | counts.by("e", 1)),
    )


def _waiting(seen: Overview, room: Room) -> Iterator[Metric]:
    waiting = room.series({(one.name,): one.waiting for one in seen.queues})
    yield _gauge(
        "worker_lib_queue_jobs",
        "Jobs of a queue that could run now, but for its pause.",
        ("queue",),
        waiting,
    )
    paused = {one.name for one in seen.queues if one.paused_at is not None}
    yield _gauge(
        "worker_lib_queue_paused",
        "1 for a queue that is paused and has jobs.",
        ("queue",),
        {(name,): int(name in paused) for (name,) in waiting},
    )
    yield GaugeMetricFamily(
        "worker_lib_oldest_wait_seconds",
        "How long the job has waited that is next in its queue, the longest of all "
        "queues that are not paused; 0 without one.",
        value=seen.oldest_wait or 0.0,
    )


def _running(alive: Sequence[MachineSeen]) -> Iterator[Metric]:
    up = [one for one in alive if one.up_at and one.state != "parked"]
    yield GaugeMetricFamily(
        "worker_lib_oldest_machine_seconds",
        "For how long the oldest machine that is up has been there; 0 without one.",
        value=max((one.age for one in up), default=0.0),
    )
    yield GaugeMetricFamily(
        "worker_lib_machines_usd_per_hour",
        "What the machines that are up cost, by the price list.",
        value=3600 * sum(price(one.size, one.region) for one in up),
    )


def _with_zeros(names: Iterable[str]) -> dict[tuple[str, ...], int]:
    return dict.fromkeys(((name,) for name in names), 0)


def _counter(
    name: str,
    text: str,
    labels: Sequence[str],
    numbers: Mapping[tuple[str, ...], float],
) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), numbers)


def _gauge(
    name: str,
    text: str,
    labels: Sequence[str],
    numbers: Mapping[tuple[str, ...], float],
) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), numbers)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily,
    numbers: Mapping[tuple[str, ...], float],
) -> Metric:
    for names, number in sorted(numbers.items()):
        family.add_metric(names, number)
    return family


def _histogram(
    name: str,
    text: str,
    label: str,
    classes: Mapping[str, Mapping[int, int]],
    milliseconds: Mapping[tuple[str, ...], int],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=(label,))
    for one, numbers in sorted(classes.items()):
        total = milliseconds.get((one,), 0) / 1000
        family.add_metric((one,), _buckets(numbers), total)
    return family


def _buckets(numbers: Mapping[int, int]) -> list[tuple[str, float]]:
    """Return how many are in each class or below, as (upper bound, number)."""
    found = [
        (
            str(float(f"{upper_bound(which):.4g}")),
            float(sum(n for one, n in numbers.items() if one <= which)),
        )
        for which in _CLASSES
    ]
    return [*found, ("+Inf", float(sum(numbers.values())))]
