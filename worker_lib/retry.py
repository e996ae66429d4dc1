"""When a failed attempt is followed by another, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib.durations import seconds
from worker_lib.errors import ConfigError, JobFailed

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Retry"]

# A death without an exception counts as JobFailed, and as the class that a reader
# would name for it. That one is compared by identity: TimeoutError is an OSError,
# and whoever retries on IOError has not asked for another try of what took too long.
_DEATHS = {"out_of_memory": MemoryError, "timeout": TimeoutError}
_CRASHES = frozenset({"exit", "signal", "out_of_memory", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A policy of retries: exponential backoff with full jitter.

    Attributes:
        max_attempts: Runs in all, the first one included; 1 means no retry.
        backoff: Wait before the second attempt, as a duration; doubled for each
            further one (see `factor`).
        factor: What the wait is multiplied by each time.
        max_backoff: The longest wait.
        jitter: Draw the wait between half of it and the whole, so that jobs which
            failed together do not come back together.
        on: Retry only what is an instance of these. A crash counts as `JobFailed`;
            naming `MemoryError` or `TimeoutError` asks for the attempts that ran out
            of memory or time, too.
        never: Fail at once on these, whatever `on` says.

    Raises:
        ConfigError: a value is out of bounds; the message names it.
    """

    max_attempts: int = 3
    backoff: float | str | timedelta = 1.0
    factor: float = 2.0
    max_backoff: float | str | timedelta = 600.0
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        """Check every bound and keep durations as seconds."""
        object.__setattr__(self, "backoff", seconds(self.backoff, "backoff"))
        object.__setattr__(
            self, "max_backoff", seconds(self.max_backoff, "max_backoff")
        )
        object.__setattr__(self, "on", _classes("on", self.on))
        object.__setattr__(self, "never", _classes("never", self.never))
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ConfigError(
                f"max_attempts={self.max_attempts!r}: it counts the first run, "
                "so it is a whole number from 1"
            )
        if not isinstance(self.factor, int | float) or not self.factor >= 1:
            raise ConfigError(f"factor={self.factor!r}: it must be 1 or more")

    def delay(self, attempt: int, chance: random.Random | None = None) -> float:
        """Return the seconds to wait after the given attempt (from 1) failed."""
        longest = float(self.max_backoff)  # type: ignore[arg-type]  # set above
        base = float(self.backoff)  # type: ignore[arg-type]  # set above
        wait = base
        for _ in range(min(attempt - 1, 64)):  # a power of floats may overflow
            wait = min(longest, wait * self.factor)
        wait = min(longest, wait)
        if not self.jitter:
            return wait
        return (chance or random).uniform(wait / 2, wait)

    def wants(self, error: BaseException) -> bool:
        """Say whether this policy retries after `error`."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    def wants_kind(self, kind: str) -> bool:
        """Say whether this policy retries after a death of this kind."""
        return (
            kind in _CRASHES and _names(kind, self.on) and not _names(kind, self.never)
        )


def _names(kind: str, classes: tuple[type[BaseException], ...]) -> bool:
    return issubclass(JobFailed, classes) or _DEATHS.get(kind) in classes


def _classes(option: str, value: object) -> tuple[type[BaseException], ...]:
    wanted: tuple[object, ...] = value if isinstance(value, tuple) else (value,)
    classes = tuple(
        one
        for one in wanted
        if isinstance(one, type) and issubclass(one, BaseException)
    )
    if len(classes) != len(wanted):
        raise ConfigError(
            f"{option}={value!r}: it takes exception classes, "
            f"such as {option}=(IOError,)"
        )
    return classes
