"""`@fly_task`: a function, and how its calls are run on machines.

Options are checked where they are written. A machine imports this module together with
the modules of tasks, and needs only their functions: there options are checked when a
task makes a call itself.
"""

from __future__ import annotations

from worker_lib import context
from worker_lib.calls.pickling import reference, resolve
from worker_lib.errors import ConfigError

TYPE_CHECKING = False
if not TYPE_CHECKING:
    from worker_lib.records import Generic, cached_property, overload, update_wrapper

    P = Q = R = R_co = S = T = None
if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Callable,
        Coroutine,
        Generator,
        Iterable,
        Mapping,
        Sized,
    )
    from functools import cached_property, update_wrapper  # noqa: TC004
    from typing import (  # noqa: TC004
        Any,
        Concatenate,
        Generic,
        Literal,
        ParamSpec,
        TypeVar,
        Unpack,
        overload,
    )

    from worker_lib.calls.arguments import Arguments
    from worker_lib.calls.options import (
        CallOptions,
        DeclaredOptions,
        Duration,
        TaskOptions,
    )
    from worker_lib.client.batch import Batch
    from worker_lib.client.client import Client
    from worker_lib.client.handle import Job
    from worker_lib.client.mapping import MapKeywords
    from worker_lib.client.planning import Forecast

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    S = TypeVar("S")
    T = TypeVar("T")

__all__ = ["Task", "fly_task"]


