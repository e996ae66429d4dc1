"""What machine time costs, from what Redis knows of machines: a size and a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.fly.prices import price

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["price", "priced"]


def priced(milliseconds: Mapping[tuple[str, ...], int]) -> float:
    """Return what time costs that is told by size and region, the last two names."""
    return sum(
        price(*names[-2:]) * number / 1000 for names, number in milliseconds.items()
    )
