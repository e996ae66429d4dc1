"""How a machine retries a step while Redis is away, and for how long.

Every step is idempotent, so it may be sent again however far it came. How long a
machine goes on trying depends on what would be lost:

- Before Redis has ever answered, nothing: a refusal ends the machine at once (the
  password is wrong), and silence after a minute.
- Later it may hold an outcome: it tries for a quarter of an hour. If Redis refuses it
  by then, a password was changed too early or a failover is half done: a minute is
  enough to correct that, and a machine that started with the old password never gets
  the new one.
- Once it was asked to stop, it has seconds.
"""

from __future__ import annotations

import sys
import time

from worker_lib.errors import StoreUnavailable
from worker_lib.runtime.stop import Stopped
from worker_lib.store.backoff import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from worker_lib.runtime.stop import Stop
    from worker_lib.store.machine import MachineStore

    T = TypeVar("T")

__all__ = ["GRACE_FOR_JOBS", "Outage"]

_FIRST_CONTACT = 60.0
_REFUSED = 60.0
_AWAY = 900.0
# While Redis is full: what is sent again is large, and takes memory from others.
_WHILE_FULL = 5.0
# From the signal on; `stop_config` of our machines gives ten seconds in all.
_GRACE = 2.0
GRACE_FOR_JOBS = 7.0


class Outage:
    """Retries steps that need Redis.

    Args:
        store: Whose connections are closed when a step was cut short.
        stop: Ends all waiting.
        longest: Seconds to go on trying once Redis has answered.
        longest_pause: Seconds between two tries, at most.
    """

    def __init__(
        self,
        store: MachineStore,
        stop: Stop,
        *,
        longest: float = _AWAY,
        longest_pause: float = 10.0,
    ) -> None:
        self._store = store
        self._stop = stop
        self._longest = longest
        self._longest_pause = longest_pause
        self._answered = False
        self._said = ""
        self._began = 0.0
        self._backoff = Backoff()

    def retry(self, step: Callable[[], T], *, grace: float = _GRACE) -> T | None:
        """Return what `step` returns, retried until Redis takes it.

        Args:
            grace: Seconds to go on trying after this machine was asked to stop.

        Returns:
            None if the machine must stop first.

        Raises:
            StoreUnavailable: it was tried long enough, or Redis refuses us.
        """
        while True:
            pause = 0.0
            try:
                done = self._stop.may_interrupt(step)
            except Stopped:
                self._store.close()
            except StoreUnavailable as error:
                pause = self.failed(error)
            else:
                self.answered()
                return done
            if not self.has_time(grace):
                return None
            self._stop.wait(pause)

    def answered(self) -> None:
        """Note that Redis did what it was asked."""
        self._answered, self._said, self._began = True, "", 0.0

    def failed(self, error: StoreUnavailable, *, gives_up: bool = True) -> float:
        """Note that it did not; return the seconds until the next try.

        Args:
            gives_up: Whether a time comes when trying again is pointless.

        Raises:
            StoreUnavailable: it was tried long enough, or Redis refuses us.
        """
        self._say(error)
        now = time.monotonic()
        if not self._began:
            self._began, self._backoff = now, Backoff()
        if gives_up and self._is_hopeless(error, now - self._began):
            self._began = 0.0
            raise error
        pause = self._backoff.pause()
        if error.reason == "full":
            # Redis keeps the memory of a refused command as long as we are connected,
            # and would then refuse to renew the lease.
            self._store.wire.close()
            pause *= _WHILE_FULL
        return min(pause, self._longest_pause)

    def has_time(self, grace: float = GRACE_FOR_JOBS) -> bool:
        """Whether to go on trying, once this machine was asked to stop, too."""
        asked_at = self._stop.asked_at
        if asked_at is None:
            return True
        self._store.hurry()
        # What was never sent cannot have given us a job that must be handed back.
        return self._store.wire.used and time.monotonic() < asked_at + grace

    def _is_hopeless(self, error: StoreUnavailable, lasted: float) -> bool:
        if not self._answered:
            return error.reason == "refused" or lasted > _FIRST_CONTACT
        return lasted > (_REFUSED if error.reason == "refused" else self._longest)

    def _say(self, error: StoreUnavailable) -> None:
        text = str(error)
        if text != self._said:
            self._said = text
            print(f"worker_lib: redis is away: {text}", file=sys.stderr, flush=True)
