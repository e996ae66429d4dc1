"""What a machine reports of an attempt: the outcome, what was printed and used."""

from __future__ import annotations

from worker_lib.runtime.ended import Ended
from worker_lib.store.claims import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from worker_lib.calls.codec import Codec
    from worker_lib.runtime.output import Kept
    from worker_lib.store.claims import ClaimedJob

    # Where a piece starts and ends, and the piece.
    SentPiece: TypeAlias = tuple[int, int, bytes]

__all__ = ["Reports"]

_TOO_LARGE = (
    "Redis is full (maxmemory): it refused this outcome of {size_bytes:,} bytes for as "
    "long as the machine could wait; give it more memory, or return less: a key, a "
    "path, an id"
)


class Reports:
    """Makes reports, and seals what the child did not.

    Args:
        codec: Returns what signs; asked for only when something is to be sealed, since
            its import costs a cold start milliseconds.
    """

    def __init__(self, codec: Callable[[], Codec]) -> None:
        self._make_codec = codec
        self._codec: Codec | None = None

    def of(self, job: ClaimedJob, ended: Ended) -> Report:
        """Return the report of an attempt that has ended."""
        if ended.status == "succeeded":
            return self._report("succeeded", job, ended, ended.envelope)
        retry_in = _retry_in(job, ended)
        if retry_in is not None:
            return self._report("retrying", job, ended, retry_in=retry_in)
        outcome = ended.envelope or self._failure(job, ended, _tail(ended))
        return self._report("failed", job, ended, outcome)

    def released(self, job: ClaimedJob, ended: Ended) -> Report:
        """Return the report of a job that is handed back.

        Its outcome counts if the job may not run again.
        """
        outcome = self._failure(job, ended, _tail(ended))
        return self._report("failed", job, ended, outcome)

    def smaller(self, job: ClaimedJob, report: Report) -> Report:
        """Return a report that may fit into a Redis that is full.

        It has no output. A result is replaced by a failure that says why; without an
        outcome, the job would run once more.
        """
        report = report._replace(output=b"")
        if report.status == "retrying":
            return report
        if report.status == "succeeded":
            error = _TOO_LARGE.format(size_bytes=len(report.outcome))
            report = report._replace(status="failed", kind="error", error=error)
        told: Any = report.kind
        ended = Ended("failed", told, report.error, exit_code=report.exit_code)
        return report._replace(outcome=self._failure(job, ended, ""))

    def sent(self, job: ClaimedJob, printed: Kept, position: int) -> SentPiece:
        """Return what a job that runs has printed beyond a position, sealed."""
        from worker_lib.calls.pieces import seal_piece  # noqa: PLC0415 - if followed

        piece = printed.after(position)
        sealed = seal_piece(self._sealer(), piece, job.id, job.fence)
        return piece.start, piece.end, sealed

    def _report(
        self,
        status: str,
        job: ClaimedJob,
        ended: Ended,
        outcome: bytes = b"",
        *,
        retry_in: float = 0.0,
    ) -> Report:
        usage, ran_it = ended.usage, ended.printed is not None
        return Report(
            status,
            outcome,
            ended.error,
            ended.kind or "",
            "" if status == "succeeded" else _tail(ended),
            self._sealed_output(job, ended.printed),
            ended.exit_code,
            usage.peak_kb / 1024 or None,
            usage.cpu_us / 1e6 if ran_it else None,
            retry_in,
            usage.ran or None,
            ended.trace,
        )

    def _sealed_output(self, job: ClaimedJob, printed: Kept | None) -> bytes:
        if not printed:
            return b""
        if printed.is_cut:
            from worker_lib.calls.pieces import seal_piece  # noqa: PLC0415 - rare

            piece = printed.after(0)
            return seal_piece(self._sealer(), piece, job.id, job.fence, is_all=True)
        from worker_lib.calls.codec import OUTPUT  # noqa: PLC0415 - many print nothing

        text, seal = printed.text(), self._sealer().seal
        return seal(text, kind=OUTPUT, job_id=job.id, fence=job.fence)

    def _failure(self, job: ClaimedJob, ended: Ended, tail: str) -> bytes:
        from worker_lib.calls import pickling  # noqa: PLC0415 - only after a crash
        from worker_lib.calls.codec import OUTCOME  # noqa: PLC0415

        failure = pickling.Failure(
            kind=ended.kind or "error",
            message=ended.error,
            remote_traceback=tail,
            exit_code=ended.exit_code,
        )
        body = pickling.dump_failure(failure)
        return self._sealer().seal(body, kind=OUTCOME, job_id=job.id, fence=job.fence)

    def _sealer(self) -> Codec:
        self._codec = self._codec or self._make_codec()
        return self._codec


def _tail(ended: Ended) -> str:
    return ended.printed.tail() if ended.printed else ""


def _retry_in(job: ClaimedJob, ended: Ended) -> float | None:
    """Return the seconds until the next attempt; None if there is none."""
    import json  # noqa: PLC0415 - only after a failure, as the next

    from worker_lib.retry import Retry, has_another_attempt  # noqa: PLC0415

    policy, kind = json.loads(job.policy), ended.kind or ""
    if not has_another_attempt(policy, job.attempt, kind, wanted=ended.retry):
        return None
    retry = Retry(
        max_attempts=policy["max_attempts"],
        backoff=policy["backoff"],
        factor=policy["factor"],
        max_backoff=policy["max_backoff"],
        jitter=policy["jitter"],
    )
    return retry.delay(job.attempt)
