"""Any callable as a task, for an executor: functions, methods, partials, classes."""

from __future__ import annotations

import operator
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.calls import pickling
from worker_lib.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker_lib.client.bulk import Parts
    from worker_lib.client.encoding import Template

__all__ = ["Callables", "Prepared"]

_CALL: Callable[..., Any] = operator.call


class Prepared(NamedTuple):
    """A callable that can be stored.

    Attributes:
        task: What a machine runs.
        template: What its calls have in common.
        first: Arguments that go before those of the call.
        env_digest: Of the environment that the template is for.
    """

    task: Task[..., Any]
    template: Template
    first: tuple[Any, ...]
    env_digest: str


class Callables:
    """Prepares callables, under the options of one executor.

    Args:
        options: As of `fly_task`.

    Raises:
        ConfigError: an option is unknown or out of bounds.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        # What is called where the callable is no function: that is its argument.
        self._call: Task[..., Any] = Task(_CALL, options)
        self._spec = self._call.spec
        # Of functions that travel by name; one that travels by value may change.
        self._known: weakref.WeakKeyDictionary[Any, Prepared]
        self._known = weakref.WeakKeyDictionary()

    def prepare(self, fn: Callable[..., Any], parts: Parts) -> Prepared:
        """Return a callable as what is stored of it.

        Raises:
            TypeError: it cannot be called.
            ArgumentsNotEncodable: it cannot be pickled.
            PayloadTooLarge: its code is over the limit.
        """
        if isinstance(fn, Task):  # our options hold, not its own
            fn = fn.fn
        digest = parts.env_digest()
        is_function = isinstance(fn, types.FunctionType | types.BuiltinFunctionType)
        known = self._known.get(fn) if is_function else None
        if known is not None and known.env_digest == digest:
            return known
        task, first = self._task_of(fn)
        template = parts.encoder.template(task, digest)
        prepared = Prepared(task, template, first, digest)
        if is_function and not template.new.code and not first:
            self._known[fn] = prepared
        return prepared

    def _task_of(
        self, fn: Callable[..., Any]
    ) -> tuple[Task[..., Any], tuple[Any, ...]]:
        if isinstance(fn, types.FunctionType):
            return self._task(fn), ()
        if isinstance(fn, types.BuiltinFunctionType) and pickling.reference(fn):
            return self._task(fn), ()
        if isinstance(fn, types.MethodType) and isinstance(
            fn.__func__, types.FunctionType
        ):
            return self._task(fn.__func__), (fn.__self__,)
        if not callable(fn):
            raise TypeError(f"a {type(fn).__name__} cannot be called")
        return self._call, (fn,)

    def _task(self, fn: Callable[..., Any]) -> Task[..., Any]:
        task = Task(fn, self._options)
        vars(task)["spec"] = self._spec  # checked once
        return task
