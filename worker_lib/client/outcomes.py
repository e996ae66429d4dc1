"""What a job's outcome means to who waited for it: a value, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.calls import codec, pickling
from worker_lib.errors import JobCancelled, JobError, JobExpired, ResultExpired

if TYPE_CHECKING:
    from worker_lib.calls.codec import Codec
    from worker_lib.store.replies import Outcome

__all__ = ["load"]


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
