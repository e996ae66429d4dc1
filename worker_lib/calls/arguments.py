"""Which arguments a task takes, checked before anything is stored."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Arguments"]


class Arguments:
    """The arguments of a task's calls.

    Args:
        fn: The function, or the bound method.
        name: Of the task, for errors.
        first: Arguments before those of the caller: the instance, or none.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str, first: tuple[Any, ...]
    ) -> None:
        self._signature = inspect.signature(fn)
        self._name = name
        self._first = first
        self._low, self._high = _positional(self._signature)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check those of one call.

        Raises:
            TypeError: the function does not take them.
        """
        if not kwargs and self._low <= len(args) <= self._high:
            return  # a hundred times as fast as to bind them
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = _bare(self._signature)
            text = f"{self._name}{takes} cannot be called like this: {error}"
            raise TypeError(text) from None

    def each(self, calls: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield all arguments of each call, given a tuple of its own.

        Raises:
            TypeError: one is no tuple, or the function does not take it.
        """
        try:
            return map(self.full, enumerate(calls))
        except TypeError:
            raise TypeError(
                f"a {type(calls).__name__} is no iterable of calls: give a tuple of "
                "arguments for each, as [(1, 2), (3, 4)]"
            ) from None

    def full(self, call: tuple[int, Any]) -> tuple[Any, ...]:
        """Return all arguments of a call, given its index and a tuple of its own.

        Raises:
            TypeError: as with `each`; the message has the index.
        """
        index, args = call
        if not isinstance(args, tuple):
            raise TypeError(
                f"call {index} of {self._name} is a {type(args).__name__}: give a "
                "tuple of arguments for each call, as [(1, 2), (3, 4)], or [(1,), (2,)]"
            )
        try:
            self.check(args, {})
        except TypeError as error:
            raise TypeError(f"call {index}: {error}") from None
        return (*self._first, *args)


def _positional(signature: inspect.Signature) -> tuple[float, float]:
    """Return how many positional arguments alone are right; none if more is needed."""
    low = high = 0.0
    for one in signature.parameters.values():
        if one.kind is one.VAR_POSITIONAL:
            high = float("inf")
        elif one.kind is one.KEYWORD_ONLY and one.default is one.empty:
            return 1.0, 0.0
        elif one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}:
            low, high = low + (one.default is one.empty), high + 1
    return low, high


def _bare(full: inspect.Signature) -> inspect.Signature:
    """Return the signature without types and defaults, which may be long."""
    empty = full.empty
    names = [
        one.replace(annotation=empty, default=empty) for one in full.parameters.values()
    ]
    return full.replace(parameters=names, return_annotation=empty)
