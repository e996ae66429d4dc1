"""`worker-lib`: what people call by hand. Each command has a module of its own."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from worker_lib import __version__
from worker_lib.cli import dev, emulator
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    2 for a wrong call, 1 for an error of this library, which is told in one sentence.
    """
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except WorkerLibError as error:
        print(f"worker-lib: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worker-lib",
        description="Background jobs on short-lived Fly Machines.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    dev.add_parser(commands)
    emulator.add_parser(commands)
    return parser
