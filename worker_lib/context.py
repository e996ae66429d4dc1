"""What a task can ask while it runs: which job it is, and a way to report progress."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CurrentJob", "current_job", "enter", "enter_machine", "in_machine"]

_MAX_MESSAGE = 500
_present: CurrentJob | None = None
_machine = False


class CurrentJob:
    """The job that is running in this process.

    Attributes:
        id: The same for all attempts: fit for an idempotency key.
        attempt: From 1.
        task: `module:name`.
    """

    def __init__(
        self, job_id: str, attempt: int, task: str, report: Callable[[str], None]
    ) -> None:
        self.id = job_id
        self.attempt = attempt
        self.task = task
        self._report = report

    def __repr__(self) -> str:
        """Name the job."""
        return f"<CurrentJob {self.id} attempt {self.attempt}>"

    def progress(
        self, done: float, total: float | None = None, message: str = ""
    ) -> None:
        """Tell how far the job is. Cheap: stored a few times a second at most.

        Args:
            done: Steps done.
            total: Steps in all; None if unknown.
            message: A short text for people; cut at 500 characters.

        Raises:
            ValueError: a number is not finite.
        """
        if not math.isfinite(done) or (total is not None and not math.isfinite(total)):
            raise ValueError(f"progress({done!r}, {total!r}): numbers must be finite")
        import json  # noqa: PLC0415 - only for tasks that report

        text = str(message)[:_MAX_MESSAGE]
        self._report(json.dumps({"done": done, "total": total, "message": text}))


def current_job() -> CurrentJob:
    """Return the job that is running in this process.

    In a plain call, where there is no job, a stand-in is returned whose id is "" and
    whose progress goes nowhere: so tasks can be called and tested as functions.
    """
    return _present or CurrentJob("", 1, "", lambda _text: None)


def enter(job: CurrentJob | None) -> None:
    """Set what `current_job` returns; the runtime calls it around each job."""
    global _present  # noqa: PLW0603 - a process runs one job at a time
    _present = job


def enter_machine() -> None:
    """Note that this process is a machine's, for as long as it lives."""
    global _machine  # noqa: PLW0603 - as above
    _machine = True


def in_machine() -> bool:
    """Say whether this process runs jobs, rather than being a caller's."""
    return _machine
