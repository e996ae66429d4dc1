"""What parts of the standard library are needed for at run time, without their import.

`typing`, `collections`, `functools`, `contextlib` and what these import would be a good
part of a machine's cold start, and of its memory. Type checkers are shown the real
thing; what runs in a machine uses this:

    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from worker_lib.records import NamedTuple
"""

from __future__ import annotations

from _operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from functools import partial
    from struct import Struct
    from typing import Any, Self
else:
    from _collections import deque
    from _functools import partial
    from _struct import Struct

__all__ = [
    "Generic",
    "NamedTuple",
    "Struct",
    "cached_property",
    "deque",
    "overload",
    "partial",
    "suppress",
    "update_wrapper",
]

_WRAPPED = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


class NamedTuple(tuple):  # type: ignore[type-arg]  # each subclass has its own
    """A tuple whose items have the names that a subclass annotates."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - replaced in each subclass

    def __init_subclass__(cls) -> None:
        """Read the names and defaults, as `typing.NamedTuple` does."""
        if NamedTuple not in cls.__bases__:
            return  # of a record with names of its own
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {
            name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__
        }
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Take items in order, by name, or by default.

        Raises:
            TypeError: an item is missing, unknown, given twice, or one too many.
        """
        names = cls._fields
        if len(values) == len(names) and not named:
            return tuple.__new__(cls, values)
        items, defaults, used = list(values), cls._defaults, 0
        for name in names[len(values) :]:
            if name in named:
                items.append(named[name])
                used += 1
            elif name in defaults:
                items.append(defaults[name])
        if used != len(named) or len(items) != len(names):
            raise TypeError(f"{cls.__name__} {cls._refusal(values, named)}")
        return tuple.__new__(cls, items)

    @classmethod
    def _refusal(cls, values: tuple[Any, ...], named: dict[str, Any]) -> str:
        names = cls._fields
        if len(values) > len(names):
            return f"takes {len(names)} items, and {len(values)} were given"
        taken, rest = names[: len(values)], names[len(values) :]
        for name in named:
            if name in taken:
                return f"was given {name!r} twice"
            if name not in rest:
                return f"has no item {name!r}: it has {', '.join(names)}"
        known = {**cls._defaults, **named}
        return f"lacks {', '.join(name for name in rest if name not in known)}"

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Pickle as the items."""
        return tuple(self)

    def __repr__(self) -> str:
        """Show names and items."""
        pairs = zip(self._fields, self, strict=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in pairs)
        return f"{type(self).__name__}({shown})"

    def _asdict(self) -> dict[str, Any]:
        """Return the items by name."""
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Self:
        """Return the same with some items changed."""
        return type(self)(**{**self._asdict(), **changes})


class Generic:
    """A base class that takes parameters in brackets, which only checkers read."""

    def __class_getitem__(cls, _parameters: object) -> type[Generic]:
        """Return the class itself."""
        return cls


def overload(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a signature that only checkers read."""
    return function


class suppress:  # noqa: N801 - as in `contextlib`
    """Ends its block quietly at an exception of these kinds."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: object
    ) -> bool:
        """Say whether to go on behind the block."""
        return kind is not None and issubclass(kind, self._kinds)


class cached_property:  # noqa: N801 - as in `functools`
    """An attribute that is computed when it is first read."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Compute it; from then on the instance has it."""
        if instance is None:
            return self
        value = self._function(instance)
        instance.__dict__[self._function.__name__] = value
        return value


def update_wrapper(wrapper: Any, wrapped: Any) -> None:
    """Make an object look like the function that it stands for."""
    for name in (
        "__module__",
        "__name__",
        "__qualname__",
        "__doc__",
        "__annotations__",
    ):
        if hasattr(wrapped, name):
            setattr(wrapper, name, getattr(wrapped, name))
    vars(wrapper).update(getattr(wrapped, "__dict__", {}))
    wrapper.__wrapped__ = wrapped
