"""`worker-lib stats`: jobs, machines, queues, times and costs, once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.output import painted, print_records, say
from worker_lib.cli.parsers import verb
from worker_lib.cli.tables import aligned

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_WINDOWS = ("1h", "24h", "7d")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "stats",
        "count jobs, machines, times and costs, once",
        _run,
        description="Print what there is now and what happened of late: on a terminal "
        "as tables, else a name and a number a line with a tab between. Exit code: 0 "
        "done, 2 wrong call or setting, 5 Redis cannot be reached.",
    )
    parser.add_argument(
        "--window", choices=_WINDOWS, default="24h", help="of late (%(default)s)"
    )


def _run(args: argparse.Namespace) -> int:
    from worker_lib.cli import frames  # noqa: PLC0415 - not for --help
    from worker_lib.inspection import costs, history, overview  # noqa: PLC0415 - as above

    seen, late, spent = overview(), history(args.window), costs()
    if args.json:
        print_records({"overview": seen, "history": late, "costs": spent})
        return exits.OK
    window = frames.window_rows(late, spent)
    if not sys.stdout.isatty():
        for name, value in (*frames.count_rows(seen), *window):
            say(f"{name}\t{value}")
        return exits.OK
    for line in frames.overview_lines(seen):
        print(painted(line.text, line.colour, sys.stdout))
    print()
    print("\n".join(aligned(window)))
    return exits.OK
