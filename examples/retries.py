"""A call that is retried, and one that gives up: `python examples/retries.py`."""

from __future__ import annotations

from worker_lib import JobFailed, Retry, current_job, fly_task


@fly_task(retry=Retry(max_attempts=5, backoff="200ms", on=(ConnectionError,)))
def fetch(succeeds_at: int) -> str:
    """Fail as a network does, until the given attempt."""
    attempt = current_job().attempt
    if attempt < succeeds_at:
        raise ConnectionError(f"no answer to attempt {attempt}")
    return f"answered attempt {attempt}"


def main() -> None:
    """Show a call that succeeds at last, and one that does not."""
    job = fetch.delay(3)
    print(job.result())
    for attempt in job.attempts:
        print(f"  attempt {attempt.number}: {attempt.outcome} {attempt.error}")

    try:
        fetch.remote(99)
    except ConnectionError as error:
        print(f"gave up: {error}")
        cause = error.__cause__
        print(f"  it was raised on a machine: {isinstance(cause, JobFailed)}")


if __name__ == "__main__":
    main()
