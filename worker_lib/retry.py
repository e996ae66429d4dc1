"""When a failed attempt is followed by another, and after how long."""

from __future__ import annotations

from worker_lib.checks import seconds, whole
from worker_lib.errors import ConfigError, JobFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from random import Random
    from typing import Any

    from worker_lib.errors import FailureKind

__all__ = ["CRASHES", "Retry", "has_another_attempt"]

# The kinds of failure without an exception after which the task may be run again.
CRASHES: tuple[FailureKind, ...] = (
    *("exit", "signal", "out_of_memory", "timeout", "not_started"),
)
# Such a failure counts as what `result()` would raise, and as the builtin that a reader
# would name for it. That one is compared by identity: TimeoutError is an OSError, and
# whoever retries on IOError has not asked for another try of what took too long.
_BUILTINS = {"out_of_memory": MemoryError, "timeout": TimeoutError}


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
        on: Retry only what is an instance of these. A crash counts as what `result()`
            would raise (`Crashed`, `OutOfMemory`, `JobTimeout`, `StartFailed`); naming
            `MemoryError` or `TimeoutError` asks for the attempts that ran out of
            memory or time, too.
        never: Fail at once on these, whatever `on` says.

    Raises:
        ConfigError: a value is out of bounds; the message names it.
    """

    __slots__ = (
        "backoff",
        "factor",
        "jitter",
        "max_attempts",
        "max_backoff",
        "never",
        "on",
    )
    max_attempts: int
    backoff: float
    factor: float
    max_backoff: float
    jitter: bool
    on: tuple[type[BaseException], ...]
    never: tuple[type[BaseException], ...]

    def __init__(
        self,
        *,
        max_attempts: int = 3,
        backoff: float | str | timedelta = 1.0,
        factor: float = 2.0,
        max_backoff: float | str | timedelta = 600.0,
        jitter: bool = True,
        on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        never: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> None:
        if not isinstance(factor, int | float) or not factor >= 1:
            raise ConfigError(f"factor={factor!r}: it must be 1 or more")
        self.max_attempts = whole(1)(max_attempts, "max_attempts")
        self.backoff = seconds(backoff, "backoff")
        self.factor = factor
        self.max_backoff = seconds(max_backoff, "max_backoff")
        self.jitter = jitter
        self.on = _classes("on", on)
        self.never = _classes("never", never)

    def __repr__(self) -> str:
        """Show every value."""
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Retry({shown})"

    def __eq__(self, other: object) -> bool:
        """Policies with equal values are equal."""
        return isinstance(other, Retry) and self._values() == other._values()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._values())

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def delay(self, attempt: int, chance: Random | None = None) -> float:
        """Return the seconds to wait after the given attempt (from 1) failed."""
        wait = self.backoff
        for _ in range(min(attempt - 1, 64)):  # a power of floats may overflow
            wait = min(self.max_backoff, wait * self.factor)
        wait = min(self.max_backoff, wait)
        if not self.jitter:
            return wait
        import random  # noqa: PLC0415 - a machine that retries nothing needs none

        return (chance or random).uniform(wait / 2, wait)

    def wants(self, error: BaseException) -> bool:
        """Say whether this policy retries after `error`."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    def wants_kind(self, kind: str) -> bool:
        """Say whether this policy retries after a failure of this kind."""
        return (
            kind in CRASHES and _names(kind, self.on) and not _names(kind, self.never)
        )


def has_another_attempt(
    policy: Mapping[str, Any], attempt: int, kind: str, *, wanted: bool
) -> bool:
    """Say whether an attempt that failed is followed by another.

    Args:
        policy: As it is stored with the job.
        attempt: From 1.
        kind: As `JobFailed.kind`.
        wanted: Whether the task's policy retries after what was raised.
    """
    is_wanted = wanted or kind in policy["retry_kinds"]
    return bool(is_wanted and attempt < policy["max_attempts"])


def _names(kind: str, classes: tuple[type[BaseException], ...]) -> bool:
    raised = JobFailed.type_of(kind)
    return issubclass(raised, classes) or _BUILTINS.get(kind) in classes


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
