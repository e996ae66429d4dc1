"""What a machine does with Redis, a verb a method."""

from __future__ import annotations

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.keys import key_prefix, new_slot_id
from worker_lib.store.limits import MAX_LOST
from worker_lib.store.scripts import script
from worker_lib.store.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, NamedTuple, TypeAlias

    from worker_lib.store.wire import Reply

    # `rested`: it has lingered long enough; `leave`: it takes no further job.
    Mood: TypeAlias = Literal["stay", "rested", "leave"]
else:
    from worker_lib.records import NamedTuple

__all__ = ["Claim", "ClaimedJob", "MachineStore"]

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

    verdict: str
    job: ClaimedJob | None = None
    wait: float = 0.0


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
        self._bell = Wire(url, prefix)
        self._bell_key = f"{prefix}:ctl:{slot}"
        self._slot = slot
        self._machine_id = machine_id
        self._region = region
        self._lease = lease_ttl
        # Tells this start of the machine from an earlier one under the same id.
        self._nonce = new_slot_id()
        self.known_code = ""

    def claim(self, mood: Mood) -> Claim:
        """Ask for a job; the one that is held already, if there is one."""
        return _claim(self.wire.run(script("claim"), *self._claim_words(mood)))

    def finish(
        self,
        job: ClaimedJob,
        status: str,
        *,
        outcome: bytes = b"",
        error: str = "",
        kind: str = "",
        output: str = "",
        retry_in: float = 0.0,
        mood: Mood = "stay",
    ) -> tuple[bool, Claim]:
        """Report how a job ended, and take the next one in the same step.

        Args:
            status: `succeeded`, `failed` or `retrying`.
            retry_in: Seconds, with `retrying`.

        Returns:
            Whether the report was accepted (False: somebody else holds the job by
            now, or it was cancelled), and the next claim. Sent twice, it counts once.
        """
        reply = self.wire.run(
            script("finish"),
            self._slot,
            job.id,
            job.fence,
            status,
            outcome,
            error,
            kind,
            output,
            retry_in,
            self._lease,
            self.known_code,
            mood,
            _NEAR,
        )
        verdict, *rest = _array(reply)
        return verdict == b"ok", _claim(rest)

    def heartbeat(self, job: ClaimedJob, progress: str = "") -> bool:
        """Renew the lease; False if the job is no longer ours."""
        words = (self._slot, job.id, job.fence, self._lease, progress)
        reply = self.wire.run(script("heartbeat"), *words, patience=_BEAT_PATIENCE)
        return reply == 1

    def release(
        self,
        job: ClaimedJob,
        *,
        outcome: bytes,
        error: str,
        kind: str,
        charge: bool = False,
    ) -> bool:
        """Hand a job back, no attempt charged, and give the slot back; idempotent.

        Args:
            outcome: Signed failure, for a job that may not run twice.
            error: What it tells, one line.
            kind: As `JobFailed.kind`.
            charge: Count a lost machine; too many of them end the job.

        Returns:
            Whether the job was still ours.
        """
        words = (self._slot, job.id, job.fence, new_slot_id(), int(charge), MAX_LOST)
        reply = self.wire.run(script("release"), *words, outcome, error, kind)
        return reply == 1

    def listen(self) -> int:
        """Wait in the background for a word to this machine; return what to poll.

        One command for the machine's whole life, however long that is.
        """
        if self._bell.fileno() < 0:
            self._bell.connect(_BEAT_PATIENCE)
            self._bell.send(b"BLPOP", self._bell_key, b"0")
        return self._bell.fileno()

    def heard(self) -> str:
        """Return the word: `c`, the job was cancelled; `w`, there is work.

        Listens on. "" if there is none yet: what can be polled may become readable for
        other reasons.

        Raises:
            StoreUnavailable: the connection broke, or Redis does not let us wait any
                longer, as after a failover; `listen` begins anew.
        """
        try:
            if not self._bell.has_reply():
                return ""
            reply = _array(self._bell.receive())
            self._bell.send(b"BLPOP", self._bell_key, b"0")
        except StoreError as error:
            self._bell.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(str(error), reason="refused") from error
        word = reply[1]
        return word.decode() if isinstance(word, bytes) else ""

    def descriptors(self) -> tuple[int, ...]:
        """Return what is open, which is nobody else's business."""
        both = (self.wire.fileno(), self._bell.fileno())
        return tuple(one for one in both if one >= 0)

    def hurry(self) -> None:
        """Wait no longer than two seconds for any answer from now on."""
        self.wire.longest = self._bell.longest = _HURRIED

    def close(self) -> None:
        """Close both connections."""
        self.wire.close()
        self._bell.close()

    def _claim_words(self, mood: Mood) -> tuple[str | float, ...]:
        return (
            self._slot,
            self._machine_id,
            self._region,
            self._lease,
            self.known_code,
            mood,
            self._nonce,
            _NEAR,
        )


def _array(reply: Reply) -> list[Reply]:
    return reply if isinstance(reply, list) else []


def _claim(reply: Reply) -> Claim:
    verdict, *rest = [_bytes(part) for part in _array(reply)]
    if verdict in {b"job", b"interrupted"}:
        return Claim(verdict.decode(), job=_job(rest))
    if verdict == b"idle":
        return Claim("idle", wait=float(rest[0]))
    return Claim(verdict.decode())


def _job(parts: list[bytes]) -> ClaimedJob:
    job_id, fence, attempt, timeout, task, code_hash, code, policy, call, lost = parts
    return ClaimedJob(
        id=job_id.decode(),
        fence=fence.decode(),
        attempt=int(attempt),
        timeout=float(timeout),
        task=task.decode(),
        code_hash=code_hash.decode(),
        code=code,
        policy=policy,
        call=call,
        lost=int(lost),
    )


def _bytes(part: Reply) -> bytes:
    if isinstance(part, bytes):
        return part
    return str(part).encode()
