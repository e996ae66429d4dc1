"""Rows: a table where a person looks, else tabs between the cells of a line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from worker_lib.cli import exits
from worker_lib.cli.output import painted, print_records, tell
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

__all__ = ["age", "aligned", "dollars", "print_table", "show_list", "since"]

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_GAP = "  "
_COLOURS = {
    **dict.fromkeys(("succeeded", "deleted"), "green"),
    **dict.fromkeys(("failed", "expired", "lost", "error"), "red"),
    **dict.fromkeys(("running", "retrying", "busy"), "yellow"),
    **dict.fromkeys(("cancelled", "parked"), "dim"),
}


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
    widths = _widths([header, *clean])
    columns = shutil.get_terminal_size().columns
    print(painted(_line(header, widths)[:columns], "dim", sys.stdout))
    for row in clean:
        print(_coloured(row, widths, columns))


def show_list(
    args: argparse.Namespace,
    name: str,
    found: Sequence[Any],
    table: tuple[Sequence[str], Callable[[Any], Sequence[str]]],
    nothing: str,
) -> int:
    """Print a list as JSON or as rows, or tell that it is empty; return the exit code.

    Args:
        args: Of a command that has `--json`.
        name: Of the list in JSON.
        found: Tuples with names.
        table: The header, and what makes a row of one of them.
        nothing: What is told if there is none.
    """
    if args.json:
        print_records({name: found})
        return exits.OK
    header, row = table
    print_table(header, [row(one) for one in found])
    if not found:
        tell(nothing)
    return exits.OK


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, the cells of a column below each other."""
    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    widths = _widths(clean)
    return [_line(row, widths) for row in clean]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(map(str.ljust, row, widths)).rstrip()


def _coloured(row: Sequence[str], widths: Sequence[int], columns: int) -> str:
    """Return a line no longer than this, with statuses in their colours."""
    line = _line(row, widths)[:columns]
    parts, at = [], 0
    for cell, width in zip(row, widths, strict=True):
        text = line[at : at + len(cell)]
        colour = _COLOURS.get(cell, "") if text else ""
        shown = painted(text, colour, sys.stdout)
        parts.append(shown + line[at + len(cell) : at + width + len(_GAP)])
        at += width + len(_GAP)
    return "".join(parts)


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
