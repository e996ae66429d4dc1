"""What is done with jobs, some or all that fit: retry, cancel, delete, edit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.cli import exits
from worker_lib.cli.auditing import note
from worker_lib.cli.calls import catch_up
from worker_lib.cli.confirming import confirm
from worker_lib.cli.filters import add_selection, chosen
from worker_lib.cli.output import complain, print_json, print_records, say, tell
from worker_lib.cli.parsers import verb
from worker_lib.errors import ConfigError, WorkerLibError
from worker_lib.job import FINAL

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from worker_lib.cli.parsers import Run, Subparsers
    from worker_lib.client.handle import Job
    from worker_lib.job import JobInfo

__all__ = ["add_verbs"]


def add_verbs(verbs: Subparsers) -> None:
    """Add the verbs that change jobs."""
    for name, act in _ACTS.items():
        add_selection(verb(verbs, name, act.about, _runner(name, act)))
    edit = verb(verbs, "edit", "change a job that waits", _edit)
    add = edit.add_argument
    add("job_id", metavar="ID", help="of a job that waits")
    add("--queue", metavar="NAME", help="move it to this queue")
    add("--priority", type=int, help="-100 to 100; higher goes first")
    add("--delay", help="start no sooner than this from now, as 10m; 0: now")
    add("--first", action="store_true", help="put it before all that wait with it")
    add("--args", metavar="JSON", help="all its positional arguments, as '[7, \"a\"]'")
    add("--kwargs", metavar="JSON", help="all its named arguments, as '{\"pages\": 3}'")


# From so many jobs on a person wants to see how far it is.
_MANY = 20


class _Act(NamedTuple):
    do: Callable[[Job[Any]], str]
    about: str
    fits: Callable[[JobInfo], bool]


def _retry(job: Job[Any]) -> str:
    return job.retry().id


def _cancel(job: Job[Any]) -> str:
    return "cancelled" if job.cancel() else job.status


def _delete(job: Job[Any]) -> str:
    job.delete()
    return "deleted"


def _to_retry(info: JobInfo) -> bool:
    # One that was run again already is counted by the job that does so.
    return info.status in FINAL - {"succeeded"} and not info.retried_as


_ACTS = {
    "retry": _Act(
        _retry, "run jobs again that did not succeed; print the new ids", _to_retry
    ),
    "cancel": _Act(
        _cancel, "end jobs, waiting or running", lambda info: not info.final
    ),
    "delete": _Act(
        _delete,
        "forget jobs that wait or have ended",
        lambda info: info.status != "running",
    ),
}


def _runner(name: str, act: _Act) -> Run:
    def run(args: argparse.Namespace) -> int:
        job_ids, has_more = chosen(args, act.fits)
        if not job_ids:
            tell(f"there is nothing to {name}")
        elif args.all or name == "delete" or len(job_ids) > 1:
            confirm(f"{name} {_count(job_ids)}", sure=args.yes)
        showing = len(job_ids) >= _MANY and not args.quiet
        told, code = _done(act, job_ids, title=name if showing else "")
        note(f"{name}-job", list(told), refused=len(job_ids) - len(told))
        _report(told, as_json=args.json)
        if has_more:
            tell(f"there are more: {name} again")
        return code

    return run


def _done(act: _Act, job_ids: list[str], *, title: str) -> tuple[dict[str, str], int]:
    """Do it to each job, also after one that was refused.

    Args:
        act: What is done.
        job_ids: To these.
        title: Of a bar that a terminal shows; "" for none.
    """
    from worker_lib.client.client import default_client  # noqa: PLC0415 - not for --help
    from worker_lib.client.handle import Job  # noqa: PLC0415 - as above
    from worker_lib.client.progress import bar  # noqa: PLC0415 - as above

    shown = bar(bool(title), title, len(job_ids))
    told: dict[str, str] = {}
    code = exits.OK
    for job_id in job_ids:
        try:
            told[job_id] = act.do(Job(job_id, default_client()))
        except WorkerLibError as error:
            complain(f"worker-lib: {error}")
            code = code or exits.exit_code(error)
        shown.update(1)
    shown.close()
    return told, code


def _report(told: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({"jobs": told})
        return
    for job_id, what in told.items():
        say(f"{job_id}\t{what}")


def _count(job_ids: list[str]) -> str:
    return f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids):,} jobs"


def _edit(args: argparse.Namespace) -> int:
    changes = _changes(args)
    if not changes and not args.first:
        raise ConfigError(
            "name a change: --queue, --priority, --delay, --first, --args or --kwargs"
        )
    from worker_lib.client.handle import Job  # noqa: PLC0415 - not for --help

    job = Job.get(args.job_id)
    try:
        job.edit(**changes, first=args.first)
    except TypeError as error:  # the function is at hand, and takes other arguments
        raise ConfigError(str(error)) from error
    note("edit-job", [job.id])
    catch_up()
    return _tell_of(job.info(), as_json=args.json)


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    names = ("queue", "priority", "delay")
    changes = {name: getattr(args, name) for name in names}
    changes["args"] = _json("--args", args.args, list, '[7, "a"]')
    changes["kwargs"] = _json("--kwargs", args.kwargs, dict, '{"pages": 3}')
    return {name: value for name, value in changes.items() if value is not None}


def _json(option: str, text: str | None, kind: type, example: str) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise ConfigError(f"{option}: write JSON, as {option} '{example}'")
    return value


def _tell_of(info: JobInfo, *, as_json: bool) -> int:
    if as_json:
        print_records(info)
    else:
        from worker_lib.inspection.documents import moment  # noqa: PLC0415 - as above

        due = f", due {moment(info.due_at)}" if info.due_at else ""
        say(f"{info.id}: {info.status} in {info.queue}, {info.priority}{due}")
    return exits.OK
