"""What a machine does while Redis is away: send its step again, as long as that helps.

Every step is idempotent, so it does not matter how far one came that was cut short.
How long a machine insists depends on what would be lost. It has nothing to lose before
Redis has ever answered: then a refusal ends it at once (the password is wrong), and
silence after a minute. Later it may hold an outcome: it insists for a quarter of an
hour. A refusal by then may be a password that was changed too early, or a failover
that is half done: a minute is enough to put that right; a machine that started with
the old password never has the new one. Once it was asked to stop it has seconds.
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
# What is sent again while Redis is full is large, and takes room from others.
_WHILE_FULL = 5.0
# From the signal on; `stop_config` of our machines gives ten seconds in all.
_GRACE = 2.0
GRACE_FOR_JOBS = 7.0


class Outage:
    """Sees steps through that need Redis.

    Args:
        store: Whose connections are closed when a step was cut short.
        stop: Ends all waiting.
        longest: Seconds to insist once Redis has answered.
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

    def ride_out(
        self,
        step: Callable[[], T],
        *,
        grace: float = _GRACE,
        meanwhile: Callable[[], bool] | None = None,
    ) -> T | None:
        """Return what `step` returns, as soon as Redis lets it.

        Args:
            grace: Seconds to insist after this machine was asked to stop.
            meanwhile: Called between tries; False if the step has lost its point.

        Returns:
            None if the machine must stop first, or the step has lost its point.

        Raises:
            StoreUnavailable: it was tried long enough, or Redis refuses us.
        """
        began, backoff, slower = time.monotonic(), Backoff(), 1.0
        while True:
            try:
                done = self._stop.may_interrupt(step)
            except Stopped:
                self._store.close()
            except StoreUnavailable as error:
                self._say(error)
                if self._is_hopeless(error, time.monotonic() - began):
                    raise
                if error.reason == "full":
                    # Redis keeps room for what it refused as long as we are connected,
                    # and would refuse the renewal of the lease for want of it.
                    self._store.wire.close()
                    slower = _WHILE_FULL
            else:
                self._answered, self._said = True, ""
                return done
            if not self._has_time(grace) or (meanwhile is not None and not meanwhile()):
                return None
            self._stop.wait(min(backoff.pause() * slower, self._longest_pause))

    def _is_hopeless(self, error: StoreUnavailable, lasted: float) -> bool:
        if not self._answered:
            return error.reason == "refused" or lasted > _FIRST_CONTACT
        return lasted > (_REFUSED if error.reason == "refused" else self._longest)

    def _has_time(self, grace: float) -> bool:
        asked_at = self._stop.asked_at
        if asked_at is None:
            return True
        self._store.hurry()
        # What was never sent cannot have given us a job that must be handed back.
        return self._store.wire.used and time.monotonic() < asked_at + grace

    def _say(self, error: StoreUnavailable) -> None:
        text = str(error)
        if text != self._said:
            self._said = text
            print(f"worker_lib: redis is away: {text}", file=sys.stderr, flush=True)
