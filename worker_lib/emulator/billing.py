"""What the machines would have cost on Fly, at the prices of `worker_lib.fly.prices`.

Source: "Billing": a machine costs while it is `started`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.fly.prices import usd_per_second

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.emulator.state import Machine


@dataclass(slots=True, kw_only=True)
class _Account:
    machine: Machine
    guest: dict[str, Any] = field(default_factory=dict)
    usd_per_second: float = 0.0
    seconds: float = 0.0
    usd: float = 0.0
    since: float | None = None

    def settle(self, now: float) -> None:
        if self.since is not None:
            self.seconds += now - self.since
            self.usd += (now - self.since) * self.usd_per_second
            self.since = now

    def line(self) -> dict[str, Any]:
        machine = self.machine
        return {
            "id": machine.id,
            "app": machine.app,
            "region": machine.region,
            "guest": self.guest,
            "started_s": self.seconds,
            "usd": self.usd,
            "running": self.since is not None,
        }


class BillingMeter:
    """Adds up the seconds that each machine was started, and their price."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def begin(self, machine: Machine) -> None:
        """A machine runs from now on, with the guest of its present config."""
        rate = usd_per_second(machine.guest, machine.region)
        with self._lock:
            account = self._accounts.setdefault(machine.id, _Account(machine=machine))
            account.guest, account.usd_per_second = machine.config["guest"], rate
            account.since = self._clock()

    def end(self, machine_id: str) -> None:
        """A machine runs no longer; nothing happens if it did not run."""
        with self._lock:
            account = self._accounts.get(machine_id)
            if account is not None:
                account.settle(self._clock())
                account.since = None

    def report(self) -> dict[str, Any]:
        """Every machine's account up to now, and the sums; money in US dollars."""
        with self._lock:
            for account in self._accounts.values():
                account.settle(self._clock())
            machines = [account.line() for account in self._accounts.values()]
        return {
            "machines": machines,
            "started_s": sum(line["started_s"] for line in machines),
            "usd": sum(line["usd"] for line in machines),
        }
