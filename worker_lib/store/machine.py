"""What a machine does with Redis, a verb a method."""

from __future__ import annotations

from worker_lib.errors import StoreError, StoreUnavailable
from worker_lib.store.claims import (
    Word,
    array,
    claim_of,
    entries,
    finished,
    report_words,
    told_of,
    word_of,
)
from worker_lib.store.keys import control_key, key_prefix, new_slot_id
from worker_lib.store.limits import MAX_LOST
from worker_lib.store.scripts import forget_parts, script
from worker_lib.store.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from worker_lib.store.claims import (
        Claim,
        ClaimedJob,
        Finished,
        Intent,
        Report,
    )


__all__ = ["MachineStore"]

# Meanwhile nobody looks at the job's timeout, so a frozen Redis must not hold up long.
_BEAT_PATIENCE = 2.0
_HURRIED = 2.0
# A retry that is due so soon is waited for: a machine costs less than a boot.
_NEAR = 5.0


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
            holds=entries(holds),
            park_most=self._parking[0],
            park_for=self._parking[1],
        )
        return claim_of(array(reply))

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
        words = report_words(reports)
        named = self._finish_named(intent, want, holds, back)
        return finished(self.wire.run(script("finish"), *words, **named))

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
        words = report_words(reports)
        named = self._finish_named(intent, want, holds, back)
        self.wire.begin(script("finish"), *words, **named)

    def end_finish(self) -> Finished:
        """Return the answer to `begin_finish`; waits for it if need be."""
        return finished(self.wire.end())

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
        told = told_of(report)
        reply = self.wire.run(
            script("release"),
            *told,
            slot=self._slot,
            job=job.id if job else "",
            fence=job.fence if job else "",
            back=entries(back),
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
            reply = array(self._channel.receive())
        except StoreError as error:
            self._listens_on = -1
            self._channel.close()
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(str(error), reason="refused") from error
        return word_of(reply[1])

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
            "holds": entries(holds),
            "back": entries(back),
        }
