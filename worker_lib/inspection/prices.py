"""What machine time costs, from what Redis knows of machines: a size and a region."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import usd_per_second

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["price", "priced"]


@lru_cache(maxsize=512)
def price(size: str, region: str) -> float:
    """Return what a second of such a machine costs, in US dollars.

    0 for a size that is unknown, as of machines of an earlier release. A region that
    is not on the price list, as that of a local machine, costs as much as the most
    expensive one.
    """
    try:
        guest = Guest.parse(size)
    except ConfigError:
        return 0.0
    return usd_per_second(guest, region)


def priced(milliseconds: Mapping[tuple[str, ...], int]) -> float:
    """Return what time costs that is told by size and region, the last two names."""
    return sum(
        price(*names[-2:]) * number / 1000 for names, number in milliseconds.items()
    )
