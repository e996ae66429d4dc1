"""What Redis and a machine tell each other: jobs, claims, reports; and their form."""

from __future__ import annotations

from _operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Literal, NamedTuple, TypeAlias

    from worker_lib.store.resp import Reply

    # `leave_if_idle`: it has lingered long enough; `leave`: it takes no further job.
    Intent: TypeAlias = Literal["stay", "leave_if_idle", "leave"]
    Verdict: TypeAlias = Literal[
        "jobs", "interrupted", "none", "idle", "park", "empty", "gone"
    ]
else:
    from worker_lib.records import NamedTuple

__all__ = [
    "Claim",
    "ClaimedJob",
    "Finished",
    "Report",
    "Word",
    "array",
    "claim_of",
    "entries",
    "finished",
    "report_words",
    "told_of",
    "word_of",
]


class ClaimedJob(NamedTuple):
    """A job that this machine holds; what was signed is still sealed.

    Attributes:
        attempt: From 1.
        timeout: Seconds.
        code_hash: Names the function's code; b"" if it travels by name, in `task`.
        code: That code, sealed; b"" if the machine has it already.
        policy: JSON.
        call: Sealed arguments.
        lost: How often a machine vanished under this job.
        followed: Whether somebody follows what it prints, or did.
    """

    id: str
    fence: str
    attempt: int
    timeout: float
    task: str
    code_hash: str
    code: bytes
    policy: bytes
    call: bytes
    lost: int
    followed: bool = False


class Claim(NamedTuple):
    """The answer to a machine that asks for work.

    Attributes:
        verdict: `jobs`, `interrupted` (what this machine held before it was restarted:
            release it), `none` (there is nothing new; it holds jobs still), `idle`
            (wait so many seconds), `park` (stand still; the slot is kept), `empty`
            (leave; the slot is given back) or `gone` (the slot is no longer ours:
            leave at once).
        jobs: With `jobs` and `interrupted`, in the order in which they are to run.
        wait: With `idle`.
    """

    verdict: Verdict
    jobs: tuple[ClaimedJob, ...] = ()
    wait: float = 0.0

    @property
    def job(self) -> ClaimedJob | None:
        """The first of its jobs."""
        return self.jobs[0] if self.jobs else None


class Word(NamedTuple):
    """What a machine is told while it waits or works.

    Attributes:
        kind: `c`, a job was cancelled; `w`, there is work: claim it; `j`, a job was
            begun for this machine; `f`, somebody follows what a job prints; "",
            nothing yet.
        job: With `j`.
        place: With `f`: id and fence of the job.
    """

    kind: str = ""
    job: ClaimedJob | None = None
    place: str = ""


class Report(NamedTuple):
    """How an attempt ended, as its machine tells.

    Attributes:
        status: `succeeded`, `failed` or `retrying`.
        outcome: Signed; b"" with `retrying`.
        error: One line on what went wrong, or "".
        kind: As `JobFailed.kind`; "" if it succeeded.
        tail: The last lines it printed, if it failed.
        output: All that it printed, sealed; b"" if that is nothing.
        exit_code: Of the child, if it died; negative for a signal.
        peak_mb: Most memory it used, in megabytes; None if unknown.
        cpu_s: Seconds of CPU it used; None if unknown.
        retry_in: Seconds until the next attempt, with `retrying`.
        ran: Seconds from its start to its end; None if it is not known.
        trace: Traceback of what it raised, or "".
    """

    status: str
    outcome: bytes = b""
    error: str = ""
    kind: str = ""
    tail: str = ""
    output: bytes = b""
    exit_code: int | None = None
    peak_mb: float | None = None
    cpu_s: float | None = None
    retry_in: float = 0.0
    ran: float | None = None
    trace: str = ""


class Finished(NamedTuple):
    """The answer to reports.

    Attributes:
        accepted: For each report, whether it counts; False: somebody else holds the
            job by now, or it was cancelled.
        claim: What comes next.
    """

    accepted: tuple[bool, ...]
    claim: Claim


