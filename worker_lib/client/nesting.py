"""Limits of jobs that make jobs: how deep they go, and how many in a second.

A task that calls itself without an end would otherwise fill Redis and keep machines
busy, at a price, until a person notices. Calls from outside of machines have neither
limit.
"""

from __future__ import annotations

import random
import threading
import time
import warnings
from typing import TYPE_CHECKING

from worker_lib import context
from worker_lib.errors import CallRefused
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.settings import Settings
    from worker_lib.store.store import Store

__all__ = ["Nesting"]

log = get_logger("nesting")

# So many seconds' worth of calls may come at once.
_BURST = 10
# Asked for in one go, growing while they are used up: a call costs a part of a command.
_MOST_AT_ONCE = 64
_PAUSE = 0.5


class Nesting:
    """Admits calls that jobs make.

    Args:
        store: Where all machines of the namespace share one bucket of tokens.
        settings: How deep and how fast.
        sleep: Waits some seconds.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._settings = settings
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = 0
        self._ask_for = 1

    def admit(self, task: str, count: int = 1) -> int:
        """Return the generation of new jobs; wait while jobs make jobs too fast.

        Args:
            count: How many jobs; 0 only checks how deep the calls go.

        Raises:
            CallRefused: jobs made jobs that made jobs, too often.
        """
        parent = context.generation()
        if not parent:
            return 1
        most = self._settings.max_generations
        if parent >= most:
            raise CallRefused(
                f"{task} may not be called here: this job is of generation {parent} of "
                f"jobs that make jobs, and the limit is {most}: end the recursion, or "
                "raise WORKER_LIB_MAX_GENERATIONS"
            )
        with self._lock:
            self._take_tokens(task, count)
        return parent + 1

    def _take_tokens(self, task: str, count: int) -> None:
        rate = self._settings.nested_rate
        while self._tokens < count:
            wanted = max(self._ask_for, count - self._tokens)
            granted = self._store.nest(wanted, rate, rate * _BURST)
            self._tokens += granted
            self._ask_for = min(_MOST_AT_ONCE, 2 * self._ask_for)
            if not granted:
                _warn(task, rate)
                self._sleep(_PAUSE * random.uniform(1, 2))
        self._tokens -= count


def _warn(task: str, rate: int) -> None:
    text = (
        f"jobs make jobs faster than WORKER_LIB_NESTED_RATE={rate} a second: calls, "
        f"such as this one of {task}, wait for their turn"
    )
    log.warning("nested_calls_wait", extra={"task": task, "rate": rate})
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        return  # the call is made all the same, whatever the filter
