"""What is known of a job: its status, its attempts, its progress. Data only.

A job starts `queued` (or `scheduled`, if it is to start later), is `running` on a
machine, may go `retrying` and back, and ends in exactly one final status that
never changes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FINAL", "Attempt", "JobInfo", "JobStatus", "Progress"]

JobStatus = Literal[
    "scheduled",
    "held",
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
]

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job said it is.

    Attributes:
        done: Steps done.
        total: Steps in all, or None if unknown.
        message: A short text, or "".
    """

    done: float
    total: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job, ended or still going.

    Attributes:
        number: From 1; a run that was handed back or lost keeps its number.
        machine_id: Fly's id of the machine, or "".
        region: Where it ran, or "".
        boot_s: Seconds from the slot being taken to the machine's first claim; None
            if the machine was up already.
        started_at: Seconds since the epoch, by Redis's clock.
        ended_at: The same; None while it runs.
        outcome: `running`, `succeeded`, `released` (handed back by a machine that
            was stopped), or the kind of failure (see `JobFailed.kind`).
        error: One line on what went wrong, or "".
        output: The last lines it printed, if it failed.
    """

    number: int
    machine_id: str = ""
    region: str = ""
    boot_s: float | None = None
    started_at: float = 0.0
    ended_at: float | None = None
    outcome: str = "running"
    error: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job as Redis had it at one moment; holds neither arguments nor result.

    Attributes:
        task: `module:name` of the task.
        attempt: Number of the latest attempt; 0 before the first.
        lost: How often a machine vanished under it.
        created_at: Seconds since the epoch, by Redis's clock; so are the next three.
        due_at: When a `scheduled` or `retrying` job may start; else None.
        error: One line on why it failed, or "".
        trouble: Why no machine can be had at present, or "".
    """

    id: str
    task: str
    queue: str
    pool: str
    status: JobStatus
    attempt: int
    max_attempts: int
    lost: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    due_at: float | None
    progress: Progress | None
    machine_id: str
    region: str
    attempts: tuple[Attempt, ...]
    error: str
    trouble: str

    @property
    def final(self) -> bool:
        """Whether the status can no longer change."""
        return self.status in FINAL
