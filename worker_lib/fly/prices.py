"""What a running machine costs, by Fly's price list.

Source: Fly's price calculator (repository superfly/flyio-price-calc-ex, October 2024),
for the formula and the markups; they agree with the examples in Fly's guide, "Cost
management". Prices change: pass `overrides` to be exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.fly.guest import Guest

__all__ = ["MARKUPS", "usd_per_second"]

_MONTH: Final = 30 * 24 * 3600
_USD_PER_CPU_MONTH: Final = {"shared": 0.695, "performance": 21.0}
_USD_PER_GB_MONTH: Final = 5.0

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

    Traffic and the disk of a stopped machine are not included.

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
