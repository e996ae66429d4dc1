"""What is reported of an attempt, and what is left of it for a Redis that is full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker_lib.calls import codec, pickling
from worker_lib.calls.codec import Codec
from worker_lib.errors import Crashed, JobFailed
from worker_lib.runtime.ended import Ended
from worker_lib.runtime.output import Kept
from worker_lib.runtime.reports import Reports
from worker_lib.runtime.usage import Usage
from worker_lib.store.claims import ClaimedJob

CODEC = Codec("s" * 32, "shop", max_bytes=1 << 20)
POLICY = {
    "max_attempts": 2,
    "retry_kinds": ["exit"],
    "backoff": 3.0,
    "factor": 2.0,
    "max_backoff": 9.0,
    "jitter": False,
}


def claimed(attempt: int) -> ClaimedJob:
    """Return the job of such an attempt."""
    policy = json.dumps(POLICY).encode()
    job = ("j1", "7", attempt, 5.0, "jobs:add", "", b"", policy, b"", 0)
    return ClaimedJob(*job)


def report_of(
    ended: Ended, *, attempt: int = 2, printed: bytes = b"", usage: Usage | None = None
) -> Any:
    """Return the report of a job's attempt."""
    kept = Kept(1 << 16)
    kept.add(printed)
    known = ended._replace(printed=kept, usage=usage or Usage())
    return Reports(lambda: CODEC).of(claimed(attempt), known)


def raised(outcome: bytes) -> Any:
    """Return what the caller gets."""
    body = CODEC.open(outcome, kind=codec.OUTCOME, job_id="j1", fence="7")
    good, error = pickling.load_outcome(body, "j1")
    assert not good
    return error


def test_an_attempt_is_reported_with_what_it_printed_and_used() -> None:
    """The output sealed for this attempt; the tail only where it failed."""
    ended = Ended("succeeded", envelope=b"sealed")
    usage = Usage(2048, 1_500_000, ran=2.5)
    report = report_of(ended, printed=b"text\n", usage=usage)

    assert ("succeeded", b"sealed", "", 2.0, 1.5, 2.5) == (
        report.status,
        report.outcome,
        report.tail,
        report.peak_mb,
        report.cpu_s,
        report.ran,
    )
    text = CODEC.open(report.output, kind=codec.OUTPUT, job_id="j1", fence="7")
    assert b"text\n" == text


def test_a_job_that_prints_nothing_needs_no_codec() -> None:
    """Its import is left to who needs it."""

    def no_codec() -> Codec:
        raise AssertionError("nothing is to be sealed")

    ended = Ended("succeeded", envelope=b"sealed", printed=Kept(1 << 16))
    assert b"" == Reports(no_codec).of(claimed(1), ended).output


def test_a_crash_is_retried_or_sealed_with_its_last_lines() -> None:
    """As the policy says; a retry has no outcome yet."""
    ended = Ended("failed", "exit", "it ended", exit_code=3)
    first = report_of(ended, attempt=1, printed=b"last\n")
    last = report_of(ended, attempt=2, printed=b"last\n")

    assert ("retrying", b"", 3.0, "last\n") == (
        first.status,
        first.outcome,
        first.retry_in,
        first.tail,
    )
    error = raised(last.outcome)
    assert isinstance(error, Crashed)
    assert (3, "last\n") == (error.exit_code, error.remote_traceback)


@pytest.mark.parametrize(
    ("ended", "kind", "said"),
    [
        (Ended("succeeded", envelope=b"x" * 5000), "error", "outcome of 5,000 bytes"),
        (Ended("failed", "timeout", "too long"), "timeout", "too long"),
    ],
)
def test_a_full_redis_gets_a_small_failure_and_no_output(
    ended: Ended, kind: str, said: str
) -> None:
    """Without any outcome the job would run once more."""
    report = report_of(ended, printed=b"much " * 1000)
    small = Reports(lambda: CODEC).smaller(claimed(2), report)

    assert ("failed", kind, b"") == (small.status, small.kind, small.output)
    error = raised(small.outcome)
    assert isinstance(error, JobFailed)
    assert said in str(error)
    assert len(small.outcome) < 1000


def test_a_retry_is_told_to_a_full_redis_without_its_output() -> None:
    """It has no outcome that could be too large."""
    ended = Ended("failed", "exit", "it ended", exit_code=3)
    report = report_of(ended, attempt=1, printed=b"last\n")

    small = Reports(lambda: CODEC).smaller(claimed(1), report)
    assert report._replace(output=b"") == small
