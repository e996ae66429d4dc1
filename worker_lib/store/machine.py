"""What a machine does with Redis, a verb a method."""

from __future__ import annotations

from _operator import itemgetter

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.keys import control_key, key_prefix, new_slot_id
from worker_lib.store.limits import MAX_LOST
from worker_lib.store.scripts import forget_parts, script
from worker_lib.store.wire import Wire

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

__all__ = ["Claim", "ClaimedJob", "Finished", "MachineStore", "Report", "Word"]

# Meanwhile nobody looks at the job's timeout, so a frozen Redis must not hold up long.
_BEAT_PATIENCE = 2.0
_HURRIED = 2.0
# A retry that is due so soon is waited for: a machine costs less than a boot.
_NEAR = 5.0


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


class MachineStore:
    """The verbs of one machine, which holds one slot.

    Args:
        url: Of Redis.
        namespace: First part of every key.
        slot: The right under which this machine was started.
        machine_id: Fly's id.
        region: Fly's name of where it runs.
        lease_ttl: Seconds of silence after which it counts as lost.
        parking: How many machines of its pool may be parked, each so many seconds.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        slot: str,
        machine_id: str,
        region: str,
        lease_ttl: float,
        parking: tuple[int, float] = (0, 0.0),
    ) -> None:
        prefix = key_prefix(namespace)
        self.wire = Wire(url, prefix)
        self._channel = Wire(url, prefix)
        self._channel_key = control_key(namespace, slot)
        self._listens_on = -1
        self._slot = slot
        self._machine_id = machine_id
        self._region = region
        self._lease = lease_ttl
        self._parking = parking
        # Tells this start of the machine from an earlier one under the same id.
        self._nonce = new_slot_id()
        self.known_code = ""

    def claim(
        self,
        intent: Intent = "stay",
        *,
        want: int = 1,
        holds: Iterable[ClaimedJob] = (),
    ) -> Claim:
        """Ask for jobs, as a machine does when it begins, and when it has waited.

        Args:
            intent: What it is about to do.
            want: How many at most; Redis may give fewer, for other machines' sake.
            holds: Those that it has. What Redis gave to it besides, it gives again.
        """
        reply = self.wire.run(
            script("claim"),
            slot=self._slot,
            machine=self._machine_id,
            region=self._region,
            lease=self._lease,
            known_code=self.known_code,
            intent=intent,
            nonce=self._nonce,
            near=_NEAR,
            want=want,
            holds=_entries(holds),
            park_most=self._parking[0],
            park_for=self._parking[1],
        )
        return _claim(_array(reply))

    def finish(
        self,
        reports: Sequence[tuple[ClaimedJob, Report]],
        *,
        intent: Intent = "stay",
        want: int = 1,
        holds: Iterable[ClaimedJob] = (),
        back: Iterable[ClaimedJob] = (),
    ) -> Finished:
        """Report how jobs ended, and take the next ones in the same step; idempotent.

        Args:
            reports: What ended, in the order in which it ran.
            intent: As with `claim`, and so the next two.
            want: 0 takes none.
            holds: Those that it has still, without the ones reported or given back.
            back: Those that it took and did not start: they wait in line again, and no
                attempt is charged.
        """
        words = _report_words(reports)
        named = self._finish_named(intent, want, holds, back)
        return _finished(self.wire.run(script("finish"), *words, **named))

    def begin_finish(
        self,
        reports: Sequence[tuple[ClaimedJob, Report]],
        *,
        intent: Intent = "stay",
        want: int = 1,
        holds: Iterable[ClaimedJob] = (),
        back: Iterable[ClaimedJob] = (),
    ) -> None:
        """Do as `finish` does, without waiting for the answer.

        It has come when `wire.has_reply` says so, for what `wire.fileno` polls;
        `end_finish` returns it. Meanwhile no other verb may be called. If either fails,
        `finish` with the same arguments does it again.
        """
        words = _report_words(reports)
        named = self._finish_named(intent, want, holds, back)
        self.wire.begin(script("finish"), *words, **named)

    def end_finish(self) -> Finished:
        """Return the answer to `begin_finish`; waits for it if need be."""
        return _finished(self.wire.end())

    def prepare(self) -> None:
        """Read what the first report needs, while there is nothing to report yet."""
        script("finish")
        forget_parts()  # the other verbs of a machine are rare

    def heartbeat(
        self,
        job: ClaimedJob,
        progress: str = "",
        piece: tuple[int, int, bytes] = (0, 0, b""),
    ) -> int:
        """Renew the lease, and tell what the job has reported and printed.

        Args:
            job: The one that runs.
            progress: JSON, or "".
            piece: Where it starts and ends, and the sealed piece; b"" for none.

        Returns:
            2 if somebody follows what it prints, else 1; 0 if it is no longer ours.
        """
        start, end, sealed = piece
        reply = self.wire.run(
            script("heartbeat"),
            patience=_BEAT_PATIENCE,
            slot=self._slot,
            job=job.id,
            fence=job.fence,
            lease=self._lease,
            progress=progress,
            start=start,
            end_at=end,
            piece=sealed,
        )
        return reply if isinstance(reply, int) else 0

    def release(
        self,
        job: ClaimedJob | None,
        report: Report,
        *,
        charge: bool = False,
        back: Iterable[ClaimedJob] = (),
    ) -> bool:
        """Hand jobs back, no attempt charged, and give the slot back; idempotent.

        Args:
            job: The one that ran; None if none did.
            report: Of its attempt; the outcome is for a job that may not run twice.
            charge: Count a lost machine for it; too many of them end the job.
            back: Those that were taken and not started.

        Returns:
            Whether the job was still ours.
        """
        told = _told(report)
        reply = self.wire.run(
            script("release"),
            *told,
            slot=self._slot,
            job=job.id if job else "",
            fence=job.fence if job else "",
            back=_entries(back),
            slot_candidate=new_slot_id(),
            charge=int(charge),
            most_lost=MAX_LOST,
            outcome=report.outcome,
            output=report.output,
            pairs_told=len(told) // 2,
        )
        return reply == 1

    def listen(self) -> int:
        """Wait in the background for a word to this machine; return what to poll.

        One command for each word, however long that takes to come. Meanwhile a word
        that nobody listens for is kept.
        """
        if not self.listens:
            self._channel.connect(_BEAT_PATIENCE)
            self._channel.send(b"BLPOP", self._channel_key, b"0")
            self._listens_on = self._channel.fileno()
        return self._listens_on

    @property
    def listens(self) -> bool:
        """Whether a word would be heard."""
        return self._listens_on >= 0

    def heard(self) -> Word:
        """Return what this machine is told; `listen` then waits for the next word.

        Of kind "" if that is nothing yet: what can be polled may become readable for
        other reasons. A job that comes this way may have come before, as an answer.

        Raises:
            StoreUnavailable: the connection broke, or Redis does not let us wait any
                longer, as after a failover; `listen` begins anew.
        """
        try:
            if not self._channel.has_reply():
                return Word()
            self._listens_on = -1
            reply = _array(self._channel.receive())
        except StoreError as error:
            self._listens_on = -1
            self._channel.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(str(error), reason="refused") from error
        return _word(_bytes(reply[1]))

    def descriptors(self) -> tuple[int, ...]:
        """Return what is open, which is nobody else's business."""
        both = (self.wire.fileno(), self._channel.fileno())
        return tuple(one for one in both if one >= 0)

    def hurry(self) -> None:
        """Wait no longer than two seconds for any answer from now on."""
        self.wire.longest = self._channel.longest = _HURRIED

    def wake(self) -> None:
        """Begin as a new boot of this machine: what it is connected to may be dead."""
        self.close()
        self._nonce = new_slot_id()

    def close(self) -> None:
        """Close both connections."""
        self._listens_on = -1
        self.wire.close()
        self._channel.close()

    def _finish_named(
        self,
        intent: Intent,
        want: int,
        holds: Iterable[ClaimedJob],
        back: Iterable[ClaimedJob],
    ) -> dict[str, Any]:
        return {
            "slot": self._slot,
            "lease": self._lease,
            "known_code": self.known_code,
            "intent": intent,
            "near": _NEAR,
            "want": want,
            "holds": _entries(holds),
            "back": _entries(back),
        }


