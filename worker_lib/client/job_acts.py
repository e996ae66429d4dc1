"""What people do with several jobs at once: run again, cancel, forget, move.

Each job is asked for by itself, so that one that has moved on meanwhile keeps none of
the others from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.client.client import default_client
from worker_lib.client.handle import Job
from worker_lib.client.inspection import iter_jobs
from worker_lib.errors import StoreUnavailable, WorkerLibError
from worker_lib.job import FINAL, WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from worker_lib.job import JobInfo

__all__ = ["ACTS", "MOST_AT_ONCE", "Acted", "JobAct", "act_on", "matching"]

MOST_AT_ONCE = 1000


class JobAct(NamedTuple):
    """Something that is done with a job.

    Attributes:
        do: Does it, given the job and the name of a queue; returns the id of a new
            job, or "".
        statuses: Of the jobs that it can be done with.
    """

    do: Callable[[Job[Any], str], str]
    statuses: frozenset[str]

    def fits(self, info: JobInfo) -> bool:
        """Say whether it is worth doing with a job.

        One that was run again already is counted by the job that does so.
        """
        is_again = self.do is _retry and info.retried_as
        return info.status in self.statuses and not is_again


class Acted(NamedTuple):
    """What came of it for a job.

    Attributes:
        job_id: Its id.
        new_id: Of the job that it became; "" for none.
        refused: Why nothing was done with it; None if it was.
    """

    job_id: str
    new_id: str = ""
    refused: WorkerLibError | None = None


def _retry(job: Job[Any], _queue: str) -> str:
    return job.retry().id


def _cancel(job: Job[Any], _queue: str) -> str:
    if not job.cancel():
        raise WorkerLibError(f"job {job.id} is {job.status} already")
    return ""


def _delete(job: Job[Any], _queue: str) -> str:
    job.delete()
    return ""


def _move(job: Job[Any], queue: str) -> str:
    job.edit(queue=queue)
    return ""


_STATUSES = FINAL | WAITING | {"running"}
ACTS: dict[str, JobAct] = {
    "retry": JobAct(_retry, FINAL - {"succeeded"}),
    "cancel": JobAct(_cancel, _STATUSES - FINAL),
    "delete": JobAct(_delete, _STATUSES - {"running"}),
    "move": JobAct(_move, WAITING),
}


def act_on(act: JobAct, job_ids: Iterable[str], *, queue: str = "") -> Iterator[Acted]:
    """Do something with each of these jobs, also after one that was refused.

    Args:
        act: One of `ACTS`.
        job_ids: Ids of jobs.
        queue: Where they are moved to.

    Yields:
        What came of it, job by job, in their order.

    Raises:
        StoreUnavailable: Redis cannot be reached; nothing is done with the rest.
    """
    client = default_client()
    for job_id in dict.fromkeys(job_ids):
        try:
            yield Acted(job_id, act.do(Job(job_id, client), queue))
        except StoreUnavailable:
            raise
        except WorkerLibError as error:
            yield Acted(job_id, refused=error)


def matching(
    act: JobAct, filters: Mapping[str, str | None], *, limit: int = MOST_AT_ONCE
) -> tuple[list[str], bool]:
    """Return the ids of jobs that something can be done with, newest first.

    Args:
        act: One of `ACTS`.
        filters: As `jobs` takes them, by name.
        limit: At most so many.

    Returns:
        The ids, and whether there are more.

    Raises:
        ConfigError: a filter cannot be.
        StoreUnavailable: Redis cannot be reached.
    """
    found: list[str] = []
    wanted: dict[str, Any] = dict(filters)
    for info in iter_jobs(**wanted):
        if not act.fits(info):
            continue
        if len(found) == limit:
            return found, True
        found.append(info.id)
    return found, False
