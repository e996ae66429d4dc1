"""`worker-lib`: what people call by hand. Each command has a module of its own.

Only the module of the command that was called is imported: `--help` has to answer at
once, and most modules bring an HTTP library or a client of Redis along.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from worker_lib import __version__
from worker_lib.cli import exits
from worker_lib.errors import WorkerLibError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# Every command with its help; `cli/<command>.py` has an `add_parser`.
_COMMANDS = {
    "dev": "run a program with a local Redis and a local Fly",
    "run": "run one task on a machine and print its result",
    "doctor": "check the settings against the real Redis and the real Fly",
    "sweep": "put right what was lost, once",
    "init": "write the files that a deploy on Fly needs",
    "emulator": "serve Fly's Machines API here, with machines of this computer",
    "version": "print the versions of what is installed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 if all is well, 1 if a job or a check failed, 2 for a wrong call or setting, 3
    for what is not there, 4 if time ran out, 5 if Redis or Fly cannot be reached, 130
    after Ctrl-C. An error of this library is told in one sentence.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words).parse_args(words)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except WorkerLibError as error:
        print(f"worker-lib: {error}", file=sys.stderr)
        return exits.exit_code(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone; the interpreter's own flush must not fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows the options of the command in `words` only."""
    parser = argparse.ArgumentParser(
        prog="worker-lib",
        description="Background jobs on short-lived Fly Machines.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    wanted = next((word for word in words if not word.startswith("-")), "")
    for name, about in _COMMANDS.items():
        if name == wanted:
            module = importlib.import_module(f"worker_lib.cli.{name}")
            module.add_parser(commands)
        else:
            commands.add_parser(name, help=about)
    return parser
