"""`worker-lib enqueue`: stores one call of a task, and does not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli import exits
from worker_lib.cli.calls import add_call, stored
from worker_lib.cli.output import print_json, say
from worker_lib.cli.parsers import verb

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "enqueue",
        "store one call of a task and print the job's id",
        _run,
        description="Call a task as .delay() does, and print the id of the job. Exit "
        "code: 0 stored, 2 wrong call or setting, 3 no such task, 5 Redis cannot be "
        "reached.",
    )
    add_call(parser)


def _run(args: argparse.Namespace) -> int:
    job = stored(args)
    if args.json:
        print_json({"job_id": job.id})
    else:
        say(job.id)
    return exits.OK