def report_words(reports: Sequence[tuple[ClaimedJob, Report]]) -> list[Any]:
    """Return the arguments by which a script is given reports."""
    words: list[Any] = []
    for job, report in reports:
        told = told_of(report)
        words += (
            *(job.id, job.fence, report.status, report.outcome, report.output),
            *(report.retry_in, len(told) // 2, *told),
        )
    return words


def entries(jobs: Iterable[ClaimedJob]) -> str:
    """Return jobs as a script reads them: ids with their fences."""
    return ",".join([f"{job.id}:{job.fence}" for job in jobs])


# What a report says in a number, by the name of the record's field.
_NUMBERS = ("exit_code", "peak_mb", "cpu_s", "ran")


def told_of(report: Report) -> list[str]:
    """Return names and values of what is known of an attempt."""
    told: list[str] = []
    for name in _NUMBERS:
        value = getattr(report, name)
        if value is not None:
            told += (name, f"{value:.6g}")
    texts = (
        *(("error", report.error), ("cause", report.kind)),
        *(("tail", report.tail), ("trace", report.trace)),
    )
    for name, text in texts:
        if text:
            told += (name, text)
    return told


def array(reply: Reply) -> list[Reply]:
    """Return a reply of several parts; [] if it is another one."""
    return reply if isinstance(reply, list) else []


def claim_of(reply: list[Reply]) -> Claim:
    """Return what a script answers to a claim."""
    verdict: Any = _bytes(reply[0]).decode()
    if verdict in {"jobs", "interrupted"}:
        return Claim(verdict, _jobs(reply[1], reply[2:]))
    if verdict == "idle":
        return Claim(verdict, wait=float(_bytes(reply[1])))
    return Claim(verdict)


def finished(reply: Reply) -> Finished:
    """Return what a script answers to reports."""
    verdicts, *rest = array(reply)
    accepted = tuple(verdict == b"ok" for verdict in array(verdicts))
    return Finished(accepted, claim_of(rest))


# What a script tells of a claimed job, by its names, in the order of `ClaimedJob`.
_CLAIMED = b"id,fence,attempt,timeout,task,code,body,policy,call,lost,followed".split(
    b","
)


def _jobs(names: Reply, found: Iterable[Reply]) -> tuple[ClaimedJob, ...]:
    keys = _bytes(names).split(b",")
    in_order, code_at = itemgetter(*map(keys.index, _CLAIMED)), keys.index(b"body")
    jobs: list[ClaimedJob] = []
    before: list[Reply] = [b""] * len(keys)
    for values in map(array, found):
        told = values + before[len(values) :]
        jobs.append(_job(in_order(told)))
        before = told
        before[code_at] = b""  # told once
    return tuple(jobs)


def _job(told: Sequence[Any]) -> ClaimedJob:
    job_id, fence, attempt, timeout, task, code_hash, code, policy, call, *rest = told
    lost, followed = rest
    return ClaimedJob(
        *(job_id.decode(), fence.decode(), int(attempt), float(timeout)),
        *(task.decode(), code_hash.decode(), code, policy, call),
        *(int(lost or 0), bool(followed)),
    )


def word_of(part: Reply) -> Word:
    """Return what a machine is told, of an element of its list."""
    text = _bytes(part)
    kind = text[:1].decode()
    if kind != "j":
        return Word(kind, place=text[1:].decode())
    names, *found = _unpacked(text[1:])
    jobs = _jobs(names, [list(_unpacked(values)) for values in found])
    return Word(kind, jobs[0])


def _unpacked(text: bytes) -> Iterator[bytes]:
    """Yield parts that have their length in front of them."""
    at = 0
    while at < len(text):
        colon = text.index(b":", at)
        end = colon + 1 + int(text[at:colon])
        yield text[colon + 1 : end]
        at = end


def _bytes(part: Reply) -> bytes:
    if isinstance(part, bytes):
        return part
    return str(part).encode()
