"""Watch a job as it goes, then cancel another: `python examples/progress.py`."""

from __future__ import annotations

import time

from worker_lib import JobCancelled, current_job, fly_task


@fly_task
def simmer(steps: int) -> str:
    """Take half a second a step, and tell how far it is."""
    for step in range(1, steps + 1):
        time.sleep(0.5)
        current_job().progress(step, steps, f"step {step} of {steps}")
    return "done"


def main() -> None:
    """Watch one job to its end, cancel another."""
    job = simmer.delay(4)
    for info in job.watch():
        print(info.status, info.progress.message if info.progress else "")
    print(job.result())

    endless = simmer.delay(1_000)
    while endless.status != "running":
        time.sleep(0.05)
    print("cancelled:", endless.cancel())
    try:
        endless.result()
    except JobCancelled as error:
        print(error)


if __name__ == "__main__":
    main()
