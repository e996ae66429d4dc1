"""What the scripts answer to the calling side, as values with names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from worker_lib.job import FIELDS, FINAL, MOVES, JobInfo, JobStatus, info_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SlotState = Literal["owed", "launching", "idle", "woken", "busy", "parked", "starting"]
LaunchVerdict = Literal["go", "start", "wait", "unneeded"]

__all__ = [
    "LISTED",
    "SHOWN",
    "BatchNews",
    "BatchSeen",
    "Check",
    "Ended",
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
    "batch_of_reply",
    "check_of",
    "ended_of",
    "launch_of",
    "outcome_of",
    "queue_of",
    "seen_of",
]

STATUSES = sorted({move.target for move in MOVES})
_BY_LETTER = {status[0]: status for status in FINAL}
# What a look asks for: all but what only machines need.
SHOWN = tuple(
    field.name
    for field in FIELDS.values()
    if field.kept not in {"unless_succeeded", "not_final"}
)

# What lists leave out: the past, and what an attempt printed and raised.
LONG = ("past", "tail", "trace")
LISTED = tuple(name for name in SHOWN if name not in LONG)


class Stored(NamedTuple):
    """What became of a `NewJob`, or of some jobs of a batch.

    Attributes:
        job_id: Its own, or that of the job which holds the same key; of a batch, that
            of the first.
        trouble: Why its pool can have no machine at present, as JSON, or "".
        next_in: Seconds to the next deadline of any job; negative if it passed.
        slots: To launch.
    """

    job_id: str
    status: JobStatus
    trouble: str
    next_in: float
    slots: tuple[str, ...] = ()

    @property
    def slot(self) -> str:
        """The first of its slots, or ""."""
        return self.slots[0] if self.slots else ""


class BatchSeen(NamedTuple):
    """A batch at one moment.

    Attributes:
        task: `module:name`.
        created_at: Seconds since the epoch, by Redis's clock.
        total: Jobs in all; None while more may come.
        stored: Jobs so far.
        counts: How many are in which status; without those that have none.
        forgotten: Of how many that ended it is no longer known which they were.
        pool: Whose machines run its jobs.
        trouble: Why its pool can have no machine at present, as JSON, or "".
    """

    id: str
    task: str
    created_at: float
    total: int | None
    stored: int
    counts: dict[str, int]
    trouble: str
    forgotten: int = 0
    pool: str = ""

    @property
    def ended(self) -> int:
        """How many jobs are final."""
        return sum(self.counts.get(status, 0) for status in FINAL)

    @property
    def is_over(self) -> bool:
        """Whether all of its jobs are final, and no further ones come."""
        return self.total is not None and self.ended >= self.total


class BatchNews(NamedTuple):
    """A batch, and its jobs that have ended since a position.

    Attributes:
        ended: Index and status of each, in the order of their end.
    """

    seen: BatchSeen
    ended: list[tuple[int, str]]


class Ended(NamedTuple):
    """A job of many that was asked for.

    Attributes:
        outcome: None if it has not ended, or its outcome is forgotten.
        ran: Seconds that its last attempt took; None if unknown.
    """

    status: str
    outcome: Outcome | None
    ran: float | None


class Launch(NamedTuple):
    """What is to be done for a slot.

    Attributes:
        verdict: `go`: create its machine; `start`: it is parked; `wait`, or `unneeded`.
        pool: With `go` and `start`.
        spec: The pool's, sealed; likewise.
        wait: Seconds until another machine may be created, with `go` and `wait`.
        machine_id: The machine to start.
        parked: Of the slots that were told of, those whose machines are parked.
    """

    verdict: LaunchVerdict
    pool: str = ""
    spec: bytes = b""
    wait: float = 0.0
    machine_id: str = ""
    parked: tuple[str, ...] = ()


class Check(NamedTuple):
    """A slot whose machine has not been heard of in time.

    Attributes:
        machine_id: As the machine gave it when it claimed, or Fly when it was made;
            "" if neither is known.
        holds: Its jobs as `job:fence`, a comma between them, in the order in which
            they run.
        age: Seconds since it was launched.
    """

    slot: str
    state: SlotState
    machine_id: str
    pool: str
    holds: str
    age: float

    @property
    def job_id(self) -> str:
        """The job that it runs, or ""."""
        return self.holds.partition(":")[0]

    @property
    def fence(self) -> str:
        """The fence of that job, or ""."""
        return self.holds.partition(",")[0].partition(":")[2]


class Stray(NamedTuple):
    """A machine to destroy: its slot was freed; `machine_id` is "" if unknown."""

    slot: str
    machine_id: str


class Sweep(NamedTuple):
    """What is overdue.

    Attributes:
        next_in: Seconds to the next look; None if nothing is up.
        parking: Some pools that have parked machines, with their sealed specs.
    """

    next_in: float | None
    launches: list[str]
    checks: list[Check]
    strays: list[Stray]
    parking: list[tuple[str, bytes]]


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
    slot, state, machine, pool, holds, age = told
    return Check(slot, state, machine, pool, holds, float(age))


def batch_of_reply(batch_id: str, reply: Sequence[Any]) -> BatchNews:
    """Return a batch as the scripts tell of it."""
    pairs, trouble, ended = reply
    about = {
        name.decode(): value.decode()
        for name, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    counts = {
        name: int(about[name]) for name in STATUSES if about.get(name, "0") != "0"
    }
    seen = BatchSeen(
        batch_id,
        about["task"],
        float(about["created"]),
        int(about["total"]) if about["total"] else None,
        int(about["stored"]),
        counts,
        trouble.decode(),
        int(about.get("forgotten", "0")),
        about["pool"],
    )
    return BatchNews(seen, [_ended_member(one) for one in ended])


def ended_of(reply: Sequence[bytes]) -> Ended | None:
    """Return a job's outcome as the scripts tell of it; None if there is no job."""
    if not reply:
        return None
    status, outcome, ran = reply
    return Ended(
        status.decode(),
        outcome_of(outcome) if outcome else None,
        float(ran) if ran else None,
    )


def _ended_member(entry: bytes) -> tuple[int, str]:
    return int(entry[:8], 16), _BY_LETTER[entry[8:].decode()]


def launch_of(reply: Sequence[bytes]) -> Launch:
    """Return what is to be done for a slot."""
    verdict: Any = reply[0].decode()
    pool, spec, machine = [*reply[3:], b"", b"", b""][:3]
    return Launch(
        verdict,
        pool.decode(),
        spec,
        float(reply[1]),
        machine.decode(),
        tuple(reply[2].decode().split(",")) if reply[2] else (),
    )


def outcome_of(element: bytes) -> Outcome:
    """Return what an element of a job's outcome list says."""
    status, fence, envelope = element.split(b" ", 2)
    return Outcome(status.decode(), fence.decode(), envelope)


def seen_of(job_id: str, reply: Sequence[Any], names: Sequence[str] = SHOWN) -> Seen:
    """Return a job as a look found it, `names` being what was asked for."""
    values, outcome, trouble, reason, pool_lost, size = reply
    record = dict.fromkeys(LONG, "") | {
        name: str(value, "utf-8", "replace") or FIELDS[name].default
        for name, value in zip(names, values, strict=True)
    }
    return Seen(
        info_of(job_id, record, _trouble(trouble or reason), size.decode()),
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
