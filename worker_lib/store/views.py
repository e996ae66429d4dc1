"""Verbs that only look, for pages and lists: what there is, what was counted.

As everywhere, what is much is read a part at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from worker_lib.store.parts import all_parts, look_at
from worker_lib.store.replies import LISTED, SHOWN, outcome_of
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_lib.job import JobInfo
    from worker_lib.store.connection import Connection
    from worker_lib.store.replies import Outcome

__all__ = [
    "SLOT_FIELDS",
    "FailedJob",
    "PoolState",
    "SealedCall",
    "SlotState",
    "State",
    "Views",
]

# What is told of a slot, besides its pool.
SLOT_FIELDS = (
    "state",
    "machine",
    "made",
    "region",
    "holds",
    "owed_at",
    "launched_at",
    "up_at",
    "boot",
    "parked_until",
)
_LOOK_AT_ONCE = 100
_FAILURES_AT_ONCE = 250


class PoolState(NamedTuple):
    """A pool at one moment.

    Attributes:
        size: Of its machines, as `shared-cpu-1x@256mb`; "" in old ones.
        most: Machines that it may have.
        run: Seconds that its jobs took of late; None if unknown, as the next two.
        boot: From the launch of a machine to its first claim.
        wake: The same of a parked one.
        trouble: Why no machine can be had, as JSON, or "".
        states: How many machines are in which state.
        queues: Of each that has jobs: how many, since when it is paused (None: it is
            not), since when the next of them waits.
    """

    id: str
    size: str
    most: int
    run: float | None
    boot: float | None
    wake: float | None
    trouble: str
    running: int
    retrying: int
    scheduled: int
    states: dict[str, int]
    queues: dict[str, tuple[int, float | None, float | None]]


class State(NamedTuple):
    """All pools at one moment.

    Attributes:
        at: Redis's time.
        kept: How many jobs of a status are kept; `jobs` is all of them.
        memory: The server's INFO on its memory, by name.
        paused: Since when each queue is paused that is, with or without jobs.
    """

    at: float
    kept: dict[str, int]
    memory: dict[str, str]
    paused: dict[str, float]
    pools: list[PoolState]


class SlotState(NamedTuple):
    """A right to a machine.

    Attributes:
        look_at: When somebody looks whether it lives; None if nobody does.
        about: By `SLOT_FIELDS`; "" where there is nothing.
    """

    slot: str
    pool: str
    size: str
    look_at: float | None
    about: dict[str, str]


class SealedCall(NamedTuple):
    """What a job was called with, and what it returned, still sealed.

    Attributes:
        code: Hash of its code; "" if it travels by name.
        call: b"" if it is gone or too long.
        outcome: None likewise, or if there is none.
    """

    status: str
    task: str
    code: str
    pool: str
    timeout: float
    policy: str
    call: bytes
    outcome: Outcome | None


class FailedJob(NamedTuple):
    """A job that ended badly, in a line."""

    id: str
    task: str
    cause: str
    error: str
    ended_at: float | None


class Views:
    """The verbs that look.

    Args:
        connection: Runs the scripts.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def jobs(self, job_ids: Sequence[str], *, brief: bool = False) -> list[JobInfo]:
        """Return those of these jobs that Redis has, in the same order.

        Args:
            job_ids: The jobs.
            brief: Only with the last attempt, and not with what it printed and raised.
        """
        names = LISTED if brief else SHOWN
        seen = look_at(self._connection, job_ids, with_outcome=False, names=names)
        return [one.info for one in seen if one is not None]

    def calls(self, job_ids: Sequence[str], most_bytes: int) -> list[SealedCall | None]:
        """Return what jobs were called with and returned; None where there is none.

        Args:
            most_bytes: What is longer is left out.
        """
        reply = self._connection.run(script("calls"), *job_ids, most_bytes=most_bytes)
        return [_call(told) if told else None for told in reply]

    def state(self) -> State:
        """Return all pools, in one command if there are not many."""
        at, kept, memory = 0.0, dict[str, int](), dict[str, str]()
        paused: dict[str, float] = {}
        pools: dict[str, PoolState] = {}
        parts = all_parts(self._connection, "overview")
        for now, kept_now, info, paused_now, found in parts:
            at = at or float(now)
            kept |= {name: int(count) for name, count in _pairs(kept_now).items()}
            memory |= _info(info.decode())
            paused |= {name: float(at) for name, at in _pairs(paused_now).items()}
            pools |= {one.id: one for one in map(_pool, found)}
        return State(at, kept, memory, paused, sorted(pools.values()))

    def slots(self) -> tuple[float, list[SlotState]]:
        """Return Redis's time and the machines that are, or are to be."""
        at, slots = 0.0, dict[str, SlotState]()
        fields = ",".join(SLOT_FIELDS)
        for now, found in all_parts(self._connection, "machines", fields=fields):
            at = at or float(now)
            slots |= {one.slot: one for one in map(_slot, found)}
        return at, list(slots.values())

    def exits(self, limit: int) -> list[bytes]:
        """Return the machines that ended last as JSON, newest first."""
        found: list[bytes] = self._connection.run(script("exits"), most=limit)
        return found

    def counts(
        self, spans: Sequence[str]
    ) -> tuple[float, dict[bytes, int], list[dict[bytes, int]]]:
        """Return what was counted in some spans of time.

        Args:
            spans: `minutes:number`, as `60:485000` for an hour; `0:0` is all time.

        Returns:
            Redis's time, what is not added to any span yet, and what each span has.
        """
        found: list[dict[bytes, int]] = []
        now, more, opened = 0.0, b"1", list[bytes]()
        while more or len(found) < len(spans):
            part = spans[len(found) : len(found) + _LOOK_AT_ONCE]
            more, at, opened, *hashes = self._connection.run(script("counts"), *part)
            now = now or float(at)
            if not more:
                found += map(_numbers, hashes)
        return now, _numbers(opened), found

    def origin(self, pool: str, code: str) -> tuple[bytes, bytes]:
        """Return a pool's spec and code by its hash, both sealed; b"" for none."""
        spec, body = self._connection.run(script("origin"), pool=pool, code=code)
        return spec, body

    def failures(self, status: str, limit: int) -> list[FailedJob]:
        """Return jobs that ended with this status, the latest stored first."""
        found: list[FailedJob] = []
        before = b"+inf"
        while before and len(found) < limit:
            most = min(_FAILURES_AT_ONCE, limit - len(found))
            before, *jobs = self._connection.run(
                script("failures"), status=status, before=_below(before), most=most
            )
            found += map(_failed, jobs)
        return found

    def audit(self, entry: str) -> float:
        """Keep what somebody did, as JSON; return Redis's time."""
        return float(self._connection.run(script("audit"), entry=entry))

    def audits(self, limit: int) -> list[tuple[float, str]]:
        """Return what people did, newest first: when, and JSON."""
        found = self._connection.run(script("audits"), most=limit)
        split = (one.decode().split(" ", 1) for one in found)
        return [(float(at), entry) for at, entry in split]


