"""What can be said about how a task is run, each value checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from worker_lib import labels
from worker_lib.checks import (
    choice,
    duration,
    optional,
    text,
    unknown_name,
    whole,
)
from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import CHEAPEST, affordable
from worker_lib.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from worker_lib.checks import Check

    Duration = float | str | timedelta

__all__ = ["CallOptions", "DeclaredOptions", "TaskOptions"]

_NO_RETRY = Retry(max_attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How calls of a task are run; every value checked.

    Attributes:
        queue: Any name of 1 to 64 letters, digits, `-`, `_` or `.`.
        priority: -100 to 100; among waiting jobs of a queue the higher is first.
        tags: By which jobs are looked up; at most 16.
        key: Makes the call unique: while a job of this task and key is queued or
            runs, a further call returns that job. "" for none.
        unique_for: Seconds since the first call during which a further call returns
            its job even if it has ended; needs `key`.
        expires: Seconds that a call may wait for its start before it ends `expired`;
            None for the setting.
        queues: The order in which this pool's machines serve queues, as `high,low`
            or `high=5,low=1`; "" for the setting.
        machine: Fly's preset, such as `shared-cpu-1x` or `performance-2x`.
        memory_mb: Megabytes; None for the preset's own.
        region: Regions to try in turn; () for the app's own.
        timeout: Seconds an attempt may take.
        retry: What follows a failed attempt.
        max_machines: Machines of this pool at the same time; None for the setting.
        max_hourly_cost: US dollars an hour that the pool's machines may cost
            together, by the prices of `worker_lib.fly.prices`; lowers `max_machines`.
            None: no such limit.
        target_latency: Seconds that a call is to wait for its start at most: the pool
            has as few machines as that takes, within `max_machines`. None: as many as
            shorten the wait by enough to be worth their price.
        isolate: A machine runs one job and ends.
        result_ttl: Seconds the outcome is kept; None for the setting.
        env: Variables of the machine, besides the app's secrets.
        on_lost: `retry` runs a job again whose machine vanished, `fail` does not.
        linger: Seconds a machine waits for another call before it ends.
        park: How many machines of this pool may stay parked when it has no more calls,
            to be started again instead of created; None for the setting.
        park_for: Seconds after which one that was not needed is destroyed.
        preview: Whether pages may show arguments and results, as far as they look like
            no secrets.
        delay: Seconds before the job may start; only of a single call.
    """

    queue: str = "default"
    priority: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    key: str = ""
    unique_for: float = 0.0
    expires: float | None = None
    queues: str = ""
    machine: str = "shared-cpu-1x"
    memory_mb: int | None = None
    region: tuple[str, ...] = ()
    timeout: float = 300.0
    retry: Retry = _NO_RETRY
    max_machines: int | None = None
    max_hourly_cost: float | None = None
    target_latency: float | None = None
    isolate: bool = False
    result_ttl: float | None = None
    env: tuple[tuple[str, str], ...] = ()
    on_lost: str = "retry"
    linger: float = 0.0
    park: int | None = None
    park_for: float = 86400.0
    preview: bool = True
    delay: float = 0.0

    @property
    def guest(self) -> Guest:
        """The machine's size."""
        return Guest.parse(self.machine, self.memory_mb)

    @property
    def shared(self) -> TaskOptions:
        """The same without what is said of a single call."""
        own = any(getattr(self, name) != value for name, value in _OF_ONE_CALL.items())
        return dataclasses.replace(self, **_OF_ONE_CALL) if own else self

    def replace(self, **changes: Any) -> TaskOptions:
        """Return these options with some changed, every change checked.

        Raises:
            ConfigError: a name is unknown or a value is out of bounds.
        """
        names = {one.name for one in dataclasses.fields(self)}
        for name in changes:
            if name not in names:
                raise ConfigError(unknown_name("option", name, names))
        clean = {name: _CHECKS[name](value, name) for name, value in changes.items()}
        changed = dataclasses.replace(self, **clean)
        if changed.unique_for and not changed.key:
            raise ConfigError(
                "unique_for= needs key=, which says what is unique: write "
                ".options(key=..., unique_for=...)"
            )
        _check_isolation(changed)
        guest, most = changed.guest, changed.max_hourly_cost
        if most is not None:  # without a region, the cheapest may still be chosen
            affordable(guest, changed.region or (CHEAPEST,), most)
        return changed


