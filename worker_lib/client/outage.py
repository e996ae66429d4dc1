"""What a caller who waits does while Redis is away: ask again, within its time."""

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
    """Sits out that Redis is away: a restart, a failover, a network that is down.

    Args:
        store: Tells whether Redis has ever answered.
        deadline: Monotonic seconds until when the caller wants to wait; None for ever.
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

    def sit_out(self, error: StoreUnavailable) -> None:
        """Wait until it is time to ask again; told in the log once.

        Raises:
            StoreUnavailable: `error`, since waiting does not help (Redis refuses us),
                it may be the wrong address (it never answered), or time is over.
        """
        if error.reason == "refused" or not self._store.reached:
            raise error
        pause = self._backoff.pause()
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise error
            pause = min(pause, left)
        if not self._told:
            log.warning("redis_away", extra={"error": str(error)})
            self._told = True
        self._sleep(pause)

    def is_over(self) -> None:
        """Note that Redis answered."""
        self._backoff = Backoff()
        self._told = False
