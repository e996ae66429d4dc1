"""The lives of machines, from their creation to their end, with what they cost.

They are read from the Machines API, which forgets a machine some time after its end:
lives that are over are kept in this process. A page without them is still a page, so
nothing here fails, and after a failure the API is left alone for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib.client.inspection import find_machine
from worker_lib.errors import ConfigError, WorkerLibError
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import usd_per_second

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.machines.types import Machine

__all__ = ["Life", "Lives"]

log = logging.getLogger("demo.lives")

_KEPT = 500
_PAUSE_SECONDS = 30.0
_MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is known of a machine; by default, that it is gone.

    Times are seconds since 1970 by Fly's clock.

    Attributes:
        guest: Its size, such as `shared-cpu-1x@512mb`; "" if it is not known.
        created_at: None if it is not known; so are the next two.
        started_at: Since when it is billed.
        ended_at: Until when; None while it is up.
        usd_per_second: While it is up; 0.0 if its size is not known.
        gone: Whether it has ended, with or without a known time.
    """

    guest: str = ""
    region: str = ""
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    usd_per_second: float = 0.0
    gone: bool = True

    @classmethod
    def of(cls, machine: Machine) -> Life:
        """Read the life of a machine that had one start, as ours have."""
        guest = _guest(machine)
        told = machine.exit_event and machine.exit_event.exited_at
        ended = told or _moment(machine, "exit") or _moment(machine, "destroy")
        return cls(
            guest=str(guest or ""),
            region=machine.region,
            created_at=_moment(machine, "launch"),
            started_at=_moment(machine, "start"),
            ended_at=ended,
            usd_per_second=usd_per_second(guest, machine.region) if guest else 0.0,
            gone=ended is not None or machine.is_gone,
        )

    @property
    def up_s(self) -> float | None:
        """Seconds that are billed; None if they are not known, or not yet."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.started_at)

    @property
    def usd(self) -> float | None:
        """What it cost, by Fly's prices; None if that is not known, or not yet."""
        if self.up_s is None or not self.usd_per_second:
            return None
        return self.up_s * self.usd_per_second


class Lives:
    """Looks lives up, and remembers those that are over.

    Args:
        find: Asks the Machines API.
        clock: For the pause after a failure.
    """

    def __init__(
        self,
        find: Callable[..., Machine | None] = find_machine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._over: OrderedDict[str, Life] = OrderedDict()
        self._paused_until = 0.0

    def find(self, machine_id: str, *, gone_within: float = 0.0) -> Life | None:
        """Return a machine's life; None if the API cannot be asked.

        A machine that the API does not have is gone.

        Args:
            gone_within: Seconds to wait for its end first.
        """
        with self._lock:
            known = self._over.get(machine_id)
            if known or self._clock() < self._paused_until:
                return known
        try:
            machine = self._find(machine_id, gone_within=gone_within)
        except WorkerLibError as error:
            log.warning("machine_unknown: %s", error)
            with self._lock:
                self._paused_until = self._clock() + _PAUSE_SECONDS
            return None
        return self._remember(Life.of(machine), machine_id) if machine else Life()

    def _remember(self, life: Life, machine_id: str) -> Life:
        if life.ended_at is not None:
            with self._lock:
                self._over[machine_id] = life
                if len(self._over) > _KEPT:
                    self._over.popitem(last=False)
        return life


def _guest(machine: Machine) -> Guest | None:
    given = machine.config.get("guest") or {}
    try:
        return Guest(given["cpu_kind"], given["cpus"], given["memory_mb"])
    except (ConfigError, KeyError, TypeError):
        return None


def _moment(machine: Machine, kind: str) -> float | None:
    """Return when the earliest event of this kind happened."""
    times = [event.timestamp / _MS for event in machine.events if event.type == kind]
    return min(times, default=None)
