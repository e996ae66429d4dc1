"""What `typing` is needed for at run time, without its import.

That import would be a good part of a machine's cold start. Type checkers are shown
the real thing; what runs in a machine uses this:

    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from worker_lib.records import NamedTuple
"""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

__all__ = ["Generic", "NamedTuple", "overload"]


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
