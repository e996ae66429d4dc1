"""How a call ended, as `run` and `jobs result` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.cli import exits
from worker_lib.cli.output import complain, print_json, say
from worker_lib.errors import JobCancelled, JobFailed

if TYPE_CHECKING:
    from worker_lib.client.handle import Job

__all__ = ["End", "show_end", "wait_for_end"]


class End(NamedTuple):
    """How the call ended.

    Attributes:
        outcome: `succeeded`, `failed` or `cancelled`.
    """

    outcome: str
    value: Any = None
    error: BaseException | None = None


def wait_for_end(job: Job[Any], timeout: float | None) -> End:
    """Wait for the job's end.

    Raises:
        WorkerLibError: of this side: what the task raised is an end.
    """
    try:
        return End(outcome="succeeded", value=job.result(timeout))
    except JobCancelled as error:
        return End(outcome="cancelled", error=error)
    except Exception as error:
        # What the task raised comes with a JobFailed as its cause, whatever it is.
        if isinstance(error, JobFailed) or isinstance(error.__cause__, JobFailed):
            return End(outcome="failed", error=error)
        raise


def show_end(job: Job[Any], end: End, *, as_json: bool, followed: bool = False) -> int:
    """Print what the job returned, or why it did not; return the exit code.

    Args:
        followed: What the job printed has been shown.
    """
    if as_json:
        told = {"job_id": job.id, "outcome": end.outcome, "result": end.value}
        print_json({**told, "error": _sentence(end.error)})
    elif end.error is None:
        say(repr(end.value))
    if end.error is not None:
        complain(_report(end.error, followed=followed))
    return exits.OK if end.outcome == "succeeded" else exits.FAILED


def _sentence(error: BaseException | None) -> str:
    if error is None:
        return ""
    import traceback  # noqa: PLC0415 - not for --help

    return traceback.format_exception_only(error)[-1].strip()


def _report(error: BaseException, *, followed: bool) -> str:
    """Return the remote traceback where there is one: ours would not help."""
    cause = error if isinstance(error, JobFailed) else error.__cause__
    if not isinstance(cause, JobFailed) or not cause.remote_traceback:
        return _sentence(error)
    remote = cause.remote_traceback.rstrip()
    if cause.kind == "error":
        return remote
    # Of a process that died, that is the end of what it printed.
    shown = followed and not remote.startswith("Traceback ")
    # What the task did not raise itself, its traceback does not tell.
    why = str(cause.args[0])
    return why if shown else f"{remote}\n{why}"
