"""Stores calls: one command for each, or for many, and no more in it than is needed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_lib.errors import JobError, StoreError
from worker_lib.store.first_call import refused_rights, warn_of_eviction
from worker_lib.store.keys import new_slot_id
from worker_lib.store.new_job import BatchPart
from worker_lib.store.replies import Stored
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker_lib.store.connection import Connection
    from worker_lib.store.new_job import NewJob
    from worker_lib.store.resp import Packed
    from worker_lib.store.scripts import Word

__all__ = ["MAX_CANDIDATES", "Enqueuer"]

# Of slots that one command may take.
MAX_CANDIDATES = 20
_MAX_KNOWN = 1000
_SEND_AGAIN_AFTER = 60.0
_NO_BATCH = BatchPart("", 0, 0)


class Enqueuer:
    """Sends calls to Redis, and remembers what need not be sent again.

    Args:
        connection: Runs the script.
        prefix: Of this namespace's keys, for errors.
    """

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._codes_known = _Known()
        self._pools_known = _Known()
        self._checked = False

    def store(
        self,
        job: NewJob,
        calls: Sequence[Word],
        part: BatchPart = _NO_BATCH,
        *,
        job_id: str = "",
    ) -> Stored:
        """Store calls, all or none; idempotent.

        Args:
            job: What all of them have.
            calls: Each signed for its own job.
            part: Which jobs of a batch they are.
            job_id: Of the one job that is of no batch.

        Raises:
            StoreUnavailable: nothing is known to be stored.
            StoreError: the user lacks a right that jobs need; nothing was stored.
            JobError: it runs a job again whose code or pool Redis has forgotten.
        """
        send = partial(self._send, job, calls, part, job_id=job_id, count=len(calls))
        return self._stored(job, send, send(set()))

    def begin(
        self, job: NewJob, calls: Packed, part: BatchPart
    ) -> Callable[[], Stored]:
        """Send calls; return a function that waits for the reply, as `store` does."""
        send = partial(self._send, job, (calls,), part, count=calls.count)
        wait = send(set(), run=self._connection.begin)
        return lambda: self._stored(job, send, wait())

    def _stored(
        self,
        job: NewJob,
        send: Callable[[set[bytes]], Any],
        reply: bytes | list[bytes],
    ) -> Stored:
        """Return what a reply says; send again first what Redis lacks."""
        lacks: set[bytes] = set()
        while not isinstance(reply, bytes):
            verdict, *told = reply
            if verdict == b"rights":
                raise StoreError(refused_rights(told, self._prefix))
            if verdict in lacks:
                job_id = job.retry_of or job.id
                raise JobError(
                    f"job {job_id} cannot be run: Redis no longer has its "
                    f"{verdict.decode()}; call the task again",
                    job_id=job_id,
                )
            lacks.add(verdict)
            reply = send(lacks)
        self._codes_known.add(job.code_hash)
        self._pools_known.add(job.pool_text)
        words: list[Any] = reply.decode().split(" ", 5)
        stored_id, status, next_in, policy, slots, trouble = words
        if not self._checked:
            self._checked = True
            warn_of_eviction(policy)
        taken = tuple(slots.split(",")) if slots else ()
        return Stored(stored_id, status, trouble, float(next_in), taken)

    def _send(
        self,
        job: NewJob,
        calls: Sequence[Word | Packed],
        part: BatchPart,
        lacks: set[bytes],
        *,
        job_id: str = "",
        count: int = 1,
        run: Callable[..., Any] | None = None,
    ) -> Any:
        """Send calls, without what Redis has as far as this process knows.

        Args:
            lacks: What Redis has said that it lacks.
            count: How many calls there are.
            run: Other than the `run` of the connection.
        """
        return (run or self._connection.run)(
            script("enqueue"),
            self._shared(job, lacks),
            *calls,
            job=job_id,
            slots=_new_slots(min(count, MAX_CANDIDATES)),
            batch=part.id,
            start=part.start,
            total="" if part.total is None else part.total,
        )

    def _shared(self, job: NewJob, lacks: set[bytes]) -> Packed:
        """Return what all calls like this one have."""
        code_known = b"code" not in lacks and job.code_hash in self._codes_known
        pool_known = b"pool" not in lacks and job.pool_text in self._pools_known
        if code_known and pool_known and self._checked:
            return job.packed_where_known
        return job.packed(
            with_code=not code_known,
            with_pool=not pool_known,
            check_rights=not self._checked,
        )


def _new_slots(count: int) -> str:
    return ",".join([new_slot_id() for _ in range(count)])


class _Known:
    """What this process takes for stored in Redis: a guess that saves sending it.

    Where it is missing Redis asks for it. It is sent again once a minute all the same:
    somebody may have changed it.
    """

    def __init__(self) -> None:
        self._until: dict[Any, float] = {}

    def __contains__(self, thing: Any) -> bool:
        """Whether it was sent a short while ago."""
        return self._until.get(thing, 0.0) > time.monotonic()

    def add(self, thing: Any) -> None:
        """Note what was sent, or is known to be there."""
        if thing in self:
            return
        if len(self._until) >= _MAX_KNOWN:
            self._until.clear()
        self._until[thing] = time.monotonic() + _SEND_AGAIN_AFTER
