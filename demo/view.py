"""A job as a page shows it: plain data, ready for JSON and for the templates.

Only jobs of the demo's own tasks have their outcome read: a result is a pickle, and
what other programs of this Redis stored is none of a web page's business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from worker_lib.errors import JobFailed, ResultExpired, WorkerLibError

if TYPE_CHECKING:
    from worker_lib import Job
    from worker_lib.job import Attempt, JobInfo

__all__ = ["describe", "describe_briefly"]

_SENTENCES = {
    "scheduled": "Waits for its time.",
    "held": "Waits for other jobs.",
    "queued": "Stored. Waiting for a machine.",
    "running": "Running on a machine.",
    "retrying": "That did not work. Another attempt follows.",
    "failed": "Failed.",
    "cancelled": "Cancelled.",
    "expired": "Given up: no machine could be had in time.",
}


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


def describe(job: Job[Any], info: JobInfo) -> dict[str, Any]:
    """Return all that a page shows of a job; times are seconds since the epoch."""
    brief = describe_briefly(info)
    readable = info.final and brief["slug"]
    result, error = _outcome(job, info) if readable else (None, None)
    return {
        **brief,
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "due_at": info.due_at,
        "trouble": info.trouble,
        "progress": asdict(info.progress) if info.progress else None,
        "attempts": [_attempt(attempt) for attempt in info.attempts],
        "result": result,
        "error": error,
    }


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
        "output": attempt.output,
    }


def _outcome(
    job: Job[Any], info: JobInfo
) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """Return the value and the error of a job that ended; one of them is None."""
    try:
        if info.status == "succeeded":
            return job.result(timeout=5), None
        return None, _error(job.exception(), info)
    except ResultExpired as error:
        return None, {"kind": "gone", "type": "", "message": str(error), "trace": ""}
    except WorkerLibError as error:
        return None, _error(error, info)


def _error(error: BaseException | None, info: JobInfo) -> dict[str, str]:
    """Return the true cause: what sort, which class, its words, its traceback."""
    if isinstance(error, JobFailed):
        return {
            "kind": error.kind,
            "type": error.remote_type,
            "message": str(error.args[0]),
            "trace": error.remote_traceback,
        }
    if error is None:
        return {"kind": info.status, "type": "", "message": info.error, "trace": ""}
    return {
        "kind": "error",
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": str(error),
        "trace": "",
    }
