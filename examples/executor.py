"""A program for a pool of processes, on machines: `python examples/executor.py`."""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import dataclass

from worker_lib import FlyExecutor


@dataclass
class Estimate:
    """How many points of a grid lie in a quarter of a circle."""

    side: int
    inside: int

    @property
    def pi(self) -> float:
        """What that makes of pi."""
        return 4 * self.inside / self.side**2


def estimate(side: int) -> Estimate:
    """Look at each point of a square grid; a plain function, no task."""
    inside = sum(x * x + y * y < side * side for x in range(side) for y in range(side))
    return Estimate(side, inside)


def main() -> None:
    """Print estimates as they come, then some in their order."""
    # The line that differs: with ProcessPoolExecutor(max_workers=4) as pool:
    with FlyExecutor(max_workers=4, machine="shared-cpu-2x", memory_mb=512) as pool:
        futures = [pool.submit(estimate, side) for side in (400, 100, 200, 300)]
        for future in as_completed(futures):
            print(f"side {future.result().side}: pi is about {future.result().pi:.4f}")

        for found in pool.map(estimate, range(10, 60, 10), chunksize=2):
            print(f"side {found.side}: {found.inside} points inside")

        broken = pool.submit(estimate, "a circle")  # type: ignore[arg-type]  # to see
        print("an error comes back:", repr(broken.exception()))


if __name__ == "__main__":
    main()
