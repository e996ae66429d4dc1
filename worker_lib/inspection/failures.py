"""The jobs that failed, those with the same cause together."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.client.client import default_client

if TYPE_CHECKING:
    from worker_lib.store.views import FailedJob

__all__ = ["FailureGroup", "failure_group", "failures"]

# What differs between two failures for the same reason: numbers, ids, what is quoted.
_VARIES = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8,}|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"")
_MOST_IDS = 10
_DIGITS = 12


class FailureGroup(NamedTuple):
    """Jobs of one task that failed for the same reason.

    Attributes:
        id: 12 hexadecimal digits, the same for as long as there are such jobs.
        kind: As `JobFailed.kind`.
        error: What went wrong with the last one, in a line.
        pattern: The same with what varies as `…`; it tells groups apart.
        total: How many.
        first_at: When the first of them ended, in seconds since the epoch.
        last_at: When the last of them did.
        job_ids: The newest, ten at most.
    """

    id: str
    task: str
    kind: str
    error: str
    pattern: str
    total: int
    first_at: float | None
    last_at: float | None
    job_ids: tuple[str, ...]


def failures(*, limit: int = 1000) -> list[FailureGroup]:
    """Return why jobs failed, the largest group first.

    Args:
        limit: Looks at so many jobs that failed and are still kept, the newest first;
            a command to Redis for each 250.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    found = [_group(*key, jobs) for key, jobs in _groups(limit).items()]
    return sorted(found, key=lambda one: (-one.total, one.task))


def failure_group(
    group_id: str, *, limit: int = 1000
) -> tuple[FailureGroup, list[str]] | None:
    """Return a group with the ids of all its jobs, newest first; None if it is gone.

    Args:
        group_id: As `FailureGroup.id`.
        limit: As `failures` takes it.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    for key, jobs in _groups(limit).items():
        if _id_of(key) == group_id:
            return _group(*key, jobs), [job.id for job in jobs]
    return None


def _groups(limit: int) -> dict[tuple[str, str, str], list[FailedJob]]:
    groups: dict[tuple[str, str, str], list[FailedJob]] = {}
    for job in default_client().store.views.failures("failed", limit):
        key = (job.task, job.cause, _VARIES.sub("…", job.error))
        groups.setdefault(key, []).append(job)
    return groups


def _id_of(key: tuple[str, str, str]) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()[:_DIGITS]


def _group(task: str, kind: str, pattern: str, jobs: list[FailedJob]) -> FailureGroup:
    ends = [job.ended_at for job in jobs if job.ended_at is not None]
    return FailureGroup(
        id=_id_of((task, kind, pattern)),
        task=task,
        kind=kind,
        error=jobs[0].error,
        pattern=pattern,
        total=len(jobs),
        first_at=min(ends, default=None),
        last_at=max(ends, default=None),
        job_ids=tuple(job.id for job in jobs[:_MOST_IDS]),
    )
