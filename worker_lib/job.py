"""What a job is: its statuses, the moves between them, the fields of its record.

Everything else follows from the tables here. The scripts are given `MOVES` and
`FIELDS` when they are loaded, so that no script can write a status in another way or
keep a field longer than these say; `Store.look` returns the record by these names, as
a `JobInfo`. Data only: machines load this module, too.

To add an option of a task that is kept with each job: give it to `TaskOptions`, add a
`Field` here that names it, and an attribute to `JobInfo` if people are to see it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, NamedTuple, TypeAlias

    JobStatus: TypeAlias = Literal[
        "scheduled",
        "queued",
        "running",
        "retrying",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
    ]
    Actor: TypeAlias = Literal["caller", "machine", "sweep", "clock"]
    Kept: TypeAlias = Literal[
        "always", "unless_succeeded", "not_final", "due", "attempt", "running"
    ]
else:
    from worker_lib.records import NamedTuple

    JobStatus = str

__all__ = [
    "FIELDS",
    "FINAL",
    "MOVES",
    "WAITING",
    "Attempt",
    "Field",
    "JobInfo",
    "JobStatus",
    "Move",
    "Progress",
    "info_of",
]

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


class Move(NamedTuple):
    """A change of status that is allowed.

    Attributes:
        source: Status before; "" before the job is stored.
        target: Status after it.
        by: Who makes it: a `caller`, the `machine` that holds the job, a `sweep` that
            found its machine gone, or the `clock`: whoever looks when it is time.
        when: What has happened.
    """

    source: str
    target: str
    by: Actor
    when: str


MOVES: tuple[Move, ...] = (
    Move("", "queued", "caller", "called"),
    Move("", "scheduled", "caller", "called with a delay"),
    Move("scheduled", "queued", "clock", "its time has come"),
    Move("queued", "scheduled", "caller", "edited to start later"),
    Move("queued", "running", "machine", "claimed"),
    Move("running", "succeeded", "machine", "the task returned"),
    Move("running", "failed", "machine", "the task raised or its process died"),
    Move("running", "retrying", "machine", "it failed and may be tried again"),
    Move("running", "queued", "machine", "handed back by a machine that must stop"),
    Move("retrying", "queued", "clock", "its backoff is over"),
    Move("running", "queued", "sweep", "its machine is gone"),
    Move("running", "failed", "sweep", "its machine is gone and it may not run again"),
    *(
        Move(waiting, "expired", "clock", "it waited for too long")
        for waiting in ("scheduled", "queued", "retrying")
    ),
    *(
        Move(unfinished, "cancelled", "caller", "cancelled")
        for unfinished in ("scheduled", "queued", "running", "retrying")
    ),
)
# Of a job that has still to run, and is on no machine.
WAITING: frozenset[str] = frozenset(move.target for move in MOVES) - FINAL - {"running"}


class Field(NamedTuple):
    """A field of a job's record in Redis.

    Attributes:
        name: In the record.
        kept: How long: `always` (as long as the record), `unless_succeeded` (a job
            that did not succeed can be run again), `not_final`, `due` (until it may
            run), `running` (while it does), or `attempt` (until the job waits again:
            then it is a part of `past`).
        default: What a record without this field means; such values are not stored.
        option: The task's option that it is copied from, if it is.
    """

    name: str
    kept: Kept = "always"
    default: str = ""
    option: str = ""


_FIELDS: tuple[Field, ...] = (
    Field("status"),
    Field("task"),
    Field("pool"),
    Field("queue", default="default", option="queue"),
    Field("priority", default="0", option="priority"),
    Field("tags"),
    Field("key", option="key"),
    Field("unique_until", "not_final"),
    Field("retry_of"),
    Field("retried_as"),
    Field("max_attempts", default="1"),
    # What a machine, or a person who retries the job, needs to run it.
    Field("call", "unless_succeeded"),
    Field("code", "unless_succeeded"),
    Field("timeout", "unless_succeeded", option="timeout"),
    Field("policy", "unless_succeeded"),
    Field("ttl", "unless_succeeded"),
    Field("pending", "unless_succeeded"),
    # Where it waits, and until when.
    Field("order", "not_final"),
    Field("due", "due"),
    Field("expires", "not_final"),
    # What has happened so far; times are seconds since the epoch, by Redis's clock.
    Field("created"),
    # Since when it could run; without it, since it was stored.
    Field("queued"),
    Field("fence", default="0"),
    Field("attempt", default="0"),
    Field("lost", default="0"),
    # Its machine was lost while it held others, too: which of them was the cause?
    Field("alone", "not_final"),
    # Until when somebody follows what it prints.
    Field("followed", "not_final"),
    Field("past"),
    Field("canceller"),
    # The attempt under way, or the last one.
    Field("started", "attempt"),
    Field("ended", "attempt"),
    Field("machine"),
    Field("region"),
    Field("launch", "attempt"),
    Field("boot", "attempt"),
    Field("slot", "running"),
    Field("lease", "running"),
    Field("progress", "running"),
    Field("cause", "attempt"),
    Field("error"),
    Field("tail", "attempt"),
    Field("trace", "attempt"),
    Field("exit_code", "attempt"),
    Field("peak_mb", "attempt"),
    Field("cpu_s", "attempt"),
)
FIELDS: dict[str, Field] = {field.name: field for field in _FIELDS}


class Progress(NamedTuple):
    """How far a running job said it is.

    Attributes:
        done: Steps done.
        total: Steps in all, or None if unknown.
        message: A short text, or "".
    """

    done: float
    total: float | None = None
    message: str = ""


class Attempt(NamedTuple):
    """One run of a job, ended or still going.

    Attributes:
        number: From 1; a run that was handed back or lost keeps its number.
        machine_id: Fly's id of the machine, or "".
        region: Where it ran, or "".
        queued_at: Since when it waited to run, like `started_at`; 0 in old records.
        launch_s: Seconds from the slot being taken to its machine being asked for;
            None if the machine was up already.
        boot_s: Seconds from there to the machine's first claim; likewise.
        started_at: Seconds since the epoch, by Redis's clock.
        ended_at: The same; None while it runs.
        outcome: `running`, `succeeded`, `cancelled`, `released` (handed back by a
            machine that was stopped), or the kind of failure (see `JobFailed.kind`).
        error: One line on what went wrong, or "".
        output: The last lines it printed, if it failed; `Job.logs()` has all.
        traceback: Of what it raised, as text, 4 KB at most; "" if it raised nothing.
        exit_code: Of the process that ran it, if it died; negative for a signal.
        peak_mb: Most memory it used, in megabytes; None if unknown.
        cpu_s: Seconds of CPU it used; None if unknown.
        fence: What Redis knows it by, a number that grows with each hand-over.
    """

    number: int
    machine_id: str = ""
    region: str = ""
    queued_at: float = 0.0
    launch_s: float | None = None
    boot_s: float | None = None
    started_at: float = 0.0
    ended_at: float | None = None
    outcome: str = "running"
    error: str = ""
    output: str = ""
    traceback: str = ""
    exit_code: int | None = None
    peak_mb: float | None = None
    cpu_s: float | None = None
    fence: int = 0


class JobInfo(NamedTuple):
    """A job as Redis had it at one moment; holds neither arguments nor result.

    Attributes:
        task: `module:name` of the task.
        attempt: Number of the latest attempt; 0 before the first.
        lost: How often a machine vanished under it.
        created_at: Seconds since the epoch, by Redis's clock; so are the next three.
        due_at: When a `scheduled` or `retrying` job may start; else None.
        error: One line on why it failed, or "".
        trouble: Why no machine can be had at present, or "".
        priority: Among the jobs that wait in its queue; higher goes first.
        tags: As the call gave them.
        key: What made it unique, or "".
        retry_of: The job that this one runs again, or "".
        retried_as: The job that runs this one again, or "".
        size: Of its pool's machines, as `shared-cpu-1x@256mb`; "" if Redis no longer
            knows.
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
    priority: int
    tags: Mapping[str, str]
    key: str
    retry_of: str
    retried_as: str
    size: str = ""

    @property
    def final(self) -> bool:
        """Whether the status can no longer change."""
        return self.status in FINAL


