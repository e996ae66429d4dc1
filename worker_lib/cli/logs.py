"""`worker-lib logs`: what a job has printed; with --follow also what it goes on to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.checks import whole
from worker_lib.cli import exits
from worker_lib.cli.output import print_json, print_json_line, say, tell
from worker_lib.cli.parsers import verb
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.client.handle import Job

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "logs",
        "print what a job has printed",
        _run,
        description="Print what a job has written to stdout and stderr, in order. "
        "Exit code: 0 also if it is nothing, 2 wrong call or setting, 3 no such job, 5 "
        "Redis cannot be reached.",
    )
    add = parser.add_argument
    add("job_id", metavar="ID", help="of a job")
    add("--attempt", type=int, metavar="N", help="only of this attempt")
    add("-n", "--lines", metavar="N", help="only the last N lines")
    add("-f", "--follow", action="store_true", help="go on until the job has ended")


def _run(args: argparse.Namespace) -> int:
    from worker_lib.client.handle import Job  # noqa: PLC0415 - not for --help

    if args.follow and args.attempt is not None:
        raise ConfigError("--follow shows all attempts: leave --attempt out")
    lines = None
    if args.lines is not None:
        lines = whole(0, from_text=True)(args.lines, "--lines")
    job = Job.get(args.job_id)
    if args.follow:
        return _follow(job, lines, as_json=args.json)
    text = _last(job.logs(args.attempt), lines)
    if args.json:
        print_json({"job_id": job.id, "logs": text})
    elif text:
        say(text.removesuffix("\n"))
    else:
        tell("it has printed nothing")
    return exits.OK


def _last(text: str, lines: int | None) -> str:
    if lines is None:
        return text
    return "".join(text.splitlines(keepends=True)[-lines:] if lines else ())


def _follow(job: Job[Any], lines: int | None, *, as_json: bool) -> int:
    """Print JSON lines, or text: what there is, then the rest as it comes."""
    from worker_lib.cli.following import printed_by  # noqa: PLC0415 - not for --help

    for number, (attempt, text) in enumerate(printed_by(job)):
        shown = _last(text, lines) if number == 0 else text
        if as_json:
            print_json_line({"job_id": job.id, "attempt": attempt, "text": shown})
        elif shown:
            say(shown.removesuffix("\n"))
    return exits.OK
