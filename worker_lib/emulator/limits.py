"""Fly's rate limits: a token bucket for each action and identifier.

Source: "Working with the Machines API", "Rate limits": one request a second with
bursts of three for each action and identifier, Get Machine five a second with
bursts of ten, app deletions a hundred a minute. Body and `Retry-After` of a 429
are not documented; here they are JSON and whole seconds.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib.emulator.messages import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

_PRUNE_ABOVE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests a second, and how many may come at once."""

    per_second: float
    burst: int


_DEFAULT = Rate(per_second=1.0, burst=3)
_RATES = {
    "get": Rate(per_second=5.0, burst=10),
    "app_delete": Rate(per_second=100 / 60, burst=100),
}


@dataclass(slots=True, kw_only=True)
class _Bucket:
    level: float
    seen: float


class RateLimiter:
    """Counts requests; refuses those above Fly's allowance."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, action: str, identifier: str) -> None:
        """Count one request.

        Raises:
            ApiError: 429 with the seconds until the next may come; not counted.
        """
        rate = _RATES.get(action, _DEFAULT)
        with self._lock:
            bucket = self._refilled(action, identifier, rate)
            if bucket.level >= 1:
                bucket.level -= 1
                return
            missing = (1 - bucket.level) / rate.per_second
        raise ApiError(
            429,
            f"rate limit exceeded for {action} on {identifier}",
            retry_after=float(math.ceil(missing)),
        )

    def _refilled(self, action: str, identifier: str, rate: Rate) -> _Bucket:
        now = self._clock()
        if len(self._buckets) > _PRUNE_ABOVE:
            self._prune(now)
        bucket = self._buckets.setdefault(
            (action, identifier), _Bucket(level=float(rate.burst), seen=now)
        )
        gained = (now - bucket.seen) * rate.per_second
        bucket.level = min(float(rate.burst), bucket.level + gained)
        bucket.seen = now
        return bucket

    def _prune(self, now: float) -> None:
        """Forget buckets that are surely full again."""
        full_after = max(
            rate.burst / rate.per_second for rate in (_DEFAULT, *_RATES.values())
        )
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if now - bucket.seen < full_after
        }
