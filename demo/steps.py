"""A job's way in five steps: stored, machine created, booted, ran, gone.

Each figure comes from one clock: what a job did from Redis's, what its machine did from
Fly's. Times of day stand beside them and are never subtracted from each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from demo.filters import seconds, usd

if TYPE_CHECKING:
    from demo.lives import Life
    from worker_lib.job import Attempt, JobInfo

__all__ = ["Step", "steps"]

Mark = Literal["past", "now", "todo", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as a page shows it.

    Attributes:
        mark: Where the job stands with it.
        at: When it happened, seconds since 1970; None if it has not, or is not known.
        figure: What it took, in a few characters, or "".
        note: A few words more, or "".
        since: When what goes on now began: a clock runs from there. None without one.
    """

    name: str
    mark: Mark = "todo"
    at: float | None = None
    figure: str = ""
    note: str = ""
    since: float | None = None


def steps(info: JobInfo, life: Life | None) -> list[Step]:
    """Return the five steps of a job's latest attempt.

    Args:
        life: Of the machine of that attempt; None if there is none, or it is not known.
    """
    stored = Step(name="Stored", mark="past", at=info.created_at)
    attempt = info.attempts[-1] if info.attempts else None
    if attempt is None:
        return [stored, *_before_a_machine(info, info.created_at)]
    if info.status == "queued":
        return [stored, *_before_a_machine(info, attempt.ended_at)]
    # A machine may wait for a retry: then it booted for an earlier attempt.
    first = next(a for a in info.attempts if a.machine_id == attempt.machine_id)
    return [
        stored,
        _created(first, life),
        _booted(first),
        _ran(info, attempt),
        _gone(info, life),
    ]


def _before_a_machine(info: JobInfo, since: float | None) -> list[Step]:
    asked = {
        "queued": Step(name="Waits for a machine", mark="now", since=since),
        "cancelled": Step(name="Machine created", mark="cancelled", note="not needed"),
        "failed": Step(name="Machine created", mark="failed"),
        "expired": Step(name="Machine created", mark="failed", note="none in time"),
    }
    created = asked.get(info.status, Step(name="Machine created"))
    return [created, Step(name="Booted"), Step(name="Ran"), Step(name="Gone")]


def _created(attempt: Attempt, life: Life | None) -> Step:
    place = attempt.region and f"in {attempt.region}"
    if attempt.boot_s is None:
        return Step(name="Machine created", mark="past", note="for an earlier job")
    at = (life and life.created_at) or attempt.started_at - attempt.boot_s
    note = " ".join(filter(None, (life.guest if life else "", place)))
    return Step(name="Machine created", mark="past", at=at, note=note)


def _booted(attempt: Attempt) -> Step:
    if attempt.boot_s is None:
        return Step(name="Booted", mark="past", note="was up already")
    return Step(
        name="Booted",
        mark="past",
        at=attempt.started_at,
        figure=seconds(attempt.boot_s),
        note="from the request to the first claim",
    )


def _ran(info: JobInfo, attempt: Attempt) -> Step:
    note = f"attempt {attempt.number} of {info.max_attempts}"
    note = note if info.max_attempts > 1 else ""
    if attempt.ended_at is None:
        return Step(name="Runs", mark="now", note=note, since=attempt.started_at)
    marks: dict[str, Mark] = {"succeeded": "past", "cancelled": "cancelled"}
    return Step(
        name="Ran",
        mark=marks.get(attempt.outcome, "failed"),
        at=attempt.ended_at,
        figure=seconds(max(0.0, attempt.ended_at - attempt.started_at)),
        note=note,
    )


def _gone(info: JobInfo, life: Life | None) -> Step:
    if info.status == "running" or life is None:
        return Step(name="Gone")
    if not life.gone:
        if info.final:
            return Step(name="Gone", mark="now", note="the machine is ending")
        return Step(name="Gone", note="the machine waits for the next attempt")
    if life.usd is None:
        return Step(name="Gone", mark="past", at=life.ended_at)
    note = f"for {seconds(life.up_s)} from start to end"
    return Step(
        name="Gone", mark="past", at=life.ended_at, figure=usd(life.usd), note=note
    )
