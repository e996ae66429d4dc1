"""`@fly_task`: a function, and how its calls are to be run elsewhere."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from worker_lib.durations import seconds
from worker_lib.errors import ConfigError
from worker_lib.guest import Guest
from worker_lib.pickling import reference, resolve
from worker_lib.retry import Retry
from worker_lib.suggestions import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import timedelta

    from worker_lib.handle import Job

__all__ = ["QUEUES", "Task", "TaskOptions", "fly_task"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# In the order in which they are served.
QUEUES = ("high", "default", "low")
_ON_LOST = ("retry", "fail")
_PER_CALL = ("delay",)


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
    retry: Retry = field(default_factory=lambda: Retry(max_attempts=1))
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

    def replace(self, **changes: Any) -> TaskOptions:
        """Return these options with some changed, every change checked.

        Raises:
            ConfigError: a name is unknown or a value is out of bounds.
        """
        names = {one.name for one in dataclasses.fields(self)}
        for name in changes:
            if name not in names:
                raise ConfigError(unknown_name("option", name, names))
        clean = {name: _CHECKS[name](name, value) for name, value in changes.items()}
        changed = dataclasses.replace(self, **clean)
        _ = changed.guest
        return changed


class Task(Generic[P, R]):
    """A function that can run here, by a plain call, or on a machine.

    Attributes:
        fn: The function itself.
        spec: How its calls are run.
        name: `module:name`, as shown to people.
    """

    def __init__(self, fn: Callable[P, R], spec: TaskOptions) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.spec = spec
        self.name = f"{fn.__module__}:{fn.__qualname__}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        """Name the task."""
        return f"<Task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name where a machine can import it, else by value."""
        name = reference(self.fn)
        if name:
            return _task_of_name, (name, self.spec)
        return Task, (self.fn, self.spec)

    @overload
    def delay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...

    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Store the call and return its job at once.

        One round trip to Redis; a machine is asked for in the background. The
        arguments are checked against the signature and pickled before anything is
        stored.

        Raises:
            TypeError: the function does not take these arguments.
            ArgumentsNotEncodable: one of them cannot be pickled.
            PayloadTooLarge: they are over `WORKER_LIB_MAX_PAYLOAD`.
            StoreUnavailable: Redis cannot be reached or is full; nothing was stored.
            ConfigError: a setting is missing or wrong.
        """
        from worker_lib.client import default_client  # noqa: PLC0415 - a layer above

        self._signature.bind(*args, **kwargs)
        return default_client().submit(self, args, kwargs)

    @overload
    async def adelay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...

    @overload
    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Do as `delay` does, without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - programs that do not await need none

        return await asyncio.to_thread(self.delay, *args, **kwargs)

    @overload
    def remote(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    @overload
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the call on a machine, wait, and return its value.

        Raises:
            Exception: whatever the task raised, besides what `delay` raises.
        """
        return self.delay(*args, **kwargs).result()

    def options(self, **changes: Any) -> Task[P, R]:
        """Return the same task with some options changed, for single calls.

        Args:
            changes: As `fly_task` takes them, and `delay`: how long to wait before
                the job may start.

        Raises:
            ConfigError: a name is unknown (the nearest is offered) or a value is out
                of bounds.
        """
        return Task(self.fn, self.spec.replace(**changes))

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.fn)


@overload
def fly_task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def fly_task(
    *,
    queue: str = ...,
    machine: str = ...,
    memory_mb: int | None = ...,
    region: str | Sequence[str] = ...,
    timeout: float | str | timedelta = ...,
    retry: Retry | int = ...,
    max_machines: int | None = ...,
    result_ttl: float | str | timedelta | None = ...,
    env: Mapping[str, str] = ...,
    on_lost: str = ...,
    linger: float | str | timedelta = ...,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def fly_task(
    fn: Callable[P, R] | None = None, /, **options: Any
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function, so that calls of it can run on a machine.

    Args:
        fn: The function; left out when options are given.
        options: See `TaskOptions`. Durations are seconds or "30s", "10m", "2h",
            "1d"; `region` is one name or several; `retry` is a `Retry` or the number
            of attempts.

    Raises:
        ConfigError: an option is unknown or out of bounds, said where it is written.
    """
    for name in _PER_CALL:
        if name in options:
            raise ConfigError(
                f"{name}= belongs to one call: write .options({name}=...).delay(...)"
            )
    spec = TaskOptions().replace(**options)

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        if not (callable(function) and hasattr(function, "__qualname__")):
            raise ConfigError(f"@fly_task marks a function, not {function!r}")
        return Task(function, spec)

    return decorate if fn is None else decorate(fn)


def _task_of_name(name: str, spec: TaskOptions) -> Task[..., Any]:
    return Task(resolve(name), spec)


def _queue(name: str, value: Any) -> str:
    if value not in QUEUES:
        raise ConfigError(unknown_name(name, str(value), QUEUES))
    return str(value)


def _on_lost(name: str, value: Any) -> str:
    if value not in _ON_LOST:
        raise ConfigError(unknown_name(f"value of {name}", str(value), _ON_LOST))
    return str(value)


def _regions(name: str, value: Any) -> tuple[str, ...]:
    some = isinstance(value, list | tuple | set | frozenset)
    regions = tuple(value) if some else (value,) if value else ()
    for region in regions:
        if not (isinstance(region, str) and region.isascii() and region.isalnum()):
            raise ConfigError(f"{name}={value!r}: use Fly's region names, as 'ams'")
    return regions


def _retry(name: str, value: Any) -> Retry:
    if isinstance(value, Retry):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Retry(max_attempts=value)
    raise ConfigError(
        f"{name}={value!r}: use Retry(max_attempts=..., backoff=...) or a number"
    )


def _some(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name}={value!r}: use a whole number from 1")
    return value


def _memory(name: str, value: Any) -> Any:
    del name  # Guest checks it, against the preset
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name}={value!r}: use a preset, as 'shared-cpu-1x'")
    return value


def _environment(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    if not hasattr(value or {}, "keys"):
        raise ConfigError(f"{name}= takes names and texts, as {{'TZ': 'UTC'}}")
    pairs = dict(value or {}).items()
    for key, text in pairs:
        if not isinstance(key, str) or not isinstance(text, str) or "=" in key:
            raise ConfigError(f"{name}= takes names and texts; see {key!r}")
        if key.startswith(("FLY_", "WORKER_LIB_")):
            raise ConfigError(f"{name}= may not set {key}: Fly or worker_lib does")
    return tuple(sorted(pairs))


def _span(low: float) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        length = seconds(value, name)
        if length < low:
            raise ConfigError(f"{name}={value!r}: it must be {low:g} s or more")
        return length

    return check


def _optional_span(name: str, value: Any) -> float | None:
    return None if value is None else _span(1.0)(name, value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "queue": _queue,
    "machine": _text,
    "memory_mb": _memory,
    "region": _regions,
    "timeout": _span(0.1),
    "retry": _retry,
    "max_machines": _some,
    "result_ttl": _optional_span,
    "env": _environment,
    "on_lost": _on_lost,
    "linger": _span(0.0),
    "delay": _span(0.0),
}
