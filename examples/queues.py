"""Queues, priorities, keys and tags: `python examples/queues.py`."""

from __future__ import annotations

import secrets
import time

from worker_lib import Queue, fly_task, jobs

MAILS = Queue("mails")


@fly_task(queue="mails", max_machines=1, linger="2s")
def send(to: str) -> str:
    """Pretend to send a mail; say when it went out."""
    print(f"sending to {to}")
    return f"{time.time():.3f} {to}"


def main() -> None:
    """Line up mails while their queue is paused, change the line, and let them go."""
    run = secrets.token_hex(4)
    MAILS.pause()
    try:
        tagged = send.options(tags={"run": run})
        readers = [tagged.delay(f"reader {number}") for number in range(3)]
        urgent = tagged.options(priority=10).delay("the boss")
        once = send.options(tags={"run": run}, key=f"welcome-{run}")
        welcome = once.delay("someone new")
        print("sent twice, stored once:", once.delay("someone new") == welcome)

        readers[2].edit(first=True)
        readers[0].edit(args=["another reader"])
        readers[1].delete()
        for info in jobs(tag=f"run={run}"):
            print(f"  {info.status} in {info.queue}, priority {info.priority}")
    finally:
        MAILS.resume()

    for line in sorted(
        job.result() for job in (readers[0], readers[2], urgent, welcome)
    ):
        print(line)
    print("the boss's job printed:", urgent.logs().strip())


if __name__ == "__main__":
    main()
