"""A job as a page shows it: plain data, ready for JSON and for the templates.

Only jobs of the demo's own tasks have their outcome read: a result is a pickle, and
what other programs of this Redis stored is none of a web page's business.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from demo.steps import steps
from worker.services import is_loopback
from worker_lib.errors import JobFailed, ResultExpired, WorkerLibError

if TYPE_CHECKING:
    from demo.lives import Lives
    from demo.steps import Step
    from worker_lib import Job
    from worker_lib.job import Attempt, JobInfo

__all__ = ["describe", "describe_briefly", "place_of"]

_SENTENCES = {
    "scheduled": "Waits for its time.",
    "queued": "Stored. Waiting for a machine.",
    "running": "Running on a machine.",
    "retrying": "That did not work.",
    "failed": "It will not be tried again.",
    "cancelled": "It was cancelled before it was done.",
    "expired": "No machine could be had for it in time.",
}
# A machine that is up for so long after its job has others, or lingers.
_SETTLED_SECONDS = 60.0
_NOT_PUBLIC = "the job waits, and this app's log says what for."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One sort of job.

    Attributes:
        title: What people call it.
        slug: Name of its result's template; "" for jobs of other programs.
        done: What to say when it has succeeded.
    """

    title: str
    slug: str = ""
    done: str = "Done."


_KINDS = {
    "worker.tasks:send_email": _Kind(title="E-mail", slug="mail", done="Sent."),
    "worker.tasks:resize_image": _Kind(
        title="Picture", slug="picture", done="All sizes are stored."
    ),
    "worker.tasks:make_report": _Kind(
        title="PDF report", slug="report", done="The report is ready."
    ),
}


def describe_briefly(info: JobInfo, about: str) -> dict[str, Any]:
    """Return what a list shows of a job, without a further look into Redis.

    Args:
        about: What tells it from others of its kind, in its owner's words.
    """
    kind = _KINDS.get(info.task, _Kind(title=info.task))
    ended = info.ended_at
    return {
        "id": info.id,
        "task": info.task,
        "title": kind.title,
        "about": about,
        "slug": kind.slug,
        "status": info.status,
        "sentence": _sentence(info, kind),
        "final": info.final,
        "created_at": info.created_at,
        "took_s": None if ended is None else max(0.0, ended - info.created_at),
    }


def describe(
    job: Job[Any], info: JobInfo, about: str, lives: Lives, *, public: bool
) -> dict[str, Any]:
    """Return all that a page shows of a job; times are seconds since the epoch.

    Args:
        about: As for `describe_briefly`.
        lives: Knows the job's machines.
        public: Strangers see it: leave out what tells of the servers, which are a
            traceback's paths and why no machine can be had.
    """
    brief = describe_briefly(info, about)
    readable = info.final and brief["slug"]
    result, error = _outcome(job, info.status) if readable else (None, None)
    if error and public:
        error["trace"] = ""
    return {
        **brief,
        **_on_machines(info, lives),
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "due_in": None if info.due_at is None else max(0.0, info.due_at - time.time()),
        "trouble": info.trouble and (_NOT_PUBLIC if public else info.trouble),
        "progress": info.progress._asdict() if info.progress else None,
        "attempts": [_attempt(attempt) for attempt in info.attempts],
        "result": result,
        "error": error,
    }


def _sentence(info: JobInfo, kind: _Kind) -> str:
    if info.status == "succeeded":
        return kind.done
    if info.status == "retrying":
        following = f"Attempt {info.attempt + 1} of {info.max_attempts} follows."
        return f"{_SENTENCES['retrying']} {following}"
    return _SENTENCES[info.status]


def _on_machines(info: JobInfo, lives: Lives) -> dict[str, Any]:
    """Return the steps of the latest attempt, and what all attempts cost.

    `settled` says that no more is to be seen: the job is final and its machine gone,
    or out of sight.
    """
    machines = dict.fromkeys(one.machine_id for one in info.attempts if one.machine_id)
    found = [lives.find(machine_id) for machine_id in machines]
    life = found[-1] if found else None
    known = [one.usd for one in found if one and one.usd is not None]
    late = info.ended_at and time.time() - info.ended_at > _SETTLED_SECONDS
    return {
        "steps": [_step(step) for step in steps(info, life)],
        "usd": sum(known) if known and len(known) == len(found) else None,
        "machines": len(machines),
        "settled": info.final and bool(late or life is None or life.gone),
    }


def _step(step: Step) -> dict[str, Any]:
    since = step.since
    going = None if since is None else max(0.0, time.time() - since)
    return {**asdict(step), "going_s": going}


def place_of(url: str, files_origin: str) -> str:
    """Say where a stored file is: `shown`, `linked` or `gone`.

    A page may show only what its policy allows, which is the bucket that this app
    knows. Files on loopback were in a stand-in of an earlier run.
    """
    if files_origin and url.startswith(f"{files_origin}/"):
        return "shown"
    return "gone" if is_loopback(url) else "linked"


def _attempt(attempt: Attempt) -> dict[str, Any]:
    ended = attempt.ended_at
    return {
        "number": attempt.number,
        "machine_id": attempt.machine_id,
        "region": attempt.region,
        "boot_s": attempt.boot_s,
        "run_s": None if ended is None else max(0.0, ended - attempt.started_at),
        "outcome": attempt.outcome,
        "error": attempt.error,
    }


def _outcome(
    job: Job[Any], status: str
) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """Return the value and the error of a job that ended; at most one is there."""
    try:
        if status == "succeeded":
            return job.result(timeout=0), None
        if status == "failed":
            return None, _error(job.exception(timeout=0))
    except ResultExpired as error:
        return None, _named("gone", error)
    except WorkerLibError as error:
        return None, _named("unreadable", error)
    return None, None


def _error(error: BaseException | None) -> dict[str, str]:
    """Return the true cause: what sort, which class, its words, its traceback."""
    failure = (
        error if isinstance(error, JobFailed) else getattr(error, "__cause__", None)
    )
    if not isinstance(failure, JobFailed):
        return _named("error", error)
    return {
        "kind": failure.kind,
        "type": failure.remote_type,
        "message": str(failure.args[0] if error is failure else error),
        "trace": failure.remote_traceback,
    }


def _named(kind: str, error: BaseException | None) -> dict[str, str]:
    return {
        "kind": kind,
        "type": type(error).__qualname__,
        "message": str(error),
        "trace": "",
    }
