"""Follows what a job prints, attempt by attempt, until it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.client.handle import Job

__all__ = ["printed_by"]


def printed_by(job: Job[Any]) -> Iterator[tuple[int, str]]:
    """Yield the number of each attempt and what it has printed, as it ends."""
    told: set[int] = set()
    for info in job.watch(None):
        for attempt in info.attempts:
            if attempt.ended_at is not None and attempt.number not in told:
                told.add(attempt.number)
                yield attempt.number, job.logs(attempt.number)
