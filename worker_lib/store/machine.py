"""What a machine does with Redis, a verb a method."""

from __future__ import annotations

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.keys import control_key, key_prefix, new_slot_id
from worker_lib.store.limits import MAX_LOST
from worker_lib.store.scripts import script
from worker_lib.store.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NamedTuple, TypeAlias

    from worker_lib.store.resp import Reply

    # `leave_if_idle`: it has lingered long enough; `leave`: it takes no further job.
    Intent: TypeAlias = Literal["stay", "leave_if_idle", "leave"]
    Verdict: TypeAlias = Literal["job", "interrupted", "idle", "empty", "gone"]
else:
    from worker_lib.records import NamedTuple

__all__ = ["Claim", "ClaimedJob", "MachineStore", "Report"]

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


class Claim(NamedTuple):
    """The answer to a machine that asks for work.

    Attributes:
        verdict: `job`, `interrupted` (the job that this machine held before it was
            restarted: release it), `idle` (wait so many seconds), `empty` (leave; the
            slot is given back) or `gone` (the slot is no longer ours: leave at once).
        job: With `job` and `interrupted`.
        wait: With `idle`.
    """

    verdict: Verdict
    job: ClaimedJob | None = None
    wait: float = 0.0


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


class MachineStore:
    """The verbs of one machine, which holds one slot.

    Args:
        url: Of Redis.
        namespace: First part of every key.
        slot: The right under which this machine was started.
        machine_id: Fly's id.
        region: Fly's name of where it runs.
        lease_ttl: Seconds of silence after which it counts as lost.
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
    ) -> None:
        prefix = key_prefix(namespace)
        self.wire = Wire(url, prefix)
        self._channel = Wire(url, prefix)
        self._channel_key = control_key(namespace, slot)
        self._slot = slot
        self._machine_id = machine_id
        self._region = region
        self._lease = lease_ttl
        # Tells this start of the machine from an earlier one under the same id.
        self._nonce = new_slot_id()
        self.known_code = ""

    def claim(self, intent: Intent = "stay") -> Claim:
        """Ask for a job; the one that is held already, if there is one."""
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
        )
        return _claim(_array(reply))

    def finish(
        self, job: ClaimedJob, report: Report, *, intent: Intent = "stay"
    ) -> tuple[bool, Claim]:
        """Report how a job ended, and take the next one in the same step.

        Returns:
            Whether the report was accepted (False: somebody else holds the job by
            now, or it was cancelled), and the next claim. Sent twice, it counts once.
        """
        reply = self.wire.run(
            script("finish"),
            slot=self._slot,
            job=job.id,
            fence=job.fence,
            status=report.status,
            retry_in=report.retry_in,
            lease=self._lease,
            known_code=self.known_code,
            intent=intent,
            near=_NEAR,
            **_told(report),
        )
        verdict, *rest = _array(reply)
        return verdict == b"ok", _claim(rest)

    def heartbeat(self, job: ClaimedJob, progress: str = "") -> bool:
        """Renew the lease; False if the job is no longer ours."""
        reply = self.wire.run(
            script("heartbeat"),
            patience=_BEAT_PATIENCE,
            slot=self._slot,
            job=job.id,
            fence=job.fence,
            lease=self._lease,
            progress=progress,
        )
        return reply == 1

    def release(self, job: ClaimedJob, report: Report, *, charge: bool = False) -> bool:
        """Hand a job back, no attempt charged, and give the slot back; idempotent.

        Args:
            job: As it was claimed.
            report: Of the attempt; its outcome is for a job that may not run twice.
            charge: Count a lost machine; too many of them end the job.

        Returns:
            Whether the job was still ours.
        """
        reply = self.wire.run(
            script("release"),
            slot=self._slot,
            job=job.id,
            fence=job.fence,
            slot_candidate=new_slot_id(),
            charge=int(charge),
            most_lost=MAX_LOST,
            **_told(report),
        )
        return reply == 1

    def listen(self) -> int:
        """Wait in the background for a word to this machine; return what to poll.

        One command for the machine's whole life, however long that is.
        """
        if self._channel.fileno() < 0:
            self._channel.connect(_BEAT_PATIENCE)
            self._channel.send(b"BLPOP", self._channel_key, b"0")
        return self._channel.fileno()

    def heard(self) -> str:
        """Return the word: `c`, the job was cancelled; `w`, there is work.

        Listens on. "" if there is none yet: what can be polled may become readable for
        other reasons.

        Raises:
            StoreUnavailable: the connection broke, or Redis does not let us wait any
                longer, as after a failover; `listen` begins anew.
        """
        try:
            if not self._channel.has_reply():
                return ""
            reply = _array(self._channel.receive())
            self._channel.send(b"BLPOP", self._channel_key, b"0")
        except StoreError as error:
            self._channel.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(str(error), reason="refused") from error
        word = reply[1]
        return word.decode() if isinstance(word, bytes) else ""

    def descriptors(self) -> tuple[int, ...]:
        """Return what is open, which is nobody else's business."""
        both = (self.wire.fileno(), self._channel.fileno())
        return tuple(one for one in both if one >= 0)

    def hurry(self) -> None:
        """Wait no longer than two seconds for any answer from now on."""
        self.wire.longest = self._channel.longest = _HURRIED

    def close(self) -> None:
        """Close both connections."""
        self.wire.close()
        self._channel.close()


def _told(report: Report) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "output": report.output,
        "error": report.error,
        "cause": report.kind,
        "tail": report.tail,
        "exit_code": _number(report.exit_code),
        "peak_mb": _number(report.peak_mb),
        "cpu_s": _number(report.cpu_s),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _array(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _claim(reply: list[Reply]) -> Claim:
    verdict: Any = _bytes(reply[0]).decode()
    if verdict in {"job", "interrupted"}:
        return Claim(verdict, job=_job(_array(reply[1])))
    if verdict == "idle":
        return Claim(verdict, wait=float(_bytes(reply[1])))
    return Claim(verdict)


def _job(pairs: list[Reply]) -> ClaimedJob:
    # Redis sends what stands in a hash as bytes.
    got: dict[Any, Any] = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return ClaimedJob(
        id=got[b"id"].decode(),
        fence=got[b"fence"].decode(),
        attempt=int(got[b"attempt"]),
        timeout=float(got[b"timeout"]),
        task=got[b"task"].decode(),
        code_hash=got[b"code_hash"].decode(),
        code=got[b"code"],
        policy=got[b"policy"],
        call=got[b"call"],
        lost=int(got[b"lost"]),
    )


def _bytes(part: Reply) -> bytes:
    if isinstance(part, bytes):
        return part
    return str(part).encode()
