"""`FlyExecutor`: machines behind the interface of `concurrent.futures`."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Executor
from itertools import islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from worker_lib import context, hooks
from worker_lib.calls import chunks, pickling
from worker_lib.client.callables import Callables
from worker_lib.client.client import default_client
from worker_lib.client.futures import FlyFuture, cancel_many
from worker_lib.client.submissions import Submissions, Submitted
from worker_lib.errors import (
    ArgumentsNotEncodable,
    ConfigError,
    PayloadTooLarge,
    StoreError,
)
from worker_lib.hooks import Event
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from worker_lib.calls.options import DeclaredOptions
    from worker_lib.calls.pickling import Body
    from worker_lib.client.callables import Prepared

__all__ = ["FlyExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

log = get_logger("executor")

_LINGER = "5s"
# After so many a person wants to be out, whatever goes on.
_MOST_INTERRUPTS = 2
_ONE_CALL = "that is of one call: use .options(...).delay(...) of a task for it"
_REFUSED = {
    "initializer": "a machine imports the module of a function once: do it at its top",
    "initargs": "there is no initializer to pass them to",
    "mp_context": "machines start their processes themselves",
    "max_tasks_per_child": "isolate=True gives each call a machine of its own",
    "thread_name_prefix": "calls run on machines, not in threads",
    "key": _ONE_CALL,
    "unique_for": _ONE_CALL,
    "delay": _ONE_CALL,
}
_executors: weakref.WeakSet[FlyExecutor] = weakref.WeakSet()


class FlyExecutor(Executor):
    """An executor of the standard library's kind, whose calls run on machines.

    Functions, arguments and results travel as those of tasks: a function of a module by
    its name, one of `__main__`, a lambda or a closure by value; all is pickled when it
    is submitted. A task is run as the function that it is: the options are those of the
    executor.

    A call is a job like any other. It ends after `timeout=`, 5 minutes unless given; it
    may run twice if its machine is lost, unless `on_lost="fail"`; and `Job.get` of the
    future's `job_id` has its log.

    A program that ends without `shutdown` waits for its calls. In a `with` block Ctrl-C
    cancels what has not started and waits for what runs; pressed again, it cancels that
    as well. In a child of `os.fork` the executor starts anew, and the futures of the
    parent stay as they are.

    Args:
        max_workers: The same as `max_machines`: each runs one call at a time.
        options: As of `fly_task`, but for `key` and `unique_for`. `linger` is 5 seconds
            unless given: so long machines wait for the next call. Jobs that succeeded
            are kept for ten minutes, unless `result_ttl` is given.

    Raises:
        ConfigError: an option is unknown, or cannot be that of an executor.
        ValueError: `max_workers` is below one.
    """

    def __init__(
        self, max_workers: int | None = None, **options: Unpack[DeclaredOptions]
    ) -> None:
        self._options = _checked(max_workers, options)
        self._callables = Callables(self._options)
        self._is_shut = False
        self._start_anew()
        _executors.add(self)

    @property
    def batch_id(self) -> str:
        """Of the batch that the calls make up, for `Batch.get`; "" before the first."""
        return self._all[-1].batch_id if self._all else ""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> FlyFuture[T]:
        """Have `fn(*args, **kwargs)` run on a machine; returns at once.

        Returns:
            Its future. What goes wrong with this call alone is its exception: it cannot
            be pickled, is too large, or Redis was away for half a minute.

        Raises:
            RuntimeError: after `shutdown`, and when the interpreter ends.
            ConfigError: a setting is missing or wrong.
            CallRefused: as with `Task.delay`.
        """
        return self._submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return the results of `fn` for all items, in their order.

        When the iterator raises or is closed, what has not started is cancelled.

        Args:
            timeout: Seconds from now for the whole of it; None: no limit.
            chunksize: So many items make one job, which saves time if each takes some
                milliseconds. Time limit and retries are then those of the whole job.
            buffersize: So many jobs are submitted ahead of the results that were taken,
                so that an endless iterable works; None: all at once.

        Raises:
            TimeoutError: from the iterator, when time is over.
            ValueError: `chunksize` or `buffersize` is below one.
        """
        end = None if timeout is None else timeout + time.monotonic()
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        calls = zip(*iterables, strict=False)
        if chunksize == 1:
            futures = (self._submit(fn, args, {}) for args in calls)
        else:
            futures = (
                self._submit(fn, chunk, {}, items=len(chunk))
                for chunk in iter(lambda: list(islice(calls, chunksize)), [])
            )
        ahead = deque(islice(futures, buffersize))
        return _results(ahead, futures, end, is_chunked=chunksize > 1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: Until all are done, and no thread is left.
            cancel_futures: Cancel those that have not started.

        Raises:
            StoreUnavailable: they are to be cancelled, and Redis cannot be reached.
        """
        with self._lock:
            self._is_shut = True
        for submissions in self._all:
            submissions.close()
            if cancel_futures:
                submissions.cancel_all()
        for submissions in self._all if wait else ():
            submissions.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: object
    ) -> None:
        """Shut down and wait; Ctrl-C cancels what waits, pressed again what runs."""
        came_by = int(kind is not None and issubclass(kind, KeyboardInterrupt))
        interrupts = came_by
        while True:
            try:
                if interrupts:
                    self._cancel(running=interrupts > 1)
                self.shutdown()
                break
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts > _MOST_INTERRUPTS:
                    raise
        if interrupts and not came_by:
            raise KeyboardInterrupt

    def _submit(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        items: int = 0,
    ) -> FlyFuture[Any]:
        submissions = self._started()
        future: FlyFuture[Any] = FlyFuture(submissions)
        event = None
        try:
            prepared = self._callables.prepare(fn, submissions.parts)
            context.allow_call(prepared.task.name)
            generation = submissions.parts.nesting.admit(prepared.task.name)
            event = _fire_before(prepared)
            call = _call_of(prepared, args, kwargs, items)
            call = call._replace(
                generation=generation,
                headers=hooks.checked_headers(event) if event else None,
            )
            body = _frozen(prepared.template.pickled(call))
            preview = prepared.template.preview(call)
        except (ArgumentsNotEncodable, PayloadTooLarge) as error:
            future.end(good=False, value=error)
            _fire_after(event, error)
        else:
            submissions.add(Submitted(future, prepared.template, body, preview, event))
        return future

    def _started(self) -> Submissions:
        """Return where calls go; it is made with the first one.

        Raises:
            RuntimeError: no calls are taken any more.
        """
        if not threading.main_thread().is_alive():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if not self._all or self._all[-1].error is not None:
                forget = "result_ttl" not in self._options
                made = Submissions(default_client(), forget=forget)
                weakref.finalize(self, made.close)
                self._all.append(made)
            return self._all[-1]

    def _cancel(self, *, running: bool) -> None:
        for submissions in self._all:
            try:
                submissions.cancel_all(running=running)
            except StoreError as error:
                log.warning("not_cancelled", extra={"error": str(error)})

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        # The last one takes calls; those before it could not store theirs.
        self._all: list[Submissions] = []


def _start_anew_after_fork() -> None:
    # Neither threads nor connections survive a fork.
    for executor in list(_executors):
        executor._start_anew()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_start_anew_after_fork)


def _checked(max_workers: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the executor's tasks.

    Raises:
        ConfigError: one cannot be that of an executor.
        ValueError: `max_workers` is below one.
    """
    for name, why in _REFUSED.items():
        if options.get(name):
            raise ConfigError(f"FlyExecutor takes no {name}=: {why}")
    chosen = {name: options[name] for name in options if name not in _REFUSED}
    if max_workers is not None:
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if chosen.get("max_machines") is not None:
            raise ConfigError(
                "max_workers= and max_machines= say the same: leave one out"
            )
        chosen["max_machines"] = max_workers
    if not chosen.get("isolate"):  # else there is no next call for a machine
        chosen.setdefault("linger", _LINGER)
    return chosen


def _call_of(
    prepared: Prepared, args: Sequence[Any], kwargs: Mapping[str, Any], items: int
) -> pickling.Call:
    first, spec = prepared.first, prepared.task.spec
    if first:
        args = [(*first, *one) for one in args] if items else (*first, *args)
    policy = spec.retry if spec.retry.max_attempts > 1 else None
    return pickling.Call(args, dict(kwargs), policy, queue=spec.queue, items=items)


def _frozen(body: Body) -> list[bytes]:
    """Return pieces that nobody can change: a large `bytearray` is one as it is."""
    return [body] if isinstance(body, bytes) else [bytes(one) for one in body]


def _fire_before(prepared: Prepared) -> Event | None:
    if not (hooks.before_enqueue or hooks.after_enqueue):
        return None
    task = prepared.task
    event = Event("caller", "", task=task.name, queue=task.spec.queue)
    hooks.before_enqueue.fire(event)
    return event


def _fire_after(event: Event | None, error: Exception) -> None:
    if event is not None:
        event.fail(error)
        hooks.after_enqueue.fire(event)


def _results(
    futures: deque[FlyFuture[Any]],
    further: Iterator[FlyFuture[Any]],
    end: float | None,
    *,
    is_chunked: bool,
) -> Iterator[Any]:
    """Yield results in order; none that was yielded is kept."""
    try:
        while futures:
            left = None if end is None else end - time.monotonic()
            futures[0].result(left)
            futures.extend(islice(further, 1))
            if is_chunked:
                yield from _values(futures.popleft())
            else:
                yield futures.popleft().result()
    finally:
        try:
            cancel_many(futures)
        except StoreError as error:
            log.warning("not_cancelled", extra={"error": str(error)})


def _values(future: FlyFuture[Any]) -> Iterator[Any]:
    outcomes = deque(chunks.load_value(future.result(), future.job_id))
    while outcomes:
        yield _value(*outcomes.popleft())


def _value(good: bool, value: Any) -> Any:
    if good:
        return value
    raise value
