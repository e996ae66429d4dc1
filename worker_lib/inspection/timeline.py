"""Where a job's time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from worker_lib.inspection.prices import price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_lib.job import Attempt, JobInfo

__all__ = ["Phase", "attempt_cost", "job_cost", "timeline"]


class Phase(NamedTuple):
    """A part of a job's life.

    Attributes:
        name: `scheduled` (its time had not come), `waiting` (for a machine that was
            there, or to be asked for one), `launch` (the machine was to be asked for),
            `boot` (it was asked for, and came up), `run` (with the storing of its
            outcome) or `backoff` (until it was tried again).
        attempt: From 1.
        started_at: Seconds since the epoch, by Redis's clock.
        seconds: How long it took.
        is_over: Whether it has ended.
    """

    name: Literal["scheduled", "waiting", "launch", "boot", "run", "backoff"]
    attempt: int
    started_at: float
    seconds: float
    is_over: bool = True


def timeline(info: JobInfo, now: float) -> tuple[Phase, ...]:
    """Return the parts of a job's life in order, up to now or to its end.

    Args:
        info: The job.
        now: Seconds since the epoch, by Redis's clock.
    """
    phases: list[Phase] = []
    at = info.created_at
    for number, attempt in enumerate(info.attempts):
        queued = max(at, attempt.queued_at)
        if queued > at:
            phases.append(
                _part("backoff" if number else "scheduled", attempt, at, queued)
            )
        phases += _before_run(attempt, queued)
        end = now if attempt.ended_at is None else attempt.ended_at
        run = _part("run", attempt, attempt.started_at, end)
        phases.append(run._replace(is_over=attempt.ended_at is not None))
        at = max(at, end)
    if not info.final and info.status != "running":
        phases.append(_pending(info, at, now))
    return tuple(phases)


def job_cost(info: JobInfo, now: float) -> float:
    """Return what machines cost while the job ran, in US dollars.

    Args:
        info: The job.
        now: Seconds since the epoch, by Redis's clock.
    """
    return sum(attempt_cost(one, info.size, now) for one in info.attempts)


def attempt_cost(attempt: Attempt, size: str, now: float) -> float:
    """Return what a machine cost while an attempt ran, in US dollars.

    Args:
        attempt: Of a job.
        size: Of its machine, as `JobInfo.size`.
        now: As `job_cost` takes it.
    """
    end = now if attempt.ended_at is None else attempt.ended_at
    return max(0.0, end - attempt.started_at) * price(size, attempt.region)


def _before_run(attempt: Attempt, queued: float) -> Iterator[Phase]:
    """Yield what came between the moment when it could run and its start."""
    started = attempt.started_at
    up = max(queued, started - (attempt.boot_s or 0.0))
    asked = max(queued, up - (attempt.launch_s or 0.0))
    yield _part("waiting", attempt, queued, asked)
    if attempt.launch_s is not None:
        yield _part("launch", attempt, asked, up)
    if attempt.boot_s is not None:
        yield _part("boot", attempt, up, started)


def _pending(info: JobInfo, at: float, now: float) -> Phase:
    names = {"scheduled": "scheduled", "retrying": "backoff"}
    name = names.get(info.status, "waiting")
    number = len(info.attempts) + 1
    return Phase(name, number, at, max(0.0, now - at), is_over=False)  # type: ignore[arg-type]  # these are names of phases


def _part(name: str, attempt: Attempt, begin: float, end: float) -> Phase:
    return Phase(name, attempt.number, begin, max(0.0, end - begin))  # type: ignore[arg-type]  # likewise
