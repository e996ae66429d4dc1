"""`worker-lib jobs`: lists jobs, shows one, waits for some; acts on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from worker_lib.checks import seconds, whole
from worker_lib.cli import exits, job_acts
from worker_lib.cli.filters import add_filters, filters
from worker_lib.cli.output import print_json, print_records, say, tell
from worker_lib.cli.parsers import noun, verb
from worker_lib.cli.tables import dollars, print_table, show_list, since

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.inspection import FailureGroup, Phase
    from worker_lib.job import Attempt, JobInfo

__all__ = ["add_parser"]

_HEADER = ("ID", "TASK", "STATUS", "QUEUE", "ATTEMPT", "AGE", "TAGS", "ERROR")
_ATTEMPTS = ("ATTEMPT", "MACHINE", "REGION", "STARTED", "SECONDS", "OUTCOME", "ERROR")
_FAILURES = ("JOBS", "TASK", "KIND", "LAST", "NEWEST", "ERROR")
_PHASES = ("PHASE", "ATTEMPT", "SECONDS")
_SHOWN_APART = {"attempts", "id"}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its verbs."""
    verbs = noun(
        subparsers,
        "jobs",
        "list, show, retry, clone, edit, move, cancel, delete or await jobs",
        "Look at jobs, or do something with some. Exit code: 0 done, 1 refused as the "
        "job is now, 2 wrong call or setting, 3 no such job, 4 not in time, 5 Redis "
        "cannot be reached.",
    )
    listing = verb(verbs, "list", "list jobs, newest first", _list)
    add_filters(listing)
    add = listing.add_argument
    add("--limit", default="50", metavar="N", help="at most so many (%(default)s)")
    add("--after", metavar="ID", help="those that follow this job in the list")
    failures = verb(verbs, "failures", "tell why jobs failed, by cause", _failures)
    failures.add_argument(
        "--limit", default="1000", metavar="N", help="of the newest N (%(default)s)"
    )
    show = verb(verbs, "show", "print all that is known of a job", _show)
    show.add_argument("job_id", metavar="ID", help="of a job")
    wait = verb(verbs, "wait", "wait until jobs have ended; 1 if one failed", _wait)
    wait.add_argument("job_ids", metavar="ID", nargs="+", help="of jobs")
    result = verb(verbs, "result", "print what a job returned, when it has", _result)
    result.add_argument("job_id", metavar="ID", help="of a job")
    for one in (wait, result):
        one.add_argument("--timeout", help="as 30s or 5m (as long as it takes)")
    job_acts.add_verbs(verbs)


def _list(args: argparse.Namespace) -> int:
    from worker_lib.client.inspection import jobs  # noqa: PLC0415 - not for --help

    limit = whole(1, from_text=True)(args.limit, "--limit")
    found = jobs(**filters(args), limit=limit + 1, after=args.after)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    if args.json:
        print_records({"jobs": page, "after": more})
        return exits.OK
    print_table(_HEADER, [_row(info) for info in page])
    if not page:
        tell("no such job")
    if more:
        tell(f"there are more: --after {more}, or a larger --limit")
    return exits.OK


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


def _failures(args: argparse.Namespace) -> int:
    from worker_lib.inspection import failures  # noqa: PLC0415 - not for --help

    found = failures(limit=whole(1, from_text=True)(args.limit, "--limit"))
    nothing = "no job that is kept has failed"
    return show_list(args, "failures", found, (_FAILURES, _failure_row), nothing)


def _failure_row(group: FailureGroup) -> tuple[str, ...]:
    return (
        f"{group.total:,}",
        group.task,
        group.kind,
        "" if group.last_at is None else since(group.last_at),
        group.job_ids[0],
        group.error,
    )


def _show(args: argparse.Namespace) -> int:
    from worker_lib import inspection  # noqa: PLC0415 - not for --help
    from worker_lib.client.handle import Job  # noqa: PLC0415 - as above

    info, now = Job.get(args.job_id).info(), time.time()
    phases, cost = inspection.timeline(info, now), inspection.job_cost(info, now)
    (preview,) = inspection.previews([info.id])
    texts = {"args_preview": preview.args, "result_preview": preview.result}
    told = {**inspection.as_document(info), **texts}
    if args.json:
        print_records({**told, "timeline": phases, "cost_usd": cost})
        return exits.OK
    for name, value in told.items():
        if name not in _SHOWN_APART and value not in ("", None, {}):
            say(f"{name}: {_line(value)}")
    say(f"cost: {dollars(cost)}")
    if info.attempts:
        print()
        print_table(_ATTEMPTS, [_attempt_row(one) for one in info.attempts])
    print()
    print_table(_PHASES, [_phase_row(one) for one in phases])
    return exits.OK


def _phase_row(phase: Phase) -> tuple[str, ...]:
    mark = "" if phase.is_over else "+"
    return phase.name, str(phase.attempt), f"{phase.seconds:.2f}{mark}"


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def _attempt_row(attempt: Attempt) -> tuple[str, ...]:
    from worker_lib.inspection.documents import moment  # noqa: PLC0415 - not for --help

    ended, started = attempt.ended_at, attempt.started_at
    return (
        str(attempt.number),
        attempt.machine_id,
        attempt.region,
        moment(started) or "",
        "" if ended is None else f"{ended - started:.1f}",
        attempt.outcome,
        attempt.error.partition("\n")[0],
    )


def _wait(args: argparse.Namespace) -> int:
    """Wait for all; nothing is unpickled, as only their statuses are told."""
    timeout = None if args.timeout is None else seconds(args.timeout, "--timeout")
    deadline = None if timeout is None else time.monotonic() + timeout
    ended: dict[str, str] = {}
    for job_id in dict.fromkeys(args.job_ids):
        info = _final(job_id, deadline)
        ended[job_id] = info.status
        if not args.json:
            say(f"{job_id}\t{info.status}")
    if args.json:
        print_json({"jobs": ended})
    return _code_of(list(ended.values()))


def _result(args: argparse.Namespace) -> int:
    from worker_lib.cli.ends import show_end, wait_for_end  # noqa: PLC0415 - not for --help
    from worker_lib.client.handle import Job  # noqa: PLC0415 - as above

    timeout = None if args.timeout is None else seconds(args.timeout, "--timeout")
    job = Job.get(args.job_id)
    return show_end(job, wait_for_end(job, timeout), as_json=args.json)


def _final(job_id: str, deadline: float | None) -> JobInfo:
    """Return the job when it has ended, or as it is when the time is over."""
    from worker_lib.client.handle import Job  # noqa: PLC0415 - not for --help

    job, trouble = Job.get(job_id), ""
    info = job.info()
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    if info.final:
        return info
    for info in job.watch(left):
        if info.trouble not in {"", trouble}:
            tell(f"{job_id} waits: {info.trouble}")
        trouble = info.trouble
    return info


def _code_of(statuses: Sequence[str]) -> int:
    from worker_lib.job import FINAL  # noqa: PLC0415 - not for --help

    if not FINAL.issuperset(statuses):
        return exits.TIMEOUT
    return exits.OK if set(statuses) == {"succeeded"} else exits.FAILED
