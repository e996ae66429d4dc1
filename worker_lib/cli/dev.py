"""`worker-lib dev -- CMD`: run a program inside this folder's local stack."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from worker_lib.cli.output import complain, tell

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "dev",
        help="run a program with a local Redis and a local Fly",
        description="Start or join this folder's local stack, and run CMD with the "
        "variables that point to it. The stack ends when its last user has "
        "ended and no job runs or is due soon.",
    )
    parser.add_argument("command", nargs="+", metavar="CMD", help="after a --")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """Run the program; return its exit code, 128 + n after signal n."""
    import subprocess  # noqa: PLC0415 - not for --help

    from worker_lib import local  # noqa: PLC0415 - not for --help

    env = {**os.environ, **local.environment()}
    tell(
        f"worker-lib dev: Redis at {env['REDIS_URL']}, Machines API at "
        f"{env['FLY_API_HOSTNAME']}"
    )
    try:
        program = subprocess.Popen(args.command, env=env)
    except OSError as error:
        complain(f"worker-lib dev: {args.command[0]}: {error.strerror}")
        return 2
    # Ctrl-C reaches the program as well; this process stays, as a user of the stack.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    status = program.wait()
    return 128 - status if status < 0 else status