def info_of(
    job_id: str, record: Mapping[str, str], trouble: str = "", size: str = ""
) -> JobInfo:
    """Return a job's record, with every field that it may have, as people see it."""
    return JobInfo(
        id=job_id,
        task=record["task"],
        queue=record["queue"],
        pool=record["pool"],
        status=record["status"],  # type: ignore[arg-type]  # the scripts write no other
        attempt=int(record["attempt"]),
        max_attempts=int(record["max_attempts"]),
        lost=int(record["lost"]),
        created_at=float(record["created"]),
        started_at=_number(record["started"]),
        ended_at=_number(record["ended"]),
        due_at=_number(record["due"]),
        progress=_progress(record["progress"]),
        machine_id=record["machine"],
        region=record["region"],
        attempts=_attempts(record),
        error=record["error"],
        trouble=trouble,
        priority=int(record["priority"]),
        tags=_json(record["tags"]) if record["tags"] else {},
        key=record["key"],
        retry_of=record["retry_of"],
        retried_as=record["retried_as"],
        size=size,
    )


def _attempts(record: Mapping[str, str]) -> tuple[Attempt, ...]:
    past = [_attempt(_json(line)) for line in record["past"].split("\n")[:-1]]
    if record["started"]:
        last = {**record, "cause": _outcome(record)}
        past.append(_attempt(last))
    return tuple(past)


def _outcome(record: Mapping[str, str]) -> str:
    if record["status"] in {"running", "succeeded"}:
        return record["status"]
    return record["cause"]


def _attempt(told: Mapping[str, str]) -> Attempt:
    exit_code = told.get("exit_code") or ""
    return Attempt(
        number=int(told["attempt"]),
        machine_id=told.get("machine", ""),
        region=told.get("region", ""),
        queued_at=float(told.get("queued") or told.get("created") or 0),
        launch_s=_number(told.get("launch", "")),
        boot_s=_number(told.get("boot", "")),
        started_at=float(told["started"]),
        ended_at=_number(told.get("ended", "")),
        outcome=told.get("cause", ""),
        error=told.get("error", ""),
        output=told.get("tail", ""),
        traceback=told.get("trace", ""),
        exit_code=int(exit_code) if exit_code else None,
        peak_mb=_number(told.get("peak_mb", "")),
        cpu_s=_number(told.get("cpu_s", "")),
        fence=int(told.get("fence") or 0),
    )


def _progress(text: str) -> Progress | None:
    return Progress(**_json(text)) if text else None


def _number(text: str) -> float | None:
    return float(text) if text else None


def _json(text: str) -> Any:
    import json  # noqa: PLC0415 - machines load this module and read no record

    return json.loads(text)
