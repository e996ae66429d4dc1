"""`worker-lib logs`: what a job has printed; with --follow also what it goes on to."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from worker_lib.checks import seconds, whole
from worker_lib.cli import exits
from worker_lib.cli.output import print_json, tell
from worker_lib.cli.parsers import verb

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.following import Past
    from worker_lib.cli.parsers import Subparsers
    from worker_lib.client.client import Client
    from worker_lib.client.following import LogNews

__all__ = ["add_parser", "follow_output"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "logs",
        "print what a job has printed",
        _run,
        description="Print what a job has written to stdout and stderr, in order. With "
        "--json it is one document, with --follow as well one for each line. "
        "Exit code: 0 also if it is nothing, 2 wrong call or setting, 3 no such job, 5 "
        "Redis cannot be reached, 130 after Ctrl-C: the job goes on.",
    )
    add = parser.add_argument
    add("job_id", metavar="ID", help="of a job")
    add("--attempt", type=int, metavar="N", help="only of this attempt")
    add("-n", "--lines", metavar="N", help="only the last N lines so far")
    add(
        "--since",
        help="of what there is so far, only lines no older than this, as 30m or 2d; "
        "log records have a time, other lines that of the record or start before them",
    )
    add("-f", "--follow", action="store_true", help="go on until the job has ended")


def follow_output(job_id: str) -> None:
    """Write to stderr what a job prints, until it has ended."""
    from worker_lib.cli.following import Past, show_text  # noqa: PLC0415 - as below
    from worker_lib.client.client import default_client  # noqa: PLC0415

    show_text(default_client().logs.follow(job_id), Past(), _write_aside)


def _run(args: argparse.Namespace) -> int:
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help

    client = default_client()
    past = _past(client, args)
    if not args.follow:
        news = client.logs.look(args.job_id, attempt=args.attempt)
        return _show(news, past, job_id=args.job_id, as_json=args.json)
    try:
        _follow(client, past, args)
    except KeyboardInterrupt:
        tell(f"the job goes on; to follow it again: worker-lib logs -f {args.job_id}")
        raise
    return exits.OK


def _past(client: Client, args: argparse.Namespace) -> Past:
    """Return what is wanted of what there is."""
    from worker_lib.cli.following import Past  # noqa: PLC0415 - as above

    lines, since, began = None, 0.0, dict[int, float]()
    if args.lines is not None:
        lines = whole(0, from_text=True)(args.lines, "--lines")
    if args.since is not None:
        since = time.time() - seconds(args.since, "--since")
        attempts = client.look(args.job_id).info.attempts
        began = {one.number: one.started_at for one in reversed(attempts)}
    return Past(lines, since, began)


def _follow(client: Client, past: Past, args: argparse.Namespace) -> None:
    from worker_lib.cli.following import show_json, show_text  # noqa: PLC0415 - as above

    news = client.logs.follow(args.job_id, attempt=args.attempt)
    if args.json:
        show_json(news, past)
    elif not show_text(news, past, _write):
        tell("it has printed nothing")


def _show(news: LogNews, past: Past, *, job_id: str, as_json: bool) -> int:
    from worker_lib.cli.following import as_lines, show_text  # noqa: PLC0415 - as above

    if as_json:
        lines = [line.document() for line in past.of(as_lines(news.texts))]
        print_json({"job_id": job_id, "status": news.status, "lines": lines})
    elif not show_text([news], past, _write):
        tell("it has printed nothing")
    return exits.OK


def _write(text: str) -> None:
    print(text, end="", flush=True)


def _write_aside(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