class Task(Generic[P, R_co]):
    """A function that can run here, by a plain call, or on a machine.

    In a class it is a method: reached through an instance it is bound to that instance,
    which travels as the first argument.

    Attributes:
        fn: The function, or the bound method.
        name: `module:name`, as shown to people.
        first: The arguments before those of the caller: the instance, or none.
    """

    def __init__(
        self, fn: Callable[P, R_co], options: Mapping[str, Any], *first: Any
    ) -> None:
        self._fly_function = fn
        self.first = first
        # As a class does it, whatever kind of function this is.
        bind: Any = getattr(fn, "__get__", None)
        self.fn: Callable[P, R_co] = bind(*first) if first else fn
        update_wrapper(self, self.fn)
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
        # A class binds neither bound methods nor builtins.
        binds = hasattr(function, "__get__") and not hasattr(function, "__self__")
        if instance is None or self.first or not binds:
            return self
        return Task(function, self._options, instance)

    @cached_property
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
        """Pickle by name if a machine can import the function, else by value."""
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

        Takes one round trip to Redis; a machine is started in the background. Before
        anything is stored, the arguments are checked against the signature and pickled.

        Raises:
            TypeError: the function does not take these arguments.
            ArgumentsNotEncodable: one of them cannot be pickled.
            PayloadTooLarge: they are over `WORKER_LIB_MAX_PAYLOAD`.
            StoreUnavailable: Redis cannot be reached or is full; nothing was stored.
            CallRefused: a machine is importing the module that makes the call, or too
                many generations of jobs have made jobs.
            ConfigError: a setting is missing or wrong.
        """
        context.allow_call(self.name)
        self._arguments.check(args, kwargs)
        return self._client().submit(self, (*self.first, *args), kwargs)

    @overload
    async def adelay(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Job[T]: ...

    @overload
    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]: ...

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """Do what `delay` does, without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - costly, and only async code needs it

        return await asyncio.to_thread(self.delay, *args, **kwargs)

    @overload
    def delay_many(
        self: Task[..., Coroutine[Any, Any, T]], calls: Iterable[tuple[Any, ...]]
    ) -> Batch[T]: ...

    @overload
    def delay_many(self, calls: Iterable[tuple[Any, ...]]) -> Batch[R_co]: ...

    def delay_many(self, calls: Iterable[tuple[Any, ...]]) -> Batch[Any]:
        """Store a call for each tuple of arguments, hundreds a command.

        The tuples are read and stored a part at a time, in their order, each part as a
        whole or not at all.

        Args:
            calls: As `[(1, 2), (3, 4)]`.

        Raises:
            TypeError: one is no tuple, or the function does not take its arguments.
            ArgumentsNotEncodable: an argument of one cannot be pickled; the message has
                its index.
            PayloadTooLarge: one is over `WORKER_LIB_MAX_PAYLOAD`, as above.
            StoreUnavailable: Redis cannot be reached or is full; nothing was stored.
            PartlyStored: any of these, after the first calls were stored.
            CallRefused: as with `delay`.
            ConfigError: as with `delay`; or the task has `key=` or `unique_for=`, which
                belong to one call.
        """
        return self._client().batches.store(self, self._arguments.each(calls), calls)

    @overload
    async def adelay_many(
        self: Task[..., Coroutine[Any, Any, T]], calls: Iterable[tuple[Any, ...]]
    ) -> Batch[T]: ...

    @overload
    async def adelay_many(self, calls: Iterable[tuple[Any, ...]]) -> Batch[R_co]: ...

    async def adelay_many(self, calls: Iterable[tuple[Any, ...]]) -> Batch[Any]:
        """Do what `delay_many` does, without blocking the event loop.

        The tuples are read in another thread.
        """
        import asyncio  # noqa: PLC0415 - costly, and only async code needs it

        return await asyncio.to_thread(self.delay_many, calls)

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

    def plan(
        self,
        items: int | Sized,
        *,
        run: Duration | None = None,
        boot: Duration | None = None,
        machines: int | None = None,
    ) -> Forecast:
        """Return what so many calls would take: machines, seconds and dollars.

        Nothing is stored and no machine is made; `print` shows it in two lines. It is
        for a pool that has no machines yet, and calls of equal length.

        Args:
            items: How many calls; or what they would be made for, which has a length.
            run: How long a call takes. None: as the pool's calls took of late; if there
                were none, a second.
            boot: How long a machine takes until its first call. None: likewise; three
                seconds.
            machines: At most so many at once, if `max_machines` is more.

        Raises:
            ConfigError: one of these is out of bounds, or a setting is.
            StoreUnavailable: Redis cannot be reached, which knows what calls took.
        """
        from worker_lib.client.client import default_client  # noqa: PLC0415 - a layer above
        from worker_lib.client.planning import plan  # noqa: PLC0415 - likewise

        return plan(
            default_client(), self, items, run=run, boot=boot, machines=machines
        )

    @overload
    def map(
        self: Task[..., Coroutine[Any, Any, T]],
        *iterables: Iterable[Any],
        errors: Literal["raise"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> Generator[T, None, None]: ...

    @overload
    def map(
        self: Task[..., Coroutine[Any, Any, T]],
        *iterables: Iterable[Any],
        errors: Literal["collect"],
        **how: Unpack[MapKeywords],
    ) -> Generator[T | BaseException, None, None]: ...

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        errors: Literal["raise"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> Generator[R_co, None, None]: ...

    @overload
    def map(
        self,
        *iterables: Iterable[Any],
        errors: Literal["collect"],
        **how: Unpack[MapKeywords],
    ) -> Generator[R_co | BaseException, None, None]: ...

    def map(
        self,
        *iterables: Iterable[Any],
        errors: Literal["raise", "collect"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> Generator[Any, None, None]:
        """Yield the function's value for each call, run on machines, as a stream.

        Calls are read from the iterables, as `map` reads them, a window ahead of what
        is taken out, so an endless iterable works, in bounded memory here and in Redis.
        Nothing is stored before the first value is asked for; leaving the map early, by
        `break`, an exception or Ctrl-C, cancels what has not been yielded.

        Args:
            iterables: One for each positional argument; the shortest ends the map. They
                are read in this thread, between results.
            errors: `raise` raises the first error that is met, and cancels the rest;
                `collect` yields errors in the place of values.
            how: `ordered=True`: in the order of the calls; False: as they end.
                `chunksize=None`: so many calls run as one job, one after the other,
                whose are `timeout` and attempts; None: as many as run for half a
                second, by what is measured; 1 for a task that retries, or has
                `on_lost="fail"`.
                Where None made such a job, and its process dies or its time is over,
                its calls run once more, each by itself. `window=None`: calls under
                way at most; None: those of a thousand jobs, or of 64 chunks.
                `progress=False`: show a bar on the terminal, tqdm's if installed.

        Raises:
            Exception: what `Job.result` raises, of the first call that failed.
            TypeError: the function does not take these arguments.
            ArgumentsNotEncodable: an argument cannot be pickled.
            PayloadTooLarge: a call is over `WORKER_LIB_MAX_PAYLOAD`.
            StoreUnavailable: Redis refuses us, or is full; while it is away the map
                waits.
            MachineError: no machine can be had until a person acts.
            ConfigError: an option cannot be, or belongs to one call.
        """
        from worker_lib.client.mapping import MapOptions, Mapping, map_calls  # noqa: PLC0415

        options = MapOptions.of(errors, iterables, **how)
        mapping = Mapping(self._client().batches, self, options)
        return map_calls(mapping, self._arguments.each(zip(*iterables, strict=False)))

    @overload
    def amap(
        self: Task[..., Coroutine[Any, Any, T]],
        *iterables: Iterable[Any] | AsyncIterable[Any],
        errors: Literal["raise"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> AsyncGenerator[T, None]: ...

    @overload
    def amap(
        self: Task[..., Coroutine[Any, Any, T]],
        *iterables: Iterable[Any] | AsyncIterable[Any],
        errors: Literal["collect"],
        **how: Unpack[MapKeywords],
    ) -> AsyncGenerator[T | BaseException, None]: ...

    @overload
    def amap(
        self,
        *iterables: Iterable[Any] | AsyncIterable[Any],
        errors: Literal["raise"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> AsyncGenerator[R_co, None]: ...

    @overload
    def amap(
        self,
        *iterables: Iterable[Any] | AsyncIterable[Any],
        errors: Literal["collect"],
        **how: Unpack[MapKeywords],
    ) -> AsyncGenerator[R_co | BaseException, None]: ...

    def amap(
        self,
        *iterables: Iterable[Any] | AsyncIterable[Any],
        errors: Literal["raise", "collect"] = "raise",
        **how: Unpack[MapKeywords],
    ) -> AsyncGenerator[Any, None]:
        """Do as `map` does, without blocking the event loop.

        The iterables may be asynchronous; others are read on the event loop. However
        many maps a program awaits, they take one thread and one connection.
        """
        from worker_lib.client.feeding import Feed, zipped  # noqa: PLC0415 - a layer above
        from worker_lib.client.mapping import MapOptions, Mapping, amap_calls  # noqa: PLC0415

        options = MapOptions.of(errors, iterables, **how)
        mapping = Mapping(self._client().batches, self, options)
        return amap_calls(
            mapping, Feed(mapping, zipped(*iterables), self._arguments.full)
        )

    def options(self, **changes: Unpack[CallOptions]) -> Task[P, R_co]:
        """Return the same task with some options changed.

        Args:
            changes: Options of `fly_task`, and `delay`: how long to wait before the job
                may start.

        Raises:
            ConfigError: a name is unknown (the nearest is suggested) or a value is out
                of bounds.
        """
        changed: dict[str, Any] = {**self._options, **changes}
        _checked(changed)
        return Task(self._fly_function, changed, *self.first)

    def _client(self) -> Client:
        """Return what makes calls.

        Raises:
            CallRefused: a machine is importing the module that makes the call.
        """
        context.allow_call(self.name)
        from worker_lib.client.client import default_client  # noqa: PLC0415 - a layer above

        return default_client()

    @cached_property
    def _arguments(self) -> Arguments:
        # Costly, and machines make few calls.
        from worker_lib.calls.arguments import Arguments  # noqa: PLC0415

        return Arguments(self.fn, self.name, self.first)


class _StaticTask(Task[P, R_co]):
    """A task of a static method, which is bound to nothing."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task as it is."""
        return self


class _ClassTask(Task[P, R_co]):
    """A task of a class method, which is bound to the class."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task bound to the class."""
        return Task(self._fly_function, self._options, owner or type(instance))


@overload
def fly_task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def fly_task(
    **options: Unpack[DeclaredOptions],
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def fly_task(
    fn: Callable[P, R] | None = None, /, **options: Any
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Turn a function into a task, whose calls can run on a machine.

    In a class it makes a method; the instance travels with each call, pickled. It also
    works above `@staticmethod` and `@classmethod`. Type checkers do not see through
    those two: they accept a static method only on the class (`Shop.price.delay()`), and
    report a missing argument for calls of a class method.

    Args:
        fn: The function; left out when options are given.
        options: See `TaskOptions`. Durations are seconds, "30s", "10m", "2h", "1d" or a
            `timedelta`; `region` is one name or several; `retry` is a `Retry` or the
            number of attempts.

    Raises:
        ConfigError: an option is unknown or out of bounds.
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
            "@fly_task marks a function, not a property: make it a method"
        )
    if isinstance(thing, Task):
        raise ConfigError(f"{thing.name} is a task already: use .options(...) of it")
    if not (callable(thing) and hasattr(thing, "__qualname__")):
        raise ConfigError(f"@fly_task marks a function, not {thing!r}")
    function: Callable[..., Any] = thing
    return function


def _checked(options: Mapping[str, Any]) -> TaskOptions:
    from worker_lib.calls.options import TaskOptions  # noqa: PLC0415 - not in machines

    return TaskOptions().replace(**options)


def _task_of_name(name: str, options: Mapping[str, Any], *first: Any) -> Task[..., Any]:
    return Task(resolve(name), options, *first)
