"""What the calling side does with jobs that are stored together, a verb a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.store.keys import new_slot_id, wake_key
from worker_lib.store.replies import batch_of_reply, ended_of
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker_lib.store.connection import Connection
    from worker_lib.store.enqueuer import Enqueuer
    from worker_lib.store.new_job import BatchPart, NewJob
    from worker_lib.store.replies import BatchNews, Ended, Stored
    from worker_lib.store.resp import Packed

__all__ = ["BatchStore"]

# Each takes some tens of microseconds, and nobody else is served meanwhile.
_CANCEL_AT_ONCE = 40


class BatchStore:
    """The verbs for batches.

    Args:
        connection: Runs the scripts.
        namespace: First part of every key.
        enqueuer: Sends calls.
    """

    def __init__(
        self, connection: Connection, namespace: str, enqueuer: Enqueuer
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._enqueuer = enqueuer

    def enqueue(
        self, shared: NewJob, calls: Sequence[bytes], part: BatchPart
    ) -> Stored:
        """Store jobs of a batch in one command, all or none; idempotent.

        Args:
            shared: What all of them have; its id counts for nothing, and its record has
                no call.
            calls: The signed call of each, the first for index `part.start`; no more
                than `limits.BULK_JOBS`, and `limits.BULK_BYTES` in all.
            part: Which of the batch they are.

        Raises:
            StoreUnavailable: nothing is known to be stored.
            StoreError: as with `Store.enqueue`.
        """
        return self._enqueuer.store(shared, calls, part)

    def begin(
        self, shared: NewJob, calls: Packed, part: BatchPart
    ) -> Callable[[], Stored]:
        """Send what `enqueue` sends; return a function that waits for the reply.

        That raises what `enqueue` raises.
        """
        return self._enqueuer.begin(shared, calls, part)

    def close(self, batch_id: str, total: int) -> bool:
        """Note that a batch has all its jobs; False if there is none."""
        done = self._connection.run(script("close_batch"), batch=batch_id, total=total)
        return bool(done)

    def news(
        self,
        batch_id: str,
        position: int = 0,
        *,
        limit: int = 1000,
        waiter: str = "",
        at_least: int = 1,
        forget: bool = False,
    ) -> BatchNews | None:
        """Return a batch and which of its jobs have ended; None if there is none.

        Args:
            position: How many of those that ended are known, in the order of their end.
            limit: Of how many further ones to tell; 0: none.
            waiter: An id for who waits (`new_slot_id`): if fewer than `position` +
                `at_least` have ended, and not all, `wait` wakes once they have.
            at_least: See there.
            forget: Nobody asks again for those before `position`.
        """
        reply = self._connection.run(
            script("batch"),
            batch=batch_id,
            position=position,
            limit=limit,
            waiter=waiter,
            at_least=at_least,
            forget=int(forget),
        )
        return batch_of_reply(batch_id, reply) if reply else None

    def wait(self, waiter: str, timeout: float) -> bool:
        """Block until a waiter that `news` noted is woken; False if late."""
        key = wake_key(self._namespace, waiter)
        return self._connection.block("BLPOP", key, timeout) is not None

    def outcomes(
        self,
        job_ids: Sequence[str],
        *,
        max_bytes: int = 1_000_000,
        forget: bool = False,
    ) -> list[Ended | None]:
        """Return how jobs ended, of the first ones in `max_bytes`: of one at least.

        Args:
            forget: Nobody will ask for them again: those that succeeded are kept ten
                more minutes.
        """
        replies = self._connection.run(
            script("outcomes"), *job_ids, max_bytes=max_bytes, forget=int(forget)
        )
        return [ended_of(reply) for reply in replies]

    def cancel(
        self, batch_id: str, start: int, canceller: str
    ) -> tuple[int, int | None] | None:
        """Cancel jobs of a batch that are not final, a part of it at a time.

        Args:
            start: Index to begin with.
            canceller: An id for who cancels (`new_slot_id`).

        Returns:
            How many this canceller has cancelled of that part, and the index to go on
            with (None: that was all); None if there is no such batch.
        """
        reply = self._connection.run(
            script("cancel_batch"),
            batch=batch_id,
            start=start,
            most=_CANCEL_AT_ONCE,
            canceller=canceller,
        )
        if not reply:
            return None
        cancelled, further = reply
        return cancelled, int(further) if further != b"" else None

    def cancel_waiting(self, job_ids: Sequence[str]) -> list[bool]:
        """End those of some jobs that do not run; say for each whether that was done.

        Some hundred at most, as nobody else is served meanwhile.
        """
        verdicts = self._connection.run(
            script("cancel_waiting"), *job_ids, canceller=new_slot_id()
        )
        return [one == 1 for one in verdicts]