class DeclaredOptions(TypedDict, total=False):
    """What `fly_task` takes, as it is written; see `TaskOptions`."""

    queue: str
    priority: int
    tags: Mapping[str, str]
    key: str
    unique_for: Duration
    expires: Duration | None
    queues: str
    machine: str
    memory_mb: int | None
    region: str | Sequence[str]
    timeout: Duration
    retry: Retry | int
    max_machines: int | None
    max_hourly_cost: float | None
    target_latency: Duration | None
    isolate: bool
    result_ttl: Duration | None
    env: Mapping[str, str]
    on_lost: str
    linger: Duration
    park: int | None
    park_for: Duration
    preview: bool


class CallOptions(DeclaredOptions, total=False):
    """What `Task.options` takes."""

    delay: Duration


def _check_isolation(options: TaskOptions) -> None:
    for name, effect in _NOT_ISOLATED.items():
        if options.isolate and getattr(options, name):
            raise ConfigError(
                f"isolate=True {effect}, so {name}= does nothing: drop it"
            )


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r}: use True or False")
    return value


def _dollars(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise ConfigError(f"{name}={value!r}: use US dollars an hour, as 0.50")
    return float(value)


def _queues(value: Any, name: str) -> str:
    return labels.queue_order(value, name) if value else ""


def _regions(value: Any, name: str) -> tuple[str, ...]:
    some = isinstance(value, list | tuple | set | frozenset)
    regions = tuple(value) if some else (value,) if value else ()
    for region in regions:
        if not (isinstance(region, str) and region.isascii() and region.isalnum()):
            raise ConfigError(f"{name}={value!r}: use Fly's region names, as 'ams'")
    return regions


def _retry(value: Any, name: str) -> Retry:
    if isinstance(value, Retry):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Retry(max_attempts=value)
    raise ConfigError(
        f"{name}={value!r}: use Retry(max_attempts=..., backoff=...) or a number"
    )


def _memory(value: Any, name: str) -> Any:
    del name  # Guest checks it, against the preset
    return value


def _environment(value: Any, name: str) -> tuple[tuple[str, str], ...]:
    if not hasattr(value or {}, "keys"):
        raise ConfigError(f"{name}= takes names and texts, as {{'TZ': 'UTC'}}")
    pairs = dict(value or {}).items()
    for key, word in pairs:
        if not isinstance(key, str) or not isinstance(word, str) or "=" in key:
            raise ConfigError(f"{name}= takes names and texts; see {key!r}")
        if key.startswith(("FLY_", "WORKER_LIB_")):
            raise ConfigError(f"{name}= may not set {key}: Fly or worker_lib does")
    return tuple(sorted(pairs))


_CHECKS: dict[str, Check[Any]] = {
    "queue": labels.queue_name,
    "priority": labels.priority,
    "tags": lambda value, name: labels.tag_pairs(value or {}, name),
    "key": labels.job_key,
    "unique_for": duration(0.0),
    "expires": optional(duration(0.1)),
    "queues": _queues,
    "machine": text("a preset, as 'shared-cpu-1x'"),
    "memory_mb": _memory,
    "region": _regions,
    "timeout": duration(0.1),
    "retry": _retry,
    "max_machines": optional(whole(1)),
    "max_hourly_cost": optional(_dollars),
    "target_latency": optional(duration(0.1)),
    "isolate": _flag,
    "result_ttl": optional(duration(1)),
    "env": _environment,
    "on_lost": choice("retry", "fail"),
    "linger": duration(0.0),
    "park": optional(whole(0)),
    "park_for": duration(1),
    "preview": _flag,
    "delay": duration(0.0),
}
_NOT_ISOLATED = {
    "linger": "ends a machine after its job",
    "park": "ends a machine after its job",
    "target_latency": "takes a machine for every job",
}
_OF_ONE_CALL: dict[str, Any] = {
    one.name: one.default
    for one in dataclasses.fields(TaskOptions)
    if one.name in {"delay", "priority", "tags", "key", "unique_for", "expires"}
}
