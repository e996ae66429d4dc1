"""Every error this library raises, as one tree below `WorkerLibError`.

Attributes are for programs, the message is one sentence for a person: what was
tried, what came back, what to do. No message ever holds a token, a secret, an
argument or a result.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NamedTuple, TypeAlias

    FailureKind: TypeAlias = Literal[
        "error",
        "exit",
        "signal",
        "out_of_memory",
        "timeout",
        "lost",
        "not_started",
        "refused",
    ]
    StoreReason: TypeAlias = Literal["away", "full", "refused"]
    Refusal: TypeAlias = Literal[
        "retry", "ambiguous", "next_region", "next_size", "person"
    ]
else:
    from worker_lib.records import NamedTuple

__all__ = [
    "ApiUnavailable",
    "ArgumentsNotEncodable",
    "BatchNotFound",
    "CallRefused",
    "ConfigError",
    "Crashed",
    "InvalidRequest",
    "JobCancelled",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobLost",
    "JobNotFound",
    "JobTimeout",
    "MachineConflict",
    "MachineError",
    "MachineLost",
    "MachineNotFound",
    "MachineWaitTimeout",
    "MachinesApiError",
    "NoCapacity",
    "NotLoadable",
    "OutOfMemory",
    "PartlyStored",
    "PayloadError",
    "PayloadTooLarge",
    "Problem",
    "RateLimited",
    "ResultExpired",
    "SignatureMismatch",
    "StartFailed",
    "StoreError",
    "StoreUnavailable",
    "TaskError",
    "TaskNotRegistered",
    "Unauthorized",
    "UnknownVersion",
    "WaitTimeout",
    "WorkerLibError",
]


class WorkerLibError(Exception):
    """The root: `except WorkerLibError` catches all that this library raises."""


class Problem(NamedTuple):
    """One thing that is wrong with settings or options.

    Attributes:
        text: What is wrong; it names the variable or option, and never shows a secret.
        remedy: What to do about it, or "".
        source: The variable or option, or "".
    """

    text: str
    remedy: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}" if self.remedy else self.text


class ConfigError(WorkerLibError):
    """Settings or options cannot work; lists every problem found at once.

    Args:
        problems: A text stands for a problem without a separate remedy.

    Attributes:
        problems: All of them, as records.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem(one) if isinstance(one, str) else one for one in problems
        )
        super().__init__(*self.problems)

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


class TaskError(WorkerLibError):
    """A task or its call cannot be used as written."""


class TaskNotRegistered(TaskError):
    """The worker's image, or this program, has no such task."""


class ArgumentsNotEncodable(TaskError):
    """The function or its arguments cannot be pickled."""


class CallRefused(TaskError):
    """A call may not be made here.

    A module made it while it was imported to find a task, or a job made it at the end
    of too long a chain of jobs that made jobs.
    """


class PayloadError(WorkerLibError):
    """Bytes of a call or an outcome are not usable."""


class PayloadTooLarge(PayloadError):
    """A call or an outcome is over `WORKER_LIB_MAX_PAYLOAD`.

    Attributes:
        size_bytes: How large it is.
        limit_bytes: How large it may be.
    """

    def __init__(
        self, message: str, *, size_bytes: int = 0, limit_bytes: int = 0
    ) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(message)

    def of(self, task: str) -> PayloadTooLarge:
        """Return the same error with the task's name in front."""
        sizes = {"size_bytes": self.size_bytes, "limit_bytes": self.limit_bytes}
        return PayloadTooLarge(f"{task}: {self}", **sizes)


class SignatureMismatch(PayloadError):
    """Bytes from Redis were not signed with our key for this very purpose."""


class UnknownVersion(PayloadError):
    """Bytes were written by another Python minor version or a newer library."""


class StoreError(WorkerLibError):
    """Redis could not do what was asked."""


class StoreUnavailable(StoreError):
    """Redis cannot be reached, refuses us, or is full.

    Attributes:
        reason: `away` (out of reach, restarting, in a failover), `full`, or `refused`
            (a wrong password or a missing right: it stays so until a person acts).
    """

    def __init__(self, message: str, *, reason: StoreReason = "away") -> None:
        self.reason = reason
        super().__init__(message)


class PartlyStored(StoreError):
    """Only the first of many calls were stored; the batch gets no others.

    The cause says what went wrong.

    Attributes:
        batch: The batch of those that are stored: to wait for, or to cancel.
        stored: How many are known to be stored. Where Redis did not answer, those of
            the last command may be, too: `batch.stored` tells once it can be reached.
        total: How many there were to be; None if an iterator did not tell.
    """

    def __init__(
        self,
        message: str,
        *,
        batch: Any = None,
        stored: int = 0,
        total: int | None = None,
    ) -> None:
        self.batch = batch
        self.stored = stored
        self.total = total
        super().__init__(message)


class JobError(WorkerLibError):
    """A job has no value to give.

    Attributes:
        job_id: The job.
    """

    def __init__(self, message: str, *, job_id: str = "") -> None:
        self.job_id = job_id
        super().__init__(message)


