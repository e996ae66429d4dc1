"""Many calls at once, on several machines: `python examples/fan_out.py`."""

from __future__ import annotations

import time

from worker_lib import fly_task


@fly_task(max_machines=4)
def count_primes(below: int) -> int:
    """Count the primes below a number, slowly."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))


def main() -> None:
    """Store twenty calls, then print what they give."""
    began = time.monotonic()
    jobs = [count_primes.delay(below) for below in range(1_000, 21_000, 1_000)]
    print(f"{len(jobs)} calls stored in {time.monotonic() - began:.3f} s")

    for job, below in zip(jobs, range(1_000, 21_000, 1_000), strict=True):
        print(f"{job.result():5d} primes below {below}")

    machines = {attempt.machine_id for job in jobs for attempt in job.attempts}
    print(f"done in {time.monotonic() - began:.1f} s on {len(machines)} machines")


if __name__ == "__main__":
    main()
