"""`worker-lib job`: look at one job, or do something with some."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from worker_lib.cli import exits
from worker_lib.cli.calls import catch_up
from worker_lib.cli.output import print_json, say, tell
from worker_lib.cli.tables import print_table
from worker_lib.errors import ConfigError, WorkerLibError
from worker_lib.inspection.documents import as_document, moment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from worker_lib.client.handle import Job
    from worker_lib.job import Attempt, JobInfo

__all__ = ["add_parser"]

_ATTEMPTS = ("ATTEMPT", "MACHINE", "REGION", "STARTED", "SECONDS", "OUTCOME", "ERROR")
_SHOWN_APART = {"attempts", "id"}


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Add the command with its actions."""
    parser = subparsers.add_parser(
        "job",
        help="show, read, retry, edit, cancel or delete jobs",
        description="Look at a job, or do something with one or more. Exit code: 0 "
        "done, 1 refused as the job is now, 2 wrong call or setting, 3 no such job, 5 "
        "Redis cannot be reached.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_readers(actions)
    for name, (do, about) in _ACTS.items():
        action = _action(actions, name, about, _many(name, do))
        action.add_argument("job_ids", metavar="ID", nargs="+")
        action.add_argument("--yes", action="store_true", help="do not ask")
    edit = _action(actions, "edit", "change a job that waits", _edit)
    add = edit.add_argument
    add("job_id", metavar="ID")
    add("--queue", metavar="NAME", help="move it to this queue")
    add("--priority", type=int, help="-100 to 100; higher goes first")
    add("--delay", help="start no sooner than this from now, as 10m; 0: now")
    add("--first", action="store_true", help="put it before all that wait with it")


def _add_readers(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    show = _action(actions, "show", "print all that is known of a job", _show)
    show.add_argument("job_id", metavar="ID")
    logs = _action(actions, "logs", "print what a job has printed", _logs)
    logs.add_argument("job_id", metavar="ID")
    logs.add_argument("--attempt", type=int, metavar="N", help="only of this attempt")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    about: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)
    return parser


def _show(args: argparse.Namespace) -> int:
    info = _job(args.job_id).info()
    if args.json:
        print_json(as_document(info))
        return exits.OK
    for name, value in as_document(info).items():
        if name not in _SHOWN_APART and value not in ("", None, {}):
            say(f"{name}: {_line(value)}")
    if info.attempts:
        print()
        print_table(_ATTEMPTS, [_attempt_row(one) for one in info.attempts])
    return exits.OK


def _logs(args: argparse.Namespace) -> int:
    text = _job(args.job_id).logs(args.attempt)
    if args.json:
        print_json({"job_id": args.job_id, "logs": text})
    elif text:
        say(text.removesuffix("\n"))
    else:
        tell("it has printed nothing")
    return exits.OK


def _edit(args: argparse.Namespace) -> int:
    wanted = {name: getattr(args, name) for name in ("queue", "priority", "delay")}
    changes = {name: value for name, value in wanted.items() if value is not None}
    if not changes and not args.first:
        raise ConfigError("name a change: --queue, --priority, --delay or --first")
    job = _job(args.job_id)
    job.edit(**changes, first=args.first)
    catch_up()
    return _tell_of(job.info(), as_json=args.json)


def _tell_of(info: JobInfo, *, as_json: bool) -> int:
    if as_json:
        print_json(as_document(info))
    else:
        due = f", due {moment(info.due_at)}" if info.due_at else ""
        say(f"{info.id}: {info.status} in {info.queue}, {info.priority}{due}")
    return exits.OK


def _retry(job: Job[Any]) -> str:
    return job.retry().id


def _cancel(job: Job[Any]) -> str:
    return "cancelled" if job.cancel() else job.status


def _delete(job: Job[Any]) -> str:
    job.delete()
    return "deleted"


_ACTS: dict[str, tuple[Callable[[Job[Any]], str], str]] = {
    "retry": (_retry, "run jobs again that did not succeed; print the new ids"),
    "cancel": (_cancel, "end jobs, waiting or running"),
    "delete": (_delete, "forget jobs that wait or have ended"),
}


def _many(
    name: str, do: Callable[[Job[Any]], str]
) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        if name == "delete" or len(args.job_ids) > 1:
            _confirm(f"{name} {_count(args.job_ids)}", sure=args.yes)
        told, code = {}, exits.OK
        for job_id in args.job_ids:
            try:
                told[job_id] = do(_job(job_id))
            except WorkerLibError as error:
                tell(f"worker-lib: {error}")
                code = code or exits.exit_code(error)
        _report(told, as_json=args.json)
        return code

    return run


def _report(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({"jobs": told})
        return
    for job_id, what in told.items():
        say(f"{job_id}\t{what}")


def _count(job_ids: list[str]) -> str:
    return f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids)} jobs"


def _confirm(what: str, *, sure: bool) -> None:
    """Ask a person.

    Raises:
        ConfigError: the answer is no, or there is nobody to ask.
    """
    if sure:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"nobody can be asked whether to {what}: add --yes")
    print(f"{what}? [y/N] ", file=sys.stderr, end="", flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ConfigError(f"did not {what}")


def _job(job_id: str) -> Job[Any]:
    from worker_lib.client.handle import Job  # noqa: PLC0415 - not for --help

    return Job.get(job_id)


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def _attempt_row(attempt: Attempt) -> tuple[str, ...]:
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
