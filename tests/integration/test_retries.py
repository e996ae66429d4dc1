"""When an attempt is followed by another, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest

from worker_lib import JobFailed, Retry

if TYPE_CHECKING:
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client


def quick(max_attempts: int, **policy: object) -> Retry:
    """Return a policy whose waits are short."""
    return Retry(max_attempts=max_attempts, backoff="50ms", **policy)  # type: ignore[arg-type]  # forwarded


def test_a_task_that_succeeds_at_last_has_succeeded(
    client: Client, tmp_path: Path
) -> None:
    """Two failures and a success are three attempts, each with its own outcome."""
    job = jobs.succeeds_at_last.delay(str(tmp_path / "tries"), 3)

    assert 3 == job.result(timeout=20)
    assert [(1, "error"), (2, "error"), (3, "succeeded")] == [
        (one.number, one.outcome) for one in job.attempts
    ]
    assert ["OSError: try 1", "OSError: try 2", ""] == [
        one.error for one in job.attempts
    ]


def test_the_attempts_tell_when_and_where(client: Client, tmp_path: Path) -> None:
    """Each has its times in order, and the machine; a near retry keeps its machine."""
    job = jobs.succeeds_at_last.delay(str(tmp_path / "tries"), 2)
    job.result(timeout=20)

    first, second = job.attempts
    assert first.ended_at
    assert second.ended_at
    moments = [first.started_at, first.ended_at, second.started_at, second.ended_at]
    assert sorted(moments) == moments
    assert first.machine_id == second.machine_id != ""
    assert first.boot_s is not None
    assert second.boot_s is None


def test_max_attempts_counts_the_first_run(client: Client, ledger: Ledger) -> None:
    """Two attempts are one retry; the last error is what the caller gets."""
    job = jobs.succeeds_at_last.options(retry=quick(2)).delay(str(ledger), 5)

    with pytest.raises(OSError, match="try 2"):
        job.result(timeout=20)
    assert 2 == len(ledger.path.read_text().splitlines())
    assert (2, 2) == (job.info().attempt, job.info().max_attempts)


def test_what_is_not_named_is_not_retried(client: Client) -> None:
    """`on` lists what is retried; another exception fails at once."""
    job = jobs.boom.options(retry=quick(3, on=(OSError,))).delay("no")

    with pytest.raises(ValueError, match="no"):
        job.result(timeout=20)
    assert 1 == len(job.attempts)


def test_never_beats_on(client: Client) -> None:
    """What is named in `never` fails at once, though `on` would take it."""
    policy = quick(3, on=(Exception,), never=(ValueError,))
    job = jobs.boom.options(retry=policy).delay("no")

    with pytest.raises(ValueError, match="no"):
        job.result(timeout=20)
    assert 1 == len(job.attempts)


@pytest.mark.parametrize("how", ["exit", "signal", "timeout"])
def test_crashes_are_retried_like_errors(
    client: Client, ledger: Ledger, how: str
) -> None:
    """By default a policy covers deaths without an exception, too."""
    task = jobs.dies_once.options(retry=quick(2), timeout="1s")
    job = task.delay(str(ledger), how)

    assert 2 == job.result(timeout=20)
    assert [how, "succeeded"] == [one.outcome for one in job.attempts]


def test_naming_timeouterror_asks_for_another_try_after_the_timeout(
    client: Client, ledger: Ledger
) -> None:
    """A death counts as the class that a reader would name for it."""
    policy = quick(2, on=(TimeoutError,))
    job = jobs.dies_once.options(retry=policy, timeout="1s").delay(
        str(ledger), "timeout"
    )

    assert 2 == job.result(timeout=20)


def test_a_policy_for_ioerror_does_not_retry_a_timeout(
    client: Client, ledger: Ledger
) -> None:
    """TimeoutError is an OSError in Python; who names IOError has not meant that."""
    policy = quick(2, on=(IOError,))
    job = jobs.dies_once.options(retry=policy, timeout="1s").delay(
        str(ledger), "timeout"
    )

    with pytest.raises(JobFailed) as caught:
        job.result(timeout=20)
    assert ("timeout", 1) == (caught.value.kind, len(ledger.starts))


def test_a_far_retry_is_waited_for_without_a_machine(
    client: Client, tmp_path: Path
) -> None:
    """Until then the job is `retrying`, says when it goes on, and nothing runs."""
    from waiting import until

    policy = Retry(max_attempts=2, backoff="6s", jitter=False, on=(OSError,))
    task = jobs.succeeds_at_last.options(retry=policy)
    job = task.delay(str(tmp_path / "tries"), 2)
    until(lambda: job.status == "retrying")

    due = job.info().due_at
    ended = job.attempts[0].ended_at
    assert due
    assert ended
    assert 6.0 == pytest.approx(due - ended, abs=0.1)
    assert 2 == job.result(timeout=25)
    assert 2 == len({one.machine_id for one in job.attempts})
