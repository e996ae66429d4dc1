"""Rows: a table where a person looks, else tabs between the cells of a line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from worker_lib.cli.output import painted
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["age", "aligned", "dollars", "print_table", "since"]

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_GAP = "  "


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header if a person looks, else tab-separated without one."""
    import shutil  # noqa: PLC0415 - not for --help

    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in clean:
            print("\t".join(row))
        return
    if not rows:
        return
    first, *rest = aligned([header, *clean])
    columns = shutil.get_terminal_size().columns
    print(painted(first[:columns], "dim", sys.stdout))
    for line in rest:
        print(line[:columns])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, the cells of a column below each other."""
    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    return [_GAP.join(map(str.ljust, row, widths)).rstrip() for row in clean]


def age(seconds_ago: float) -> str:
    """Return a rough length of time, as `3m`; what lies ahead as `in 3m`."""
    length = abs(seconds_ago)
    size, unit = next((one for one in _UNITS if length >= one[0]), _UNITS[-1])
    return f"{'in ' if seconds_ago < 0 else ''}{length // size:.0f}{unit}"


def dollars(amount: float) -> str:
    """Return an amount of US dollars: cents from a dollar on, else three digits."""
    if amount >= 1 or not amount:
        return f"${amount:,.2f}"
    return f"${amount:.3g}" if amount >= 0.0001 else f"${max(amount, 1e-6):.6f}"


def since(at: float) -> str:
    """Return how long ago a moment was, by this computer's clock."""
    return age(time.time() - at)
