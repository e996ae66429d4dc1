"""What the shop's owner reads."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from worker_lib import current_job, fly_task


@fly_task(queue="reports", machine="performance-1x", max_machines=1, timeout="1h")
def monthly_report(month: str, gate: str, pause: float = 0.25) -> dict[str, Any]:
    """Print and report progress, line by line, until the file `gate` is there."""
    job, number = current_job(), 0
    print(f"report of {month}: reading orders", file=sys.stderr, flush=True)
    while not Path(gate).exists():
        number += 1
        done = number % 400
        print(f"order {10_000 + number}: 3 items, 41.70 EUR", flush=True)
        job.progress(done, 400, f"order {10_000 + number}")
        time.sleep(pause)
    print(f"report of {month}: {number} orders", flush=True)
    return {"month": month, "orders": number}


@fly_task(queue="reports", linger="5s", max_machines=1)
def count_stock(shelf: int) -> int:
    """Return how many things lie on a shelf; one shelf is missing."""
    if shelf == 13:
        raise KeyError("shelf 13")
    print(f"shelf {shelf} counted")
    return shelf * 7


@fly_task(queue="reports")
def clean_up(days: int) -> int:
    """Return how many old files were removed."""
    return days
