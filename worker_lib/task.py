"""`@fly_task`: a function, and how its calls are to be run elsewhere.

A machine imports this with each module that holds tasks, and uses nothing of it but
the function. So there the options are looked at only if the task itself makes calls;
everywhere else they are checked where they are written.
"""

from __future__ import annotations

import functools

from worker_lib import context
from worker_lib.calls.pickling import reference, resolve
from worker_lib.errors import ConfigError

TYPE_CHECKING = False
if not TYPE_CHECKING:
    from worker_lib.records import Generic, overload

    P = Q = R = R_co = S = T = None
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import timedelta
    from typing import (  # noqa: TC004
        Any,
        Concatenate,
        Generic,
        ParamSpec,
        TypeVar,
        overload,
    )

    from worker_lib.calls.options import TaskOptions
    from worker_lib.client.handle import Job
    from worker_lib.retry import Retry

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    S = TypeVar("S")
    T = TypeVar("T")

__all__ = ["Task", "fly_task"]


class Task(Generic[P, R_co]):
    """A function that can run here, by a plain call, or on a machine.

    A task in a class is a method: reached through an instance it is bound to it, and
    the instance travels as the first argument.

    Attributes:
        fn: The function itself, or the bound method.
        name: `module:name`, as shown to people.
        first: What goes before the arguments of each call: the instance, or nothing.
    """

    def __init__(
        self, fn: Callable[P, R_co], options: Mapping[str, Any], *first: Any
    ) -> None:
        self._fly_function = fn
        self.first = first
        # The way a class binds what is defined in it, whatever it is.
        bind: Any = getattr(fn, "__get__", None)
        self.fn: Callable[P, R_co] = bind(*first) if first else fn
        functools.update_wrapper(self, self.fn)
        self._options = options
        self.name = f"{fn.__module__}:{fn.__qualname__}"

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Task[P, R_co]: ...

    @overload
    def __get__(
        self: Task[Concatenate[S, Q], R_co], instance: S, owner: type | None = None
    ) -> Task[Q, R_co]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task bound to `instance`, as a function in a class is."""
        function = self._fly_function
        # Neither what is bound already nor a builtin is bound by a class.
        binds = hasattr(function, "__get__") and not hasattr(function, "__self__")
        if instance is None or self.first or not binds:
            return self
        return Task(function, self._options, instance)

    @functools.cached_property
    def spec(self) -> TaskOptions:
        """How calls are run, every value checked."""
        return _checked(self._options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now."""
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        """Name the task."""
        return f"<Task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name where a machine can import it, else by value."""
        function = self._fly_function
        name = reference(function)
        if name:
            return _task_of_name, (name, self._options, *self.first)
        return type(self), (function, self._options, *self.first)

    @overload
    def delay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...

    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]: ...

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
        context.allow_call(self.name)
        from worker_lib.client.client import default_client  # noqa: PLC0415 - a layer above

        self._check(args, kwargs)
        return default_client().submit(self, (*self.first, *args), kwargs)

    @overload
    async def adelay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...

    @overload
    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]: ...

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Do as `delay` does, without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - programs that do not await need none

        return await asyncio.to_thread(self.delay, *args, **kwargs)

    @overload
    def remote(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    @overload
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the call on a machine, wait, and return its value.

        Raises:
            Exception: whatever the task raised, besides what `delay` raises.
        """
        return self.delay(*args, **kwargs).result()

    def options(self, **changes: Any) -> Task[P, R_co]:
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
        return Task(self._fly_function, changed, *self.first)

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = _bare_signature(self._signature)
            text = f"{self.name}{takes} cannot be called so: {error}"
            raise TypeError(text) from None

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415 - for calls, which machines seldom make

        return inspect.signature(self.fn)


class _StaticTask(Task[P, R_co]):
    """A task of a static method: it is bound to nothing."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task as it is."""
        return self


class _ClassTask(Task[P, R_co]):
    """A task of a class method: it is bound to the class that it is reached by."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task bound to the class."""
        return Task(self._fly_function, self._options, owner or type(instance))


@overload
def fly_task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def fly_task(
    *,
    queue: str = ...,
    priority: int = ...,
    tags: Mapping[str, str] = ...,
    key: str = ...,
    unique_for: float | str | timedelta = ...,
    expires: float | str | timedelta | None = ...,
    queues: str = ...,
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

    In a class it makes a method whose calls take the instance along, by value. Above
    `@staticmethod` and `@classmethod` it works too; type checkers then want the former
    to be reached through the class, and take `cls` of the latter for an argument.

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

    def decorate(function: Any) -> Task[P, R]:
        for kind, made in _METHODS:
            if isinstance(function, kind):
                return made(_function(function.__func__), options)
        return Task(_function(function), options)

    return decorate if fn is None else decorate(fn)


_METHODS: tuple[tuple[type[Any], type[Task[Any, Any]]], ...] = (
    (staticmethod, _StaticTask),
    (classmethod, _ClassTask),
)


def _function(thing: Any) -> Callable[..., Any]:
    if isinstance(thing, property):
        raise ConfigError(
            "@fly_task marks a function, not a property, which takes no call: make it "
            "a method"
        )
    if isinstance(thing, Task):
        raise ConfigError(f"{thing.name} is a task already: use .options(...) of it")
    if not (callable(thing) and hasattr(thing, "__qualname__")):
        raise ConfigError(f"@fly_task marks a function, not {thing!r}")
    function: Callable[..., Any] = thing
    return function


def _bare_signature(full: inspect.Signature) -> inspect.Signature:
    """Return a signature without types and defaults, whose text may be long."""
    empty = full.empty
    names = [
        one.replace(annotation=empty, default=empty) for one in full.parameters.values()
    ]
    return full.replace(parameters=names, return_annotation=empty)


def _checked(options: Mapping[str, Any]) -> TaskOptions:
    from worker_lib.calls.options import TaskOptions  # noqa: PLC0415 - not in machines

    return TaskOptions().replace(**options)


def _task_of_name(name: str, options: Mapping[str, Any], *first: Any) -> Task[..., Any]:
    return Task(resolve(name), options, *first)
