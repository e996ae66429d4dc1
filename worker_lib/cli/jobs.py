"""`worker-lib jobs`: the list of jobs, newest first, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.checks import whole
from worker_lib.cli import exits
from worker_lib.cli.output import print_json, tell
from worker_lib.cli.tables import print_table, since
from worker_lib.inspection.documents import as_document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from worker_lib.job import JobInfo

__all__ = ["add_parser"]

_HEADER = ("ID", "TASK", "STATUS", "QUEUE", "ATTEMPT", "AGE", "TAGS", "ERROR")


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser(
        "jobs",
        help="list jobs, newest first",
        description="List jobs, newest first: on a terminal as a table, else a job a "
        "line with tabs between. All filters have to fit. Exit code: 0 also if there "
        "is none, 2 wrong call or setting, 3 no such job to go on after, 5 Redis "
        "cannot be reached.",
    )
    add = parser.add_argument
    add("--status", help="scheduled, queued, running, retrying, succeeded, failed, ...")
    add("--queue", metavar="NAME")
    add("--task", metavar="MODULE:TASK")
    add("--tag", metavar="NAME=VALUE")
    add("--since", help="made no longer ago than this, as 30m or 2d")
    add("--limit", default="50", metavar="N", help="at most so many (50)")
    add("--after", metavar="ID", help="those that follow this job in the list")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.client.inspection import jobs  # noqa: PLC0415 - not for --help

    limit = whole(1, from_text=True)(args.limit, "--limit")
    found = jobs(
        status=args.status,
        queue=args.queue,
        task=args.task,
        tag=args.tag,
        since=args.since,
        limit=limit + 1,
        after=args.after,
    )
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    if args.json:
        print_json({"jobs": [as_document(info) for info in page], "after": more})
        return exits.OK
    _show(page, more)
    return exits.OK


def _show(page: Sequence[JobInfo], more: str | None) -> None:
    print_table(_HEADER, [_row(info) for info in page])
    if not page:
        tell("no such job")
    if more:
        tell(f"there are more: --after {more}, or a larger --limit")


def _row(info: JobInfo) -> tuple[str, ...]:
    return (
        info.id,
        info.task,
        info.status,
        info.queue,
        f"{info.attempt}/{info.max_attempts}",
        since(info.created_at),
        ",".join(f"{name}={value}" for name, value in info.tags.items()),
        (info.error or info.trouble).partition("\n")[0],
    )
