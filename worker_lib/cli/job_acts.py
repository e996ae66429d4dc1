"""What is done with jobs, some or all that fit: retry, cancel, delete, move, edit."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.cli import exits
from worker_lib.cli.auditing import note
from worker_lib.cli.calls import catch_up, find_task
from worker_lib.cli.confirming import confirm
from worker_lib.cli.filters import add_selection, chosen
from worker_lib.cli.output import complain, print_json, print_records, say, tell
from worker_lib.cli.parsers import verb
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from worker_lib.cli.parsers import Run, Subparsers
    from worker_lib.job import JobInfo

__all__ = ["add_verbs"]


def add_verbs(verbs: Subparsers) -> None:
    """Add the verbs that change jobs."""
    for name, words in _VERBS.items():
        parser = verb(verbs, name, words.about, _runner(name))
        add_selection(parser)
        if name == "move":
            to = "the queue that they go to"
            parser.add_argument("--to", metavar="NAME", required=True, help=to)
    edit = verb(verbs, "edit", "change a job that waits", _edit)
    add = edit.add_argument
    add("job_id", metavar="ID", help="of a job that waits")
    add("--first", action="store_true", help="put it before all that wait with it")
    _add_changes(edit)
    clone = verb(verbs, "clone", "make a new job from one", _clone, description=_CLONE)
    clone.add_argument("job_id", metavar="ID", help="of a job")
    _add_changes(clone)
    clone.add_argument("--timeout", help="how long an attempt may run, as 10m")
    clone.add_argument("--yes", action="store_true", help="do not ask")


_CLONE = (
    "Make a new job from one, whatever its status, with the same call but for what is "
    "given, and print its id. Of a job that succeeded Redis keeps no call: its task is "
    "imported from this folder, after a question, and called with what is given, or "
    "with the arguments that `jobs show` tells, if they are plain values, all there."
)


def _add_changes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--queue", metavar="NAME", help="the queue that it waits in")
    add("--priority", type=int, help="-100 to 100; higher goes first")
    add("--delay", help="start no sooner than this from now, as 10m; 0: now")
    add("--args", metavar="JSON", help="all its positional arguments, as '[7, \"a\"]'")
    add("--kwargs", metavar="JSON", help="all its named arguments, as '{\"pages\": 3}'")


# From so many jobs on a person wants to see how far it is.
_MANY = 20


class _Verb(NamedTuple):
    about: str
    told: str


_VERBS = {
    "retry": _Verb("run jobs again that did not succeed; print the new ids", ""),
    "cancel": _Verb("end jobs, waiting or running", "cancelled"),
    "delete": _Verb("forget jobs that wait or have ended", "deleted"),
    "move": _Verb("have jobs that wait do so in another queue", "moved"),
}


def _runner(name: str) -> Run:
    def run(args: argparse.Namespace) -> int:
        job_ids, has_more = chosen(args, name)
        if not job_ids:
            tell(f"there is nothing to {name}")
        elif args.all or name == "delete" or len(job_ids) > 1:
            confirm(f"{name} {_count(job_ids)}", sure=args.yes)
        told: dict[str, str] = {}
        try:
            code = _act(name, job_ids, args, told)
        finally:
            _report(told, as_json=args.json)
            note(f"{name}-jobs", list(told), refused=len(job_ids) - len(told))
        if has_more:
            tell(f"there are more: {name} again")
        return code

    return run


def _act(
    name: str, job_ids: list[str], args: argparse.Namespace, told: dict[str, str]
) -> int:
    """Do it to each job, also after one that was refused; return the exit code.

    Args:
        name: What is done.
        job_ids: To these.
        args: Of the command.
        told: Is filled with what came of it, by job, as far as it gets.
    """
    from worker_lib.client.job_acts import ACTS, act_on  # noqa: PLC0415 - not for --help
    from worker_lib.client.progress import bar  # noqa: PLC0415 - as above

    showing = len(job_ids) >= _MANY and not args.quiet
    shown = bar(showing, name, len(job_ids))
    code = exits.OK
    try:
        for acted in act_on(ACTS[name], job_ids, queue=getattr(args, "to", "")):
            if acted.refused:
                complain(f"worker-lib: {acted.refused}")
                code = code or exits.exit_code(acted.refused)
            else:
                told[acted.job_id] = acted.new_id or _VERBS[name].told
            shown.update(1)
    finally:
        shown.close()
    return code


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
    with _other_arguments_refused():
        job.edit(**changes, first=args.first)
    note("edit-job", [job.id])
    catch_up()
    return _tell_of(job.info(), as_json=args.json)


@contextmanager
def _other_arguments_refused() -> Iterator[None]:
    """Have it told like a wrong option that the function takes other arguments."""
    try:
        yield
    except TypeError as error:
        raise ConfigError(str(error)) from error


def _clone(args: argparse.Namespace) -> int:
    from worker_lib.client.handle import Job  # noqa: PLC0415 - not for --help

    job, changes = Job.get(args.job_id), _changes(args)
    info = job.info()
    if info.status == "succeeded":
        changes |= _arguments_of(info, changes)
        call = {name: changes.get(name) for name in ("args", "kwargs")}
        # Neither the task's name nor what is imported for it is to be Redis's choice.
        confirm(f"call {info.task} with {json.dumps(call)}", sure=args.yes)
        find_task(info.task)
    with _other_arguments_refused():
        new = job.clone(**changes)
    note("clone-job", [job.id])
    if args.json:
        print_json({"job_id": new.id})
    else:
        say(new.id)
    return exits.OK


def _arguments_of(info: JobInfo, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a job was called with, unless others are given."""
    from worker_lib.inspection import plain_arguments, previews  # noqa: PLC0415 - as above

    if "args" in changes or "kwargs" in changes:
        return {}
    plain = plain_arguments(previews([info.id])[0].args)
    if plain is None:
        raise ConfigError(
            f"the arguments of job {info.id}, which succeeded, are not all plain "
            "values, or are not shown in full: give --args and --kwargs"
        )
    return plain._asdict()


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    names = ("queue", "priority", "delay", "timeout")
    changes = {name: getattr(args, name, None) for name in names}
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
