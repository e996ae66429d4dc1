"""`worker-lib top`: the same as `stats`, drawn anew every other second."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from worker_lib.checks import duration
from worker_lib.cli import exits
from worker_lib.cli.output import print_json_line, say
from worker_lib.cli.parsers import verb

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]

_SHORTEST = 0.2


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "top",
        "watch jobs, machines and queues, live",
        _run,
        description="Show what there is now, drawn anew until q or Ctrl-C, at the cost "
        "of a Redis command each time; where no terminal is, once. With --json a line "
        "each time. Exit code: 0 done, 2 wrong call or setting, 5 Redis cannot be "
        "reached, 130 after Ctrl-C.",
    )
    add = parser.add_argument
    add("--once", action="store_true", help="show it once")
    add("--interval", default="2s", help="from one time to the next (%(default)s)")


def _run(args: argparse.Namespace) -> int:
    from worker_lib.cli.screen import is_screen, watch  # noqa: PLC0415 - not for --help
    from worker_lib.inspection import as_document, overview  # noqa: PLC0415 - as above

    interval = duration(_SHORTEST)(args.interval, "--interval")
    if args.json:
        print_json_line(as_document(overview()))
        while not args.once:
            _pause(interval)
            print_json_line(as_document(overview()))
        return exits.OK
    if not args.once and is_screen(sys.stdout):
        return watch(overview, interval)
    from worker_lib.cli.frames import overview_lines  # noqa: PLC0415 - as above

    for line in overview_lines(overview()):
        say(line.text)
    return exits.OK


def _pause(seconds: float) -> None:
    import time  # noqa: PLC0415 - not for --help

    time.sleep(seconds)
