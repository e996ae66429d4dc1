"""`worker-lib run`: one call of a task, from the command line to its result."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.checks import seconds
from worker_lib.cli import exits
from worker_lib.cli.calls import find_task, pairs, word
from worker_lib.cli.output import print_json, say, tell
from worker_lib.errors import JobCancelled, JobFailed, WaitTimeout, WorkerLibError
from worker_lib.printable import printable

if TYPE_CHECKING:
    import argparse

    from worker_lib.client.handle import Job
    from worker_lib.job import JobInfo

__all__ = ["add_parser"]


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "run",
        help="run one task on a machine and print its result",
        description="Call a task as .delay() does, wait, and print what it returned. "
        "Arguments are JSON where they can be read so, else text. Exit code: 0 done, "
        "1 the job failed, 2 wrong call or setting, 3 no such task, 4 not done in "
        "time, 5 Redis or Fly cannot be reached, 130 after Ctrl-C.",
    )
    add = parser.add_argument
    add("task", metavar="MODULE:TASK", help="as in worker_lib.ping:ping")
    add("args", nargs="*", metavar="ARG", help="its arguments")
    add("--kw", nargs="+", action="extend", default=[], metavar="NAME=VALUE")
    add(
        "--option",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="as .options() takes them: memory_mb=512 region=ams",
    )
    add("--timeout", help="how long to wait, as 30s or 5m (as long as it takes)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How the call ended.

    Attributes:
        outcome: `succeeded`, `failed` or `cancelled`.
    """

    outcome: str
    value: Any = None
    error: BaseException | None = None


def _run(args: argparse.Namespace) -> int:
    # As `python -m` does: a task is found in the folder one stands in.
    sys.path.insert(0, os.getcwd())
    task = find_task(args.task).options(**pairs("--option", args.option))
    timeout = None if args.timeout is None else seconds(args.timeout, "--timeout")
    positional, named = [word(one) for one in args.args], pairs("--kw", args.kw)
    try:
        job = task.delay(*positional, **named)
    except TypeError as error:
        tell(f"worker-lib run: {error}")
        return exits.USAGE
    if sys.stderr.isatty():
        threading.Thread(target=_follow, args=(job,), daemon=True).start()
    try:
        end = _wait(job, timeout)
    except (WaitTimeout, KeyboardInterrupt):
        tell(f"worker-lib run: job {job.id} goes on without this command")
        raise
    _show(job, end, as_json=args.json)
    return exits.OK if end.outcome == "succeeded" else exits.FAILED


def _wait(job: Job[Any], timeout: float | None) -> _End:
    """Wait for the job's end.

    Raises:
        WorkerLibError: of this side: what the task raised is an end.
    """
    try:
        return _End(outcome="succeeded", value=job.result(timeout))
    except JobCancelled as error:
        return _End(outcome="cancelled", error=error)
    except Exception as error:
        # What the task raised comes with a JobFailed as its cause, whatever it is.
        if isinstance(error, JobFailed) or isinstance(error.__cause__, JobFailed):
            return _End(outcome="failed", error=error)
        raise


def _show(job: Job[Any], end: _End, *, as_json: bool) -> None:
    if as_json:
        told = {"job_id": job.id, "outcome": end.outcome, "result": end.value}
        print_json({**told, "error": _sentence(end.error)})
    elif end.error is None:
        say(repr(end.value))
    if end.error is not None:
        tell(_report(end.error).rstrip())


def _sentence(error: BaseException | None) -> str:
    if error is None:
        return ""
    return traceback.format_exception_only(error)[-1].strip()


def _report(error: BaseException) -> str:
    """Return the remote traceback where there is one: ours would not help."""
    cause = error if isinstance(error, JobFailed) else error.__cause__
    remote = cause.remote_traceback if isinstance(cause, JobFailed) else ""
    return remote or _sentence(error)


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
