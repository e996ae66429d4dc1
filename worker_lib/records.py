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
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {
            name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__
        }
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Take items in order, by name, or by default."""
        if len(values) == len(cls._fields) and not named:
            return tuple.__new__(cls, values)
        rest = {**cls._defaults, **named}
        return tuple.__new__(
            cls, (*values, *(rest[name] for name in cls._fields[len(values) :]))
        )

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Pickle as the items."""
        return tuple(self)

    def __repr__(self) -> str:
        """Show names and items."""
        pairs = zip(self._fields, self, strict=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in pairs)
        return f"{type(self).__name__}({shown})"

    def _replace(self, **changes: Any) -> Self:
        """Return the same with some items changed."""
        return type(self)(**{**dict(zip(self._fields, self, strict=True)), **changes})


class Generic:
    """A base class that takes parameters in brackets, which only checkers read."""

    def __class_getitem__(cls, _parameters: object) -> type[Generic]:
        """Return the class itself."""
        return cls


def overload(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a signature that only checkers read."""
    return function
