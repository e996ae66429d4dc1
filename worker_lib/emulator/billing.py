"""What the machines would have cost on Fly.

Prices of 2024, in US dollars; `Prices` makes them overridable.
Source: superfly/flyio-price-calc-ex (formula and markups), which matches the
examples of "Cost management"; "Billing": a machine costs while it is `started`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MONTH = 30 * 24 * 3600

MARKUPS: Mapping[str, float] = MappingProxyType(
    {
        "iad": 1.0,
        "ewr": 1.0,
        "ams": 1.038,
        "arn": 1.038,
        "bom": 1.077,
        "yyz": 1.115,
        "lhr": 1.135,
        "cdg": 1.135,
        "fra": 1.154,
        "sjc": 1.192,
        "lax": 1.2,
        "ord": 1.25,
        "dfw": 1.25,
        "sin": 1.269,
        "syd": 1.269,
        "jnb": 1.303,
        "nrt": 1.308,
        "gru": 1.615,
    }
)
"""What a region costs more than the cheapest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dollars a month of 30 days for each part of a guest, and region markups."""

    shared_cpu: float = 0.695
    performance_cpu: float = 21.0
    memory_gb: float = 5.0
    markups: Mapping[str, float] = field(default_factory=lambda: MARKUPS)

    def per_second(self, guest: Mapping[str, Any], region: str) -> float:
        """Dollars for one second of a guest; an unlisted region has no markup."""
        shared = guest["cpu_kind"] == "shared"
        cpu = self.shared_cpu if shared else self.performance_cpu
        monthly = cpu * guest["cpus"] + self.memory_gb * guest["memory_mb"] / 1024
        return float(monthly) / _MONTH * self.markups.get(region, 1.0)


@dataclass(slots=True, kw_only=True)
class _Account:
    app: str
    region: str
    guest: dict[str, Any]
    rate: float
    seconds: float = 0.0
    usd: float = 0.0
    since: float | None = None

    def settle(self, now: float) -> None:
        if self.since is not None:
            self.seconds += now - self.since
            self.usd += (now - self.since) * self.rate
            self.since = now


class BillingMeter:
    """Adds up the seconds that each machine was started, and their price."""

    def __init__(
        self, prices: Prices, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._prices = prices
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def begin(
        self, machine_id: str, *, app: str, region: str, guest: Mapping[str, Any]
    ) -> None:
        """A machine runs from now on, with this guest."""
        rate = self._prices.per_second(guest, region)
        with self._lock:
            account = self._accounts.setdefault(
                machine_id, _Account(app=app, region=region, guest={}, rate=rate)
            )
            account.guest, account.rate = dict(guest), rate
            account.since = self._clock()

    def end(self, machine_id: str) -> None:
        """A machine runs no longer; nothing happens if it did not."""
        with self._lock:
            account = self._accounts.get(machine_id)
            if account is not None:
                account.settle(self._clock())
                account.since = None

    def report(self) -> dict[str, Any]:
        """Every machine's account up to now, and the sums."""
        with self._lock:
            for account in self._accounts.values():
                account.settle(self._clock())
            machines = [
                _line(machine_id, account)
                for machine_id, account in self._accounts.items()
            ]
        return {
            "machines": machines,
            "started_s": sum(line["started_s"] for line in machines),
            "usd": sum(line["usd"] for line in machines),
        }


def _line(machine_id: str, account: _Account) -> dict[str, Any]:
    return {
        "id": machine_id,
        "app": account.app,
        "region": account.region,
        "guest": account.guest,
        "started_s": account.seconds,
        "usd": account.usd,
        "running": account.since is not None,
    }
