"""Charts for browsers without a script: marks of a drawing, rows of a table.

A series is a dict for JSON: `name`, `kind` (a colour), and `values`, where None is a
gap. The script draws the same dicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["HEIGHT", "WIDTH", "Mark", "marks", "rows"]

WIDTH, HEIGHT = 600.0, 97.0
_FILLED = 0.8
_DOT = 5.0


class Mark(NamedTuple):
    """A rectangle of a drawing that is `WIDTH` wide, on a ground line at `HEIGHT`."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def marks(series: Sequence[dict[str, Any]], shape: str) -> list[Mark]:
    """Return what to draw: bars one on top of the other, or a dot for each value."""
    columns = list(zip(*(one["values"] for one in series), strict=True))
    kinds = [one["kind"] for one in series]
    whole = sum if shape == "bars" else max
    top = max((whole(map(_number, column)) for column in columns), default=0) or 1
    width = WIDTH / (len(columns) or 1)
    draw = _bars if shape == "bars" else _dots
    return [
        mark
        for index, column in enumerate(columns)
        for mark in draw(kinds, column, index * width, width, (HEIGHT - 1) / top)
    ]


def rows(
    at: Sequence[Any], series: Sequence[dict[str, Any]]
) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return each time with its values, newest first, without those that have none."""
    values = zip(*(one["values"] for one in series), strict=True)
    found = [(when, row) for when, row in zip(at, values, strict=True) if any(row)]
    return found[::-1]


def _bars(
    kinds: Sequence[str], values: Sequence[Any], x: float, width: float, scale: float
) -> Iterator[Mark]:
    y = HEIGHT
    for kind, value in zip(kinds, values, strict=True):
        height = _number(value) * scale
        y -= height
        if height:
            inset = width * (1 - _FILLED) / 2
            yield _mark(kind, x + inset, y, width * _FILLED, height)


def _dots(
    kinds: Sequence[str], values: Sequence[Any], x: float, width: float, scale: float
) -> Iterator[Mark]:
    middle = x + (width - _DOT) / 2
    for kind, value in zip(kinds, values, strict=True):
        if value is not None:
            yield _mark(kind, middle, HEIGHT - value * scale, _DOT, _DOT)


def _mark(kind: str, *numbers: float) -> Mark:
    return Mark(kind, *(round(number, 1) for number in numbers))


def _number(value: float | None) -> float:
    return value or 0.0
