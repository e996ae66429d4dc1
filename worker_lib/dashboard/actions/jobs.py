"""What people do with jobs: one, those they selected, or all that fit a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib import inspection
from worker_lib.client.job_acts import ACTS, MOST_AT_ONCE, Acted, act_on, matching
from worker_lib.dashboard.pages.jobs import FILTERS
from worker_lib.dashboard.registry import Action, Confirm, Done, Form
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACTIONS"]

_MATCHING, _GROUP = "matching", "group"


class _Words(NamedTuple):
    """How people are told of an action, before and after.

    Attributes:
        button: The verb.
        one: What happens to a job.
        many: The same for several.
        done: What has happened to one.
        done_many: The same for several.
        asks: From how many jobs on a person is asked first.
        effect: What follows from it.
    """

    button: str
    one: str
    many: str
    done: str
    done_many: str
    asks: int
    effect: str


_WORDS = {
    "retry": _Words(
        "Run again",
        "runs again",
        "run again",
        "runs again",
        "run again",
        MOST_AT_ONCE + 1,
        "Each becomes a new job with the same arguments.",
    ),
    "cancel": _Words(
        "Cancel",
        "is cancelled",
        "are cancelled",
        "was cancelled",
        "were cancelled",
        1,
        "One that runs is interrupted; who waits for its result is told.",
    ),
    "delete": _Words(
        "Delete",
        "is deleted",
        "are deleted",
        "was deleted",
        "were deleted",
        1,
        "Arguments, result and log are gone for good.",
    ),
    "move": _Words(
        "Move",
        "moves",
        "move",
        "was moved",
        "were moved",
        MOST_AT_ONCE + 1,
        "",
    ),
}


def _chosen(form: Form, name: str) -> tuple[list[str], bool]:
    """Return the jobs that are meant, and whether more fit than are taken at once.

    Raises:
        ConfigError: none is meant.
    """
    if form.fields.get(_MATCHING):
        wanted = {one: form.fields.get(one) or None for one in FILTERS}
        job_ids, has_more = matching(ACTS[name], wanted)
    elif form.fields.get(_GROUP):
        found = inspection.failure_group(form.fields[_GROUP], limit=MOST_AT_ONCE)
        job_ids, has_more = found[1] if found else [], False
    else:
        job_ids, has_more = list(dict.fromkeys(form.targets)), False
    if not job_ids:
        if form.fields.get(_MATCHING) or form.fields.get(_GROUP):
            raise ConfigError("nothing is done: no such job is left")
        raise ConfigError("select the jobs first, by the boxes beside them")
    if len(job_ids) > MOST_AT_ONCE:
        remedy = f"select {MOST_AT_ONCE:,} at most"
        raise ConfigError(Problem(f"{len(job_ids):,} jobs at once", remedy))
    return job_ids, has_more


def _asker(name: str) -> Callable[[Form], Confirm | None]:
    words = _WORDS[name]

    def ask(form: Form) -> Confirm | None:
        job_ids, has_more = _chosen(form, name)
        count = len(job_ids)
        by_filter = bool(form.fields.get(_MATCHING) or form.fields.get(_GROUP))
        if not by_filter and count < words.asks:
            return None
        place = f" to queue {_queue(form)}" if name == "move" else ""
        text = f"{_jobs(count)} {words.one if count == 1 else words.many}{place}."
        if has_more:
            text += f" More fit: {MOST_AT_ONCE:,} are taken at once, the newest first."
        typed = str(count) if by_filter and count > 1 else ""
        button = f"{words.button} {_jobs(count)}"
        return Confirm(f"{text} {words.effect}".strip(), button, typed)

    return ask


def _runner(name: str) -> Callable[[Form], Done]:
    def run(form: Form) -> Done:
        job_ids, _ = _chosen(form, name)
        queue = _queue(form) if name == "move" else ""
        acted = list(act_on(ACTS[name], job_ids, queue=queue))
        if len(acted) == 1 and acted[0].refused:
            raise ConfigError(str(acted[0].refused))
        return _answer(name, form, acted, queue)

    return run


def _answer(name: str, form: Form, acted: list[Acted], queue: str) -> Done:
    done = [one for one in acted if not one.refused]
    refused = [one for one in acted if one.refused]
    words, count = _WORDS[name], len(done)
    text = f"{_jobs(count)} {words.done if count == 1 else words.done_many}"
    text += f" to queue {queue}." if queue else "."
    if refused:
        first = refused[0]
        text += f" Nothing was done with {_jobs(len(refused))},"
        text += f" as {first.job_id}: {first.refused}"
    target = ", ".join(one.job_id for one in done[:3])
    goto, goto_words = "", {}
    if count == 1 and form.fields.get("from") == "job":
        if done[0].new_id:
            goto, goto_words = "job", {"id": done[0].new_id}
            text = f"It runs again, as this job; the one before is {done[0].job_id}."
        elif name == "delete":
            goto = "jobs"
    return Done(text, target, count, goto, goto_words)


def _queue(form: Form) -> str:
    queue = form.fields.get("queue_to", "").strip()
    if not queue:
        raise ConfigError("write the name of the queue that the jobs move to")
    return queue


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


ACTIONS = tuple(
    Action(name=f"{name}-jobs", run=_runner(name), confirm=_asker(name))
    for name in ACTS
)
