"""Background jobs that cost nothing while nothing runs.

Mark a function with `@fly_task`; `.delay()` on it stores the call in Redis, starts a
short-lived Fly Machine that runs it, and returns a `Job` with the result.

Every name below is loaded on first use, so that importing this package costs next
to nothing: a machine's cold start begins with it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost more than this whole package

if TYPE_CHECKING:
    from worker_lib.client.batch import Batch
    from worker_lib.client.executor import FlyExecutor
    from worker_lib.client.handle import Job
    from worker_lib.client.inspection import iter_jobs, jobs
    from worker_lib.client.queues import Queue, queues
    from worker_lib.context import current_job
    from worker_lib.errors import (
        ApiUnavailable,
        ArgumentsNotEncodable,
        BatchNotFound,
        CallRefused,
        ConfigError,
        Crashed,
        InvalidRequest,
        JobCancelled,
        JobError,
        JobExpired,
        JobFailed,
        JobLost,
        JobNotFound,
        JobTimeout,
        MachineConflict,
        MachineError,
        MachineLost,
        MachineNotFound,
        MachinesApiError,
        MachineWaitTimeout,
        NoCapacity,
        NotLoadable,
        OutOfMemory,
        PartlyStored,
        PayloadError,
        PayloadTooLarge,
        RateLimited,
        ResultExpired,
        SignatureMismatch,
        StartFailed,
        StoreError,
        StoreUnavailable,
        TaskError,
        TaskNotRegistered,
        Unauthorized,
        UnknownVersion,
        WaitTimeout,
        WorkerLibError,
    )
    from worker_lib.fly.guest import Guest
    from worker_lib.job import Attempt, JobInfo, Progress
    from worker_lib.retry import Retry
    from worker_lib.settings import Settings
    from worker_lib.task import Task, fly_task

__all__ = [
    "ApiUnavailable",
    "ArgumentsNotEncodable",
    "Attempt",
    "Batch",
    "BatchNotFound",
    "CallRefused",
    "ConfigError",
    "Crashed",
    "FlyExecutor",
    "Guest",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobInfo",
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
    "Progress",
    "Queue",
    "RateLimited",
    "ResultExpired",
    "Retry",
    "Settings",
    "SignatureMismatch",
    "StartFailed",
    "StoreError",
    "StoreUnavailable",
    "Task",
    "TaskError",
    "TaskNotRegistered",
    "Unauthorized",
    "UnknownVersion",
    "WaitTimeout",
    "WorkerLibError",
    "__version__",
    "current_job",
    "fly_task",
    "iter_jobs",
    "jobs",
    "queues",
]

__version__ = "0.1.0"

_MODULES = {
    "context": ("current_job",),
    "client.batch": ("Batch",),
    "client.executor": ("FlyExecutor",),
    "client.handle": ("Job",),
    "client.inspection": ("iter_jobs", "jobs"),
    "client.queues": ("Queue", "queues"),
    "fly.guest": ("Guest",),
    "job": ("Attempt", "JobInfo", "Progress"),
    "retry": ("Retry",),
    "settings": ("Settings",),
    "task": ("Task", "fly_task"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    path = f"worker_lib.{_MODULE_OF.get(name, 'errors')}"
    module = __import__(path, fromlist=["__name__"])
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
