"""The read side: what jobs there are. Never unpickles anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.client import default_client

if TYPE_CHECKING:
    from worker_lib.job import JobInfo

__all__ = ["recent_jobs"]


def recent_jobs(limit: int = 20) -> list[JobInfo]:
    """Return the newest jobs of this namespace, newest first.

    Two commands to Redis. Jobs that Redis has forgotten are left out.

    Args:
        limit: At most so many, 1 to 1000.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    store = default_client().store
    job_ids = store.recent(max(1, min(limit, 1000)))
    return [seen.info for seen in store.look(*job_ids) if seen is not None]
