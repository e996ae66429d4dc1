"""Whether a machine slows down where 100,000 jobs wait, or 1,000 pools have jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .libraries import Caller

__all__ = ["crowds"]


def crowds(
    caller: Caller,
    flush: Callable[[], None],
    *,
    rounds: int,
    jobs: int,
    scale: float,
) -> list[Figure]:
    """Have a machine drain a few jobs, alone and in front of a crowd, in turn.

    Args:
        caller: Of this library.
        flush: Empties its database, before each time.
        rounds: How often, each time with another one first.
        jobs: How many are timed.
        scale: 1 for the whole crowd, less for a part of it.
    """
    kinds = {
        "alone": {"behind": 0, "pools": 0},
        "with 100,000 waiting": {"behind": round(100_000 * scale), "pools": 0},
        "with 1,000 other pools": {"behind": 0, "pools": round(1000 * scale)},
    }
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        first = number % len(kinds)
        for kind, crowd in [*kinds.items()][first:] + [*kinds.items()][:first]:
            flush()
            caller.ask("start", workers=1)
            rate = caller.ask("own", name="drained_among", jobs=jobs, **crowd)
            rates[kind].append(rate)
            caller.ask("stop")
    return [
        Figure(
            name=f"drained by 1 worker {kind}",
            unit="/s",
            samples=rates[kind],
            limit="alone",
            limits=rates["alone"],
        )
        for kind in list(kinds)[1:]
    ]
