"""How a caller that waits retries while Redis cannot be reached, within its time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from worker_lib.logs import get_logger
from worker_lib.store.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.errors import StoreUnavailable
    from worker_lib.store.store import Store

__all__ = ["Outage"]

log = get_logger("client")


class Outage:
    """Retries while Redis cannot be reached: a restart, a failover, a network failure.

    Args:
        store: Tells whether Redis has ever answered.
        deadline: Monotonic seconds until when the caller wants to wait; None: no limit.
        sleep: Pauses for so many seconds, or less.
    """

    def __init__(
        self,
        store: Store,
        deadline: float | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._deadline = deadline
        self._sleep = sleep
        self._backoff = Backoff()
        self._told = False

    def pause(self, error: StoreUnavailable) -> None:
        """Wait until it is time to retry; logged once.

        Raises:
            StoreUnavailable: `error`, since waiting does not help (Redis refuses us),
                it may be the wrong address (it never answered), or time is over.
        """
        if error.reason == "refused" or not self._store.reached:
            raise error
        wait = self._backoff.pause()
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise error
            wait = min(wait, left)
        if not self._told:
            log.warning("redis_away", extra={"error": str(error)})
            self._told = True
        self._sleep(wait)

    def is_over(self) -> None:
        """Note that Redis answered."""
        if self._told:
            self._backoff = Backoff()
            self._told = False
