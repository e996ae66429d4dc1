"""Thousands of short calls, on a few machines: `python examples/fan_out.py`."""

from __future__ import annotations

import itertools
import time

from worker_lib import fly_task

FIRST = 1_000_000


@fly_task(max_machines=4, linger="1s")
def is_prime(number: int) -> bool:
    """Divide by everything; short, so that many calls travel together."""
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def main() -> None:
    """Look at two thousand numbers, then at as many as it takes."""
    print(is_prime.plan(2_000, run="1ms", boot="1s"))
    began = time.monotonic()
    numbers = range(FIRST, FIRST + 2_000)
    primes = sum(is_prime.map(numbers, progress=True))
    took = time.monotonic() - began
    print(f"{primes} primes among {len(numbers)} numbers, in {took:.1f} s")

    # Endless input is read only a little ahead of what is taken out.
    found = is_prime.map(itertools.count(FIRST), window=200)
    first = next(number for number, prime in enumerate(found, FIRST) if prime)
    found.close()
    print(f"the first prime from {FIRST} on is {first}")

    answers = list(is_prime.map([7, "seven", 8], errors="collect"))
    print("errors in their places:", [repr(one)[:9] for one in answers])


if __name__ == "__main__":
    main()
