"""What the scripts answer to the calling side, as values with names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from worker_lib.job import FIELDS, JobInfo, JobStatus, info_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SlotState = Literal["owed", "launching", "idle", "woken", "busy"]
LaunchVerdict = Literal["go", "wait", "unneeded"]

__all__ = [
    "SHOWN",
    "Check",
    "FailedBoot",
    "Found",
    "Launch",
    "Loss",
    "Outcome",
    "QueueSeen",
    "Seen",
    "Stored",
    "Stray",
    "Sweep",
    "Unfinished",
    "check_of",
    "outcome_of",
    "queue_of",
    "seen_of",
]

# What a look asks for: all but what only machines need.
SHOWN = tuple(
    field.name
    for field in FIELDS.values()
    if field.kept not in {"unless_succeeded", "not_final"}
)


class Stored(NamedTuple):
    """What became of a `NewJob`.

    Attributes:
        job_id: Its own, or that of the job which holds the same key.
        slot: To launch, or "".
        trouble: Why its pool can have no machine at present, as JSON, or "".
        next_in: Seconds to the next deadline of any job; negative if it passed.
    """

    job_id: str
    status: JobStatus
    slot: str
    trouble: str
    next_in: float


class Launch(NamedTuple):
    """`go` with a pool's sealed spec, `wait` some seconds, or `unneeded`.

    Attributes:
        wait: Seconds until another machine may be created, with `go` and `wait`.
    """

    verdict: LaunchVerdict
    pool: str = ""
    spec: bytes = b""
    wait: float = 0.0


class Check(NamedTuple):
    """A slot whose machine has not been heard of in time.

    Attributes:
        machine_id: As the machine gave it when it claimed, or Fly when it was made;
            "" if neither is known.
        age: Seconds since it was launched.
    """

    slot: str
    state: SlotState
    machine_id: str
    pool: str
    job_id: str
    fence: str
    age: float


class Stray(NamedTuple):
    """A machine to destroy: its slot was freed; `machine_id` is "" if unknown."""

    slot: str
    machine_id: str


class Sweep(NamedTuple):
    """What is overdue; `next_in` seconds to the next look, None if nothing is up."""

    next_in: float | None
    launches: list[str]
    checks: list[Check]
    strays: list[Stray]


class Loss(NamedTuple):
    """Whether a machine is lost, and a slot to launch in its place, or ""."""

    is_lost: bool
    slot: str = ""


class FailedBoot(NamedTuple):
    """What follows from a machine that never took a job.

    Attributes:
        reason: JSON, as `Launcher` writes it; "" for none.
        tell: Wake those who wait for the pool's jobs now, not after a few more.
        first_hold: Seconds until the next launch; doubles with each in a row.
        most: After so many in a row there is no next launch until a new call.
    """

    reason: str = ""
    tell: bool = False
    first_hold: float = 5.0
    most: int = 5


class Unfinished(NamedTuple):
    """How many jobs run, wait or are due soon, and are due later.

    Attributes:
        life: Seconds for which the longest outcome is kept, if that was asked for.
    """

    running: int
    soon: int
    later: int
    life: float


class QueueSeen(NamedTuple):
    """A queue of all pools.

    Attributes:
        waiting: Jobs that could run now, were there machines and no pause.
        paused_at: Seconds since the epoch; None if it is not paused.
        next_created_at: When the job that is next was stored; None without one.
    """

    name: str
    waiting: int
    paused_at: float | None
    next_created_at: float | None


class Found(NamedTuple):
    """A part of a list of jobs.

    Attributes:
        job_ids: Those that fit, newest first.
        cursor: Where the next part goes on; None if there is none.
    """

    job_ids: list[str]
    cursor: tuple[str, str] | None


class Outcome(NamedTuple):
    """How a job ended; the envelope is b"" where nothing was returned."""

    status: str
    fence: str
    envelope: bytes


class Seen(NamedTuple):
    """A job's record, its outcome if one is kept, and its pool's trouble as JSON.

    Attributes:
        pool_lost: It waits, and Redis no longer knows what machines it needs.
    """

    info: JobInfo
    outcome: Outcome | None
    trouble: str
    pool_lost: bool


def check_of(reply: Sequence[bytes]) -> Check:
    """Return a slot that a sweep found overdue."""
    told: list[Any] = [one.decode() for one in reply[1:]]
    slot, state, machine, pool, job, fence, age = told
    return Check(slot, state, machine, pool, job, fence, float(age))


def outcome_of(element: bytes) -> Outcome:
    """Return what an element of a job's outcome list says."""
    status, fence, envelope = element.split(b" ", 2)
    return Outcome(status.decode(), fence.decode(), envelope)


def seen_of(job_id: str, reply: Sequence[Any]) -> Seen:
    """Return a job as a look found it, `SHOWN` being what was asked for."""
    values, outcome, trouble, reason, pool_lost = reply
    record = {
        name: str(value, "utf-8", "replace") or FIELDS[name].default
        for name, value in zip(SHOWN, values, strict=True)
    }
    return Seen(
        info_of(job_id, record, _trouble(trouble or reason)),
        outcome_of(outcome) if outcome else None,
        trouble.decode(),
        pool_lost=bool(pool_lost),
    )


def queue_of(reply: Sequence[Any]) -> QueueSeen:
    """Return a queue as the scripts tell of it."""
    name, waiting, paused_at, next_at = reply
    return QueueSeen(
        name=name.decode(),
        waiting=int(waiting),
        paused_at=float(paused_at) if paused_at else None,
        next_created_at=float(next_at) if next_at else None,
    )


def _trouble(reason: bytes) -> str:
    return str(json.loads(reason)["message"]) if reason else ""
