"""`worker-lib run`: one call of a task, from the command line to its result."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from worker_lib.checks import seconds
from worker_lib.cli.calls import add_call, stored
from worker_lib.cli.ends import show_end, wait_for_end
from worker_lib.cli.output import tell
from worker_lib.cli.parsers import verb
from worker_lib.errors import WaitTimeout, WorkerLibError
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.client.handle import Job
    from worker_lib.job import JobInfo

__all__ = ["add_parser"]

# Seconds that the last output of a job that has ended may take.
_OUTPUT_WITHIN = 5.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "run",
        "run one task on a machine and print its result",
        _run,
        description="Call a task as .delay() does, wait, and print what it returned. "
        "Exit code: 0 done, 1 the job failed, 2 wrong call or setting, 3 no such task, "
        "4 not done in time, 5 Redis or Fly cannot be reached, 130 after Ctrl-C.",
    )
    add_call(parser)
    add = parser.add_argument
    add("--timeout", help="how long to wait, as 30s or 5m (as long as it takes)")
    add("-f", "--follow", action="store_true", help="show on stderr what it prints")


def _run(args: argparse.Namespace) -> int:
    timeout = None if args.timeout is None else seconds(args.timeout, "--timeout")
    job = stored(args)
    follower = _follower(job, output=args.follow)
    try:
        end = wait_for_end(job, timeout)
    except (WaitTimeout, KeyboardInterrupt):
        tell(
            f"worker-lib run: job {job.id} goes on without this command; what it "
            f"prints: worker-lib logs -f {job.id}"
        )
        raise
    if args.follow and follower is not None:
        follower.join(_OUTPUT_WITHIN)
    return show_end(job, end, as_json=args.json, followed=args.follow)


def _follower(job: Job[Any], *, output: bool) -> threading.Thread | None:
    """Start a thread that tells what the job prints, or else how it is."""
    if not (output or sys.stderr.isatty()):
        return None
    follow = _follow_output if output else _follow
    thread = threading.Thread(target=follow, args=(job,), daemon=True)
    thread.start()
    return thread


def _follow_output(job: Job[Any]) -> None:
    from worker_lib.cli.logs import follow_output  # noqa: PLC0415 - not for --help

    try:
        follow_output(job.id)
    except WorkerLibError as error:
        tell(f"worker-lib run: what it prints cannot be shown: {error}")


def _follow(job: Job[Any]) -> None:
    """Tell of each change until the job has ended."""
    try:
        for info in job.watch(None):
            tell(printable(_news(info), keep=""))
    except WorkerLibError:
        return  # whoever waits for the result is told of it


def _news(info: JobInfo) -> str:
    where = f" on {info.machine_id} ({info.region})" if info.machine_id else ""
    line = f"{info.status}{where}"
    if info.progress is None:
        return line
    done = f"{info.progress.done:g}"
    total = "" if info.progress.total is None else f"/{info.progress.total:g}"
    return f"{line}: {done}{total} {info.progress.message}".rstrip()
