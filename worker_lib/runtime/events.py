"""The hooks around one attempt, in the process that runs the task."""

from __future__ import annotations

import time

from worker_lib import hooks
from worker_lib.hooks import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from worker_lib.calls.pickling import Call
    from worker_lib.context import CurrentJob

__all__ = ["Interrupted", "OutOfTime", "RunEvents"]


class OutOfTime(BaseException):
    """Raised in the task when its time is over; `except Exception` lets it pass."""


class Interrupted(KeyboardInterrupt):
    """Raised in the task when it must end: it was cancelled, or the machine stops."""


# Raised from outside in the middle of whatever runs: no mistake of a hook's.
_OURS = (OutOfTime, Interrupted)


class RunEvents:
    """Tells hooks of one attempt.

    Args:
        job: That runs.
        call: With the headers that it was stored with.
        policy: JSON: what is retried, and how often.
    """

    def __init__(self, job: CurrentJob, call: Call, policy: bytes) -> None:
        self._policy = policy
        self._attempt = job.attempt
        self._event: Event | None = None
        if hooks.before_run or hooks.after_run or hooks.on_retry or hooks.on_end:
            self._event = Event(
                "machine",
                job.id,
                task=job.task,
                queue=call.queue,
                attempt=job.attempt,
                headers=call.headers,
            )
        self._began = time.monotonic()

    def begin(self) -> None:
        """Call the hooks of `before_run`."""
        if self._event is not None:
            self._fire(hooks.before_run, self._event)
            self._began = time.monotonic()

    def over(self) -> None:
        """Note that the task has returned, or raised."""
        if self._event is not None:
            self._event.duration = time.monotonic() - self._began

    def fail(self, error: BaseException, error_type: str) -> None:
        """Note what the attempt, or the storing of its value, raised."""
        if self._event is not None:
            self._event.fail(error, error_type)

    def end(self, status: str, kind: str, *, retry: bool, stopped_by: str) -> None:
        """Call the hooks that come after a run; never raises.

        Args:
            status: `succeeded` or `failed`, as the task ended.
            kind: As `JobFailed.kind`.
            retry: Whether the task's own policy wants another attempt.
            stopped_by: The supervisor's decision, which counts whatever the task made
                of it: `timeout`, `interrupted`, or "".
        """
        event = self._event
        if event is None:
            return
        if stopped_by:
            timed_out = stopped_by == "timeout"
            status, kind = ("failed", "timeout") if timed_out else ("interrupted", "")
        event.status, event.kind = status, kind
        try:
            self._fire(hooks.after_run, event)
            if status == "failed" and self.is_followed(kind, retry=retry):
                event.status = "retrying"
                self._fire(hooks.on_retry, event)
            elif status != "interrupted":
                self._fire(hooks.on_end, event)
        except _OURS:  # the supervisor has decided: there is nothing left to save
            return

    def is_followed(self, kind: str, *, retry: bool) -> bool:
        """Say whether another attempt follows this one, which failed.

        Args:
            kind: As `JobFailed.kind`.
            retry: Whether the task's own policy wants another attempt.
        """
        import json  # noqa: PLC0415 - only after a failure

        from worker_lib.retry import has_another_attempt  # noqa: PLC0415

        policy = json.loads(self._policy)
        return has_another_attempt(policy, self._attempt, kind, wanted=retry)

    def _fire(self, hook: hooks.Hook, event: Event) -> None:
        hook.fire(event, catch=BaseException, let_pass=_OURS)
