"""A job as a page shows it: plain data, ready for JSON and for the templates.

Only jobs of the demo's own tasks have their outcome read: a result is a pickle, and
what other programs of this Redis stored is none of a web page's business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from worker.services import is_loopback
from worker_lib.errors import JobFailed, ResultExpired, WorkerLibError

if TYPE_CHECKING:
    from worker_lib import Job
    from worker_lib.job import Attempt, JobInfo

__all__ = ["describe", "describe_briefly", "place_of"]

_SENTENCES = {
    "scheduled": "Waits for its time.",
    "held": "Waits for other jobs.",
    "queued": "Stored. Waiting for a machine.",
    "running": "Running on a machine.",
    "retrying": "That did not work. Another attempt follows.",
    "failed": "It will not be tried again.",
    "cancelled": "Somebody ended it before it was done.",
    "expired": "No machine could be had for it in time.",
}
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
        title="Picture in three sizes", slug="picture", done="All sizes are stored."
    ),
    "worker.tasks:make_report": _Kind(
        title="PDF report", slug="report", done="The report is ready."
    ),
}


def describe_briefly(info: JobInfo) -> dict[str, Any]:
    """Return what a list shows of a job, without a further look into Redis."""
    kind = _KINDS.get(info.task, _Kind(title=info.task))
    done = info.status == "succeeded"
    return {
        "id": info.id,
        "task": info.task,
        "title": kind.title,
        "slug": kind.slug,
        "status": info.status,
        "sentence": kind.done if done else _SENTENCES[info.status],
        "final": info.final,
        "created_at": info.created_at,
    }


def describe(job: Job[Any], info: JobInfo, *, public: bool) -> dict[str, Any]:
    """Return all that a page shows of a job; times are seconds since the epoch.

    Args:
        public: Strangers see it: leave out what tells of the servers, which are a
            traceback's paths and why no machine can be had.
    """
    brief = describe_briefly(info)
    readable = info.final and brief["slug"]
    result, error = _outcome(job, info.status) if readable else (None, None)
    if error and public:
        error["trace"] = ""
    return {
        **brief,
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "trouble": info.trouble and (_NOT_PUBLIC if public else info.trouble),
        "progress": asdict(info.progress) if info.progress else None,
        "attempts": [_attempt(attempt) for attempt in info.attempts],
        "result": result,
        "error": error,
    }


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
