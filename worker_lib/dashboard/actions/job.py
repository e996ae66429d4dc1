"""What people change of one job: while it waits, or as it is run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.client.handle import Job
from worker_lib.dashboard.registry import Action, Done, Form
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from worker_lib.job import JobInfo

__all__ = ["ACTIONS"]


def _edit(form: Form) -> Done:
    job = Job.get(form.target)
    changes = _changes(form, job.info())
    if not changes:
        raise ConfigError("nothing was changed: all is as it was")
    try:
        job.edit(**changes)
    except TypeError as error:
        raise _arguments_refused(error) from error
    return Done(f"Changed: {', '.join(_nouns(changes))}.")


def _put_first(form: Form) -> Done:
    Job.get(form.target).edit(first=True)
    return Done("It goes before all others that wait in its queue now.")


def _rerun(form: Form) -> Done:
    job = Job.get(form.target)
    changes = _changes(form, job.info())
    try:
        new = job.retry(**changes)
    except TypeError as error:
        raise _arguments_refused(error) from error
    how = f" with other {', '.join(_nouns(changes))}" if changes else ""
    text = f"It runs again{how}, as this job; the one before is {job.id}."
    return Done(text, job.id, goto="job", goto_words={"id": new.id})


def _clone(form: Form) -> Done:
    job = Job.get(form.target)
    info = job.info()
    changes = _changes(form, info)
    if info.status == "succeeded":  # its task is not signed: it is what a person saw
        if form.fields.get("task") != info.task:
            raise ConfigError("this job is of another task by now: reload its page")
        changes |= _arguments(form.fields.get("arguments", ""), info.id, anew=True)
    try:
        new = job.clone(**changes)
    except TypeError as error:
        raise _arguments_refused(error) from error
    text = f"This is a new job, made from {job.id}."
    return Done(text, job.id, goto="job", goto_words={"id": new.id})


def _nouns(changes: dict[str, Any]) -> list[str]:
    names = [name for name in changes if name not in {"args", "kwargs"}]
    return ["arguments"] * ("args" in changes) + names


def _changes(form: Form, info: JobInfo) -> dict[str, Any]:
    """Return what a person has written that differs from how the job is."""
    fields = {name: text.strip() for name, text in form.fields.items()}
    changes: dict[str, Any] = {}
    if fields.get("queue", info.queue) != info.queue:
        changes["queue"] = fields["queue"]
    if fields.get("priority", str(info.priority)) != str(info.priority):
        changes["priority"] = _number(fields["priority"])
    for name in ("delay", "timeout"):
        if fields.get(name):
            changes[name] = fields[name]
    if "arguments" in fields:
        changes |= _arguments(fields["arguments"], info.id)
    return changes


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text  # the check tells what is right


def _arguments(text: str, job_id: str, *, anew: bool = False) -> dict[str, Any]:
    """Return the arguments that a person has written, if they are others or `anew`.

    Raises:
        ConfigError: that is no JSON, or the present ones are not plain values, so that
            they would be lost.
    """
    now = inspection.plain_arguments(inspection.previews([job_id])[0].args)
    if now is None:
        raise ConfigError(
            "the arguments are left alone: they are not all plain JSON values, or are "
            "not shown in full"
        )
    try:
        wanted = inspection.PlainArguments.from_json(text)
    except (ValueError, RecursionError) as error:
        remedy = 'write an object, as {"name": 7}, or a list, as [7]'
        raise ConfigError(Problem(f"that is no JSON ({error})", remedy)) from error
    return {} if wanted == now and not anew else wanted._asdict()


def _arguments_refused(error: TypeError) -> ConfigError:
    return ConfigError(Problem(str(error), "write arguments that the function takes"))


ACTIONS = (
    Action(name="edit-job", run=_edit),
    Action(name="first-job", run=_put_first),
    Action(name="rerun-job", run=_rerun),
    Action(name="clone-job", run=_clone),
)
