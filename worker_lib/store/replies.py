"""What the scripts answer to the calling side, as values with names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.job import Attempt, JobInfo, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Check",
    "FailedBoot",
    "Launch",
    "Loss",
    "Outcome",
    "Seen",
    "Stored",
    "Stray",
    "Sweep",
    "Unfinished",
    "check_of",
    "outcome_of",
    "seen_of",
]


class Stored(NamedTuple):
    """What became of a `NewJob`.

    Attributes:
        slot: To launch, or "".
        trouble: Why its pool can have no machine at present, as JSON, or "".
        next_in: Seconds to the next deadline of any job; negative if it passed.
    """

    status: str
    slot: str
    trouble: str
    next_in: float


class Launch(NamedTuple):
    """`go` with a pool's sealed spec, `wait` some seconds, or `unneeded`.

    Attributes:
        wait: Seconds until another machine may be created, with `go` and `wait`.
    """

    verdict: str
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
    state: str
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
    slot, state, machine, pool, job, fence, age = (one.decode() for one in reply[1:])
    return Check(slot, state, machine, pool, job, fence, float(age))


def outcome_of(element: bytes) -> Outcome:
    """Return what an element of a job's outcome list says."""
    status, fence, envelope = element.split(b" ", 2)
    return Outcome(status.decode(), fence.decode(), envelope)


def seen_of(job_id: str, reply: Sequence[Any]) -> Seen:
    """Return a job as a look found it."""
    *fields, outcome, trouble, reason, pool_lost = reply
    text = [str(one, "utf-8", "replace") for one in fields]
    policy = json.loads(text[5])
    info = JobInfo(
        id=job_id,
        status=text[0],  # type: ignore[arg-type]  # the scripts write no other
        task=text[1],
        queue=text[2],
        pool=text[3],
        attempt=int(text[4]),
        max_attempts=policy["max_attempts"],
        lost=int(text[6]),
        created_at=float(text[7]),
        started_at=_number(text[8]),
        ended_at=_number(text[9]),
        due_at=_number(text[10]),
        progress=Progress(**json.loads(text[11])) if text[11] else None,
        machine_id=text[12],
        region=text[13],
        attempts=_attempts(text),
        error=text[15],
        trouble=_trouble(trouble or reason),
    )
    return Seen(
        info,
        outcome_of(outcome) if outcome else None,
        trouble.decode(),
        pool_lost=bool(pool_lost),
    )


def _attempts(text: Sequence[str]) -> tuple[Attempt, ...]:
    closed = [_attempt(json.loads(line)) for line in text[14].split("\n")[:-1]]
    if text[0] == "running":
        closed.append(
            Attempt(
                number=int(text[4]),
                machine_id=text[12],
                region=text[13],
                boot_s=_number(text[16]),
                started_at=float(text[8]),
            )
        )
    return tuple(closed)


def _attempt(line: dict[str, Any]) -> Attempt:
    return Attempt(
        number=line["n"],
        machine_id=line["machine"],
        region=line["region"],
        boot_s=line["boot"] if line["boot"] >= 0 else None,
        started_at=line["started"],
        ended_at=line["ended"],
        outcome=line["outcome"],
        error=line["error"],
        output=line["output"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _trouble(reason: bytes) -> str:
    return str(json.loads(reason)["message"]) if reason else ""