def _report_words(reports: Sequence[tuple[ClaimedJob, Report]]) -> list[Any]:
    words: list[Any] = []
    for job, report in reports:
        told = _told(report)
        words += (
            *(job.id, job.fence, report.status, report.outcome, report.output),
            *(report.retry_in, len(told) // 2, *told),
        )
    return words


def _entries(jobs: Iterable[ClaimedJob]) -> str:
    return ",".join([f"{job.id}:{job.fence}" for job in jobs])


# What a report says in a number, by the name of the record's field.
_NUMBERS = ("exit_code", "peak_mb", "cpu_s", "ran")


def _told(report: Report) -> list[str]:
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


def _array(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _claim(reply: list[Reply]) -> Claim:
    verdict: Any = _bytes(reply[0]).decode()
    if verdict in {"jobs", "interrupted"}:
        return Claim(verdict, _jobs(reply[1], reply[2:]))
    if verdict == "idle":
        return Claim(verdict, wait=float(_bytes(reply[1])))
    return Claim(verdict)


def _finished(reply: Reply) -> Finished:
    verdicts, *rest = _array(reply)
    accepted = tuple(verdict == b"ok" for verdict in _array(verdicts))
    return Finished(accepted, _claim(rest))


# What a script tells of a claimed job, by its names, in the order of `ClaimedJob`.
_CLAIMED = b"id,fence,attempt,timeout,task,code,body,policy,call,lost,followed".split(
    b","
)


def _jobs(names: Reply, found: Iterable[Reply]) -> tuple[ClaimedJob, ...]:
    keys = _bytes(names).split(b",")
    in_order, code_at = itemgetter(*map(keys.index, _CLAIMED)), keys.index(b"body")
    jobs: list[ClaimedJob] = []
    before: list[Reply] = [b""] * len(keys)
    for values in map(_array, found):
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


def _word(text: bytes) -> Word:
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
