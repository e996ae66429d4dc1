"""What Redis has of a job means to who waits for it: a value, an error, nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.calls import codec, pickling
from worker_lib.errors import (
    JobCancelled,
    JobError,
    JobExpired,
    JobLost,
    JobNotFound,
    ResultExpired,
)
from worker_lib.store.replies import Outcome
from worker_lib.trouble import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.calls.codec import Codec
    from worker_lib.store.replies import Seen

__all__ = ["Judge", "load"]


class Judge:
    """Says what Redis has of a job to who waits for it.

    Args:
        namespace: Of the client.
        folder: Returns that of the project whose local stack this is; "" if it is none.
        who: The fingerprint of the token that asks for machines.
    """

    def __init__(self, namespace: str, folder: Callable[[], str], who: str) -> None:
        self._namespace = namespace
        self._folder = folder
        self._who = who

    def not_found(self, job_id: str) -> JobNotFound:
        """Return the error to raise for a job that there is not."""
        folder = self._folder()
        stack = f" of the local stack of {folder}" if folder else ""
        return JobNotFound(
            f"there is no job {job_id} in namespace {self._namespace!r}{stack}"
            ": it was never stored here, or ended longer ago than its result_ttl",
            job_id=job_id,
        )

    def outcome(self, job_id: str, seen: Seen | None, known: bool) -> Outcome | None:
        """Return the outcome of a job that has ended; None if it goes on.

        Args:
            job_id: The job.
            seen: What Redis has of it.
            known: It was stored; if Redis has none, it was lost.

        Raises:
            JobNotFound: Redis has none; `JobLost` if it was there before.
            MachineError: it waits for a machine that only a person can bring.
        """
        if seen is None:
            if known:
                raise JobLost(
                    f"job {job_id} was stored and Redis no longer has it: its data "
                    "was lost or evicted; check its persistence and maxmemory-policy",
                    job_id=job_id,
                )
            raise self.not_found(job_id)
        if seen.info.final:
            return seen.outcome or Outcome("expired_result", "", b"")
        if seen.pool_lost:
            raise JobLost(
                f"job {job_id} waits, and Redis no longer has what its machines are to "
                "be: that was lost or evicted; call the task again, and check Redis's "
                "persistence and maxmemory-policy",
                job_id=job_id,
            )
        if seen.trouble and seen.info.status in {"queued", "retrying"}:
            error = rebuild(seen.trouble, self._who)
            if error is not None:
                raise error
        return None


def load(codec_: Codec, job_id: str, outcome: Outcome) -> tuple[bool, Any]:
    """Return (True, value), or (False, the exception to raise).

    Args:
        codec_: Verifies what a machine has signed.
        job_id: Whose outcome it is.
        outcome: As it stands in Redis.

    Raises:
        JobError: there is nothing to load: it was cancelled, expired, or forgotten.
        PayloadError: it was not signed for this job and attempt, or cannot be loaded.
    """
    if outcome.status == "cancelled":
        raise JobCancelled(f"job {job_id} was cancelled", job_id=job_id)
    if outcome.status == "expired":
        raise JobExpired(
            f"job {job_id} expired: it waited for a machine longer than "
            "expires= or WORKER_LIB_PENDING_TTL allow; Job.info().trouble and "
            "worker-lib doctor tell why there was none",
            job_id=job_id,
        )
    if outcome.status == "expired_result":
        raise ResultExpired(
            f"job {job_id} ended, but its outcome was kept no longer than its "
            "result_ttl: raise result_ttl to keep it longer",
            job_id=job_id,
        )
    if not outcome.envelope:
        raise JobError(f"job {job_id} is {outcome.status}", job_id=job_id)
    body = codec_.open(
        outcome.envelope, kind=codec.OUTCOME, job_id=job_id, fence=outcome.fence
    )
    return pickling.load_outcome(body, job_id)
