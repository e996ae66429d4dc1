"""Calls like one that succeeded, of which Redis keeps neither call nor policy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from worker_lib.errors import JobError, TaskNotRegistered
from worker_lib.task import Task

if TYPE_CHECKING:
    from worker_lib.client.edits import Changes
    from worker_lib.client.handle import Job
    from worker_lib.job import JobInfo

__all__ = ["call_like", "task_at_hand"]


def task_at_hand(name: str) -> Task[..., Any] | None:
    """Return the task of this name, if this program has imported its module.

    Nothing is imported: who writes to Redis could have written any name.
    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, Task) and found.name == name else None


def call_like(info: JobInfo, changes: Changes) -> Job[Any]:
    """Call the task of a job that succeeded, with these arguments.

    Its queue, its priority and its tags are the job's, all else is as the task says.

    Raises:
        JobError: there are no arguments.
        TaskNotRegistered: this program has not imported the task.
    """
    if not changes.has_arguments:
        raise JobError(
            f"job {info.id} succeeded, and Redis keeps no arguments of such a job: "
            "give args= or kwargs=",
            job_id=info.id,
        )
    task = task_at_hand(info.task)
    if task is None:
        raise TaskNotRegistered(
            f"job {info.id} succeeded, and this program has not imported its task "
            f"{info.task}: do this in one that has"
        )
    options: Any = {"queue": info.queue, "priority": info.priority, "tags": info.tags}
    options |= {"key": None, "unique_for": 0}
    for name in ("queue", "priority", "delay", "timeout"):
        if getattr(changes, name) is not None:
            options[name] = getattr(changes, name)
    called = task.options(**options)
    return called.delay(*(changes.args or ()), **(changes.kwargs or {}))
