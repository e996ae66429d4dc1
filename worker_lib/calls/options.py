"""What can be said about how a task is run, each value checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from worker_lib.retry import Retry

if TYPE_CHECKING:
    from worker_lib.checks import Check

__all__ = ["QUEUES", "TaskOptions"]

# In the order in which they are served.
QUEUES = ("high", "default", "low")
_NO_RETRY = Retry(max_attempts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How calls of a task are run; every value checked.

    Attributes:
        queue: `high`, `default` or `low`; a machine takes all of one before the next.
        machine: Fly's preset, such as `shared-cpu-1x` or `performance-2x`.
        memory_mb: Megabytes; None for the preset's own.
        region: Regions to try in turn; () for the app's own.
        timeout: Seconds an attempt may take.
        retry: What follows a failed attempt.
        max_machines: Machines of this pool at the same time; None for the setting.
        result_ttl: Seconds the outcome is kept; None for the setting.
        env: Variables of the machine, besides the app's secrets.
        on_lost: `retry` runs a job again whose machine vanished, `fail` does not.
        linger: Seconds a machine waits for another call before it ends.
        delay: Seconds before the job may start; only of a single call.
    """

    queue: str = "default"
    machine: str = "shared-cpu-1x"
    memory_mb: int | None = None
    region: tuple[str, ...] = ()
    timeout: float = 300.0
    retry: Retry = _NO_RETRY
    max_machines: int | None = None
    result_ttl: float | None = None
    env: tuple[tuple[str, str], ...] = ()
    on_lost: str = "retry"
    linger: float = 0.0
    delay: float = 0.0

    @property
    def guest(self) -> Guest:
        """The machine's size."""
        return Guest.parse(self.machine, self.memory_mb)

    @property
    def undelayed(self) -> TaskOptions:
        """The same without `delay`: what all calls with these options share."""
        return dataclasses.replace(self, delay=0.0) if self.delay else self

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
        _ = changed.guest
        return changed


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
    "queue": choice(*QUEUES),
    "machine": text("a preset, as 'shared-cpu-1x'"),
    "memory_mb": _memory,
    "region": _regions,
    "timeout": duration(0.1),
    "retry": _retry,
    "max_machines": optional(whole(1)),
    "result_ttl": optional(duration(1)),
    "env": _environment,
    "on_lost": choice("retry", "fail"),
    "linger": duration(0.0),
    "delay": duration(0.0),
}