def _below(score: bytes) -> bytes:
    return score if score == b"+inf" else b"(" + score


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {
        name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)
    }


def _numbers(flat: Sequence[bytes]) -> dict[bytes, int]:
    return {name: int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _info(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon}


def _number(text: bytes) -> float | None:
    return float(text) if text else None


def _pool(told: Sequence[Any]) -> PoolState:
    pool, size, most, run, boot, wake, trouble, running, retrying, due, *rest = told
    states, queues = rest
    return PoolState(
        pool.decode(),
        size.decode(),
        int(most),
        _number(run),
        _number(boot),
        _number(wake),
        trouble.decode(),
        running,
        retrying,
        due,
        {name: int(count) for name, count in _pairs(states).items()},
        {
            name.decode(): (int(count), _number(paused), _number(since))
            for name, count, paused, since in zip(
                queues[::4], queues[1::4], queues[2::4], queues[3::4], strict=True
            )
        },
    )


def _call(told: Sequence[bytes]) -> SealedCall:
    *words, call, outcome = told
    status, task, code, pool, timeout, policy = (word.decode() for word in words)
    return SealedCall(
        *(status, task, code, pool),
        float(timeout or 0),
        policy,
        call,
        outcome_of(outcome) if outcome else None,
    )


def _slot(told: Sequence[bytes]) -> SlotState:
    slot, pool, size, look_at, *values = told
    about = {
        name: value.decode() for name, value in zip(SLOT_FIELDS, values, strict=True)
    }
    return SlotState(
        slot.decode(), pool.decode(), size.decode(), _number(look_at), about
    )


def _failed(told: Sequence[bytes]) -> FailedJob:
    job, task, cause, error, ended = told
    return FailedJob(
        job.decode(),
        task.decode(),
        cause.decode(),
        error.decode("utf-8", "replace"),
        _number(ended),
    )
