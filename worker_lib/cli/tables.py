"""Rows: a table where a person looks, else tabs between the cells of a line."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from worker_lib.cli.output import painted
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["age", "as_document", "moment", "print_table", "since"]

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_GAP = "  "


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header if a person looks, else tab-separated without one."""
    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in clean:
            print("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(header, *clean, strict=True)]
    print(painted(_aligned(header, widths), "dim", sys.stdout))
    for row in clean:
        print(_aligned(row, widths))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(cells).rstrip()[: shutil.get_terminal_size().columns]


def age(seconds_ago: float) -> str:
    """Return a rough length of time, as `3m`; what lies ahead as `in 3m`."""
    length = abs(seconds_ago)
    size, unit = next((one for one in _UNITS if length >= one[0]), _UNITS[-1])
    return f"{'in ' if seconds_ago < 0 else ''}{length // size:.0f}{unit}"


def since(at: float) -> str:
    """Return how long ago a moment was, by this computer's clock."""
    return age(time.time() - at)


def moment(at: float | None) -> str | None:
    """Return a time in ISO 8601, in UTC; None for none."""
    if at is None:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - not for --help

    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def as_document(record: Any) -> dict[str, Any]:
    """Return a job, an attempt or a queue for JSON: Python's names, times in UTC."""
    return {
        name: _as_json(name, value)
        for name, value in zip(record._fields, record, strict=True)
    }


def _as_json(name: str, value: Any) -> Any:
    if name.endswith("_at"):
        return moment(value)
    if name == "attempts":
        return [as_document(attempt) for attempt in value]
    return as_document(value) if hasattr(value, "_fields") else value
