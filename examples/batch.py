"""Calls that are stored together and looked at later: `python examples/batch.py`."""

from __future__ import annotations

import time

from worker_lib import Batch, fly_task


@fly_task(max_machines=2, linger="1s")
def invoice(customer: int, amount: float) -> str:
    """Pretend to make an invoice; one of the customers has no address."""
    time.sleep(0.01)
    if customer == 13:
        raise LookupError(f"customer {customer} has no address")
    return f"invoice for customer {customer}: {amount:.2f}"


def main() -> None:
    """Store two hundred calls at once, and read them as another process would."""
    began = time.monotonic()
    batch = invoice.delay_many([(number, number * 1.5) for number in range(200)])
    print(f"{len(batch)} calls stored in {time.monotonic() - began:.3f} s")

    # All that another process needs is the id.
    same = Batch.get(batch.id)
    while not same.wait(0.5):
        print(f"  {same.counts['succeeded']} of {len(same)} are done")
    values = list(same.results(errors="collect"))
    print("the last:", values[-1])
    print("the one that failed:", repr(values[13]))

    again = same.retry_failed()
    again.wait()
    print(f"run again, {again.counts['failed']} of {len(again)} failed")


if __name__ == "__main__":
    main()
