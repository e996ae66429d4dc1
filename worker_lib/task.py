"""`@fly_task`: a function, and how its calls are to be run elsewhere.

A machine imports this with each module that holds tasks, and uses nothing of it but
the function. So there the options are looked at only if the task itself makes calls;
everywhere else they are checked where they are written.
"""

from __future__ import annotations

import functools

from worker_lib import context
from worker_lib.errors import ConfigError
from worker_lib.pickling import reference, resolve

TYPE_CHECKING = False
if not TYPE_CHECKING:
    from worker_lib.records import Generic, overload

    P = R = T = None
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Generic, ParamSpec, TypeVar, overload  # noqa: TC004

    from worker_lib.handle import Job
    from worker_lib.options import TaskOptions
    from worker_lib.retry import Retry

    P = ParamSpec("P")
    R = TypeVar("R")
    T = TypeVar("T")

__all__ = ["Task", "fly_task"]


class Task(Generic[P, R]):
    """A function that can run here, by a plain call, or on a machine.

    Attributes:
        fn: The function itself.
        name: `module:name`, as shown to people.
    """

    def __init__(self, fn: Callable[P, R], options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self._options = options
        self.name = f"{fn.__module__}:{fn.__qualname__}"

    @functools.cached_property
    def spec(self) -> TaskOptions:
        """How calls are run, every value checked."""
        return _checked(self._options)

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
            return _task_of_name, (name, self._options)
        return Task, (self.fn, self._options)

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
            CallRefused: a module makes the call while it is imported on a machine, or
                a job makes it after too many generations of jobs that made jobs.
            ConfigError: a setting is missing or wrong.
        """
        from worker_lib.client import default_client  # noqa: PLC0415 - a layer above

        context.allow_call(self.name)
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
        changed = {**self._options, **changes}
        _checked(changed)
        return Task(self.fn, changed)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415 - for calls, which machines seldom make

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
    if "delay" in options:
        raise ConfigError(
            "delay= belongs to one call: write .options(delay=...).delay(...)"
        )
    if not context.in_machine():
        _checked(options)

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        if not (callable(function) and hasattr(function, "__qualname__")):
            raise ConfigError(f"@fly_task marks a function, not {function!r}")
        return Task(function, options)

    return decorate if fn is None else decorate(fn)


def _checked(options: Mapping[str, Any]) -> TaskOptions:
    from worker_lib.options import TaskOptions  # noqa: PLC0415 - not in machines

    return TaskOptions().replace(**options)


def _task_of_name(name: str, options: Mapping[str, Any]) -> Task[..., Any]:
    return Task(resolve(name), options)
