"""What a running machine costs, by Fly's price list.

Source: Fly's price calculator (repository superfly/flyio-price-calc-ex, October 2024),
for the formula and the markups; they agree with the examples in Fly's guide, "Cost
management". Prices change: pass `overrides` to be exact.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.regions import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CHEAPEST",
    "MARKUPS",
    "USD_PER_COMMAND",
    "USD_PER_PARKED_GB",
    "affordable",
    "price",
    "usd_per_second",
]

_MONTH: Final = 30 * 24 * 3600
_USD_PER_CPU_MONTH: Final = {"shared": 0.695, "performance": 21.0}
_USD_PER_GB_MONTH: Final = 5.0
_HOUR: Final = 3600
CHEAPEST: Final = "iad"
"""The region that all markups relate to; none is cheaper."""
USD_PER_COMMAND: Final = 0.2 / 100_000
"""What one command costs on Fly's Redis.

Source: "Upstash for Redis", pay as you go: $0.20 for 100,000 commands.
"""

USD_PER_PARKED_GB: Final = 0.15 / _MONTH
"""What a second of a stopped or suspended machine costs, for each GB of its image.

Source: "Fly.io Resource Pricing", stopped machines: $0.15 for a GB and 30 days;
"Machine Suspend and Resume", "Billing": suspended ones cost the same.
"""

MARKUPS: Final[Mapping[str, float]] = {
    "ams": 1.038,
    "arn": 1.038,
    "bom": 1.077,
    "cdg": 1.135,
    "dfw": 1.25,
    "ewr": 1.0,
    "fra": 1.154,
    "gru": 1.615,
    "iad": 1.0,
    "jnb": 1.303,
    "lax": 1.2,
    "lhr": 1.135,
    "nrt": 1.308,
    "ord": 1.25,
    "sin": 1.269,
    "sjc": 1.192,
    "syd": 1.269,
    "yyz": 1.115,
}
"""Price of each region, as a multiple of the price in `iad`."""


def usd_per_second(
    guest: Guest, region: str, *, overrides: Mapping[str, float] | None = None
) -> float:
    """Return what one second in state `started` costs, in US dollars.

    Traffic and the disk of a parked machine (`USD_PER_PARKED_GB`) are not included.

    Args:
        guest: The machine's size.
        region: Where it runs. A region that is not in the table costs as much as the
            most expensive one, so that an estimate is not too low.
        overrides: Markups by region, used instead of the table's.
    """
    markups = {**MARKUPS, **(overrides or {})}
    cpus = guest.cpus * _USD_PER_CPU_MONTH[guest.cpu_kind]
    memory = guest.memory_mb / 1024 * _USD_PER_GB_MONTH
    markup = markups.get(region, max(markups.values()))
    return (cpus + memory) / _MONTH * markup


@lru_cache(maxsize=512)
def price(size: str, region: str) -> float:
    """Return what a second of such a machine costs, in US dollars.

    0 for a size that is unknown, as of machines of an earlier release.

    Args:
        size: As Redis has it, `shared-cpu-1x@256mb`.
        region: As `usd_per_second` takes it.
    """
    try:
        guest = Guest.parse(size)
    except ConfigError:
        return 0.0
    return usd_per_second(guest, region)


def affordable(guest: Guest, regions: Sequence[str], usd_an_hour: float) -> int:
    """Return how many such machines may run at once for this price.

    Args:
        guest: The machine's size.
        regions: Any of which Fly may choose, or aliases of several; the most expensive
            one counts. None: any at all.
        usd_an_hour: US dollars for all of them together.

    Raises:
        ConfigError: one machine costs more.
    """
    codes = [code for word in regions for code in expand(word) or [word]] or [""]
    price = _HOUR * max(usd_per_second(guest, code) for code in codes)
    count = math.floor(usd_an_hour / price + 1e-9)
    if count < 1:
        where = ", ".join(regions) or "the most expensive region"
        raise ConfigError(
            f"max_hourly_cost={usd_an_hour:g}: one {guest} costs ${price:.4f} an hour "
            f"in {where}: allow more, or choose a smaller machine"
        )
    return count
