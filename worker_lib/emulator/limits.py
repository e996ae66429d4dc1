"""Fly's rate limits: a token bucket for each action and identifier.

Source: "Working with the Machines API", "Rate limits": one request a second with bursts
of three for each action and identifier; Get Machine five a second with bursts of ten;
app deletions a hundred a minute. Body and `Retry-After` of a 429 are not documented;
here they are JSON and whole seconds.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.emulator.messages import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

_PRUNE_ABOVE = 4096


class Rate(NamedTuple):
    """Requests a second, and how many may come at once."""

    per_second: float
    burst: int


_DEFAULT = Rate(1.0, 3)
_RATES = {"get": Rate(5.0, 10), "app_delete": Rate(100 / 60, 100)}
_FULL_AFTER = max(rate.burst / rate.per_second for rate in (_DEFAULT, *_RATES.values()))


class RateLimiter:
    """Counts requests, and refuses those above Fly's limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Requests left, and when that was; by action and identifier.
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, action: str, identifier: str) -> None:
        """Count one request.

        Raises:
            ApiError: 429 with the seconds until the next one may come; not counted.
        """
        rate, key = _RATES.get(action, _DEFAULT), (action, identifier)
        with self._lock:
            now = self._clock()
            if len(self._buckets) > _PRUNE_ABOVE:
                self._prune(now)
            level, seen = self._buckets.get(key, (float(rate.burst), now))
            level = min(float(rate.burst), level + (now - seen) * rate.per_second)
            is_allowed = level >= 1
            self._buckets[key] = (level - 1 if is_allowed else level, now)
        if not is_allowed:
            raise ApiError(
                429,
                f"rate limit exceeded for {action} on {identifier}",
                retry_after=float(math.ceil((1 - level) / rate.per_second)),
            )

    def _prune(self, now: float) -> None:
        """Forget buckets that are full again."""
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if now - bucket[1] < _FULL_AFTER
        }