class JobFailed(JobError):
    """The last attempt failed; a subclass says so where the task did not raise.

    Attributes:
        kind: What ended it: `error` (the task raised, or what it returned could not
            be stored), or that of a subclass.
        remote_type: Qualified name of what was raised, or "".
        remote_traceback: The traceback, as text made where the task ran, or "".
        rebuild_error: Why what the task raised could not be raised here itself, or "".
        exit_code: What the process that ran the task ended with, or would have by
            `sys.exit`: below zero the number of a signal; None if it did not end.
    """

    kind: FailureKind = "error"

    def __init__(
        self,
        message: str,
        *,
        job_id: str = "",
        kind: FailureKind | None = None,
        remote_type: str = "",
        remote_traceback: str = "",
        rebuild_error: str = "",
        exit_code: int | None = None,
    ) -> None:
        if kind is not None:
            self.kind = kind
        self.remote_type = remote_type
        self.remote_traceback = remote_traceback
        self.rebuild_error = rebuild_error
        self.exit_code = exit_code
        super().__init__(message, job_id=job_id)

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n{self.remote_traceback}" if self.remote_traceback else text

    @staticmethod
    def type_of(kind: str) -> type[JobFailed]:
        """Return the class for a kind of failure; `JobFailed` itself for all others."""
        return _TYPE_OF_KIND.get(kind, JobFailed)


class OutOfMemory(JobFailed):
    """The attempt needed more memory than its machine has (`out_of_memory`)."""

    kind: FailureKind = "out_of_memory"


class JobTimeout(JobFailed):
    """The attempt ran longer than the task's `timeout` (`timeout`).

    Not a `TimeoutError`: that is what `result(timeout)` raises while the job goes on.
    """

    kind: FailureKind = "timeout"


class MachineLost(JobFailed):
    """The machine is gone, and the job may not run once more (`lost`).

    It vanished, or was stopped or restarted, once if the task says `on_lost="fail"`,
    else several times.
    """

    kind: FailureKind = "lost"


class Crashed(JobFailed):
    """The process that ran the task ended before the task did (`exit`, `signal`).

    Attributes:
        signal_number: What killed it, such as 11; None if it ended with an exit code.
        signal_name: The same as a name, such as "SIGSEGV"; else "".
    """

    kind: FailureKind = "exit"

    @property
    def signal_number(self) -> int | None:
        """Number of the signal."""
        code = self.exit_code
        return -code if code is not None and code < 0 else None

    @property
    def signal_name(self) -> str:
        """Name of the signal."""
        if self.signal_number is None:
            return ""
        import signal  # noqa: PLC0415 - only who asks needs it

        try:
            return signal.Signals(self.signal_number).name
        except ValueError:  # most real-time signals have no name
            return f"signal {self.signal_number}"


class StartFailed(JobFailed):
    """The machine could not start a process for the task (`not_started`)."""

    kind: FailureKind = "not_started"


class NotLoadable(JobFailed):
    """The machine could not load or verify the function or its arguments (`refused`).

    The task did not run. What went wrong is the `__cause__`, where that can be had.
    """

    kind: FailureKind = "refused"


_TYPE_OF_KIND: dict[str, type[JobFailed]] = {
    "exit": Crashed,
    "signal": Crashed,
    "out_of_memory": OutOfMemory,
    "timeout": JobTimeout,
    "lost": MachineLost,
    "not_started": StartFailed,
    "refused": NotLoadable,
}


class JobCancelled(JobError):
    """Somebody cancelled the job."""


class JobExpired(JobError):
    """The job waited for a machine longer than `expires=` allows, or the setting."""


class JobNotFound(JobError):
    """Redis has no job of this id: never stored here, or forgotten by now."""


class BatchNotFound(JobNotFound):
    """Redis has no batch of this id (`job_id`): never stored here, or forgotten."""


class JobLost(JobNotFound):
    """The job, or batch, was stored and Redis no longer has it: its data was lost."""


class ResultExpired(JobError):
    """The job ended, and its outcome was kept no longer than `result_ttl`."""


class WaitTimeout(WorkerLibError, TimeoutError):
    """The caller's time is over; the job goes on."""


class MachineError(WorkerLibError):
    """No machine could be had for a job."""


class NoCapacity(MachineError):
    """Every allowed region refused a machine of this size."""


class MachineWaitTimeout(MachineError):
    """The machine is not in the wanted state yet; it may still arrive."""


class MachinesApiError(MachineError):
    """The Machines API refused a request, or did not answer it.

    Attributes:
        method: HTTP verb.
        path: Path of the request, without host or query.
        status: HTTP status; 0 if there was no answer.
        request_id: Fly's `fly-request-id`, or "".
        code: The first word of Fly's message (`already_exists`), or "".
        refusal: What to do about it: `retry` (send again later), `ambiguous` (it
            may have been done: look before sending again), `next_region`,
            `next_size`, or `person` (only a person can fix it).
        retry_after: Seconds that the API asked us to wait, or 0.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        status: int = 0,
        request_id: str = "",
        code: str = "",
        refusal: Refusal = "person",
        retry_after: float = 0.0,
    ) -> None:
        self.method = method
        self.path = path
        self.status = status
        self.request_id = request_id
        self.code = code
        self.refusal: Refusal = refusal
        self.retry_after = retry_after
        super().__init__(message)


class Unauthorized(MachinesApiError):
    """401 or 403: the token is wrong, too narrow, or a quota is used up."""


class MachineNotFound(MachinesApiError):
    """404: no such machine or app."""


class MachineConflict(MachinesApiError):
    """409 or 412: the name is taken, a lease is held, or the state forbids it."""


class InvalidRequest(MachinesApiError):
    """400 or 422: the request itself is wrong."""


class RateLimited(MachinesApiError):
    """429: too many requests."""


class ApiUnavailable(MachinesApiError):
    """5xx, a time-out, or no connection."""
