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

    def admit(self, task: str) -> int:
        """Return the generation of a new job; wait while jobs make jobs too fast.

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
            self._take_token(task)
        return parent + 1

    def _take_token(self, task: str) -> None:
        rate = self._settings.nested_rate
        while not self._tokens:
            self._tokens = self._store.nest(self._ask_for, rate, rate * _BURST)
            self._ask_for = min(_MOST_AT_ONCE, 2 * self._ask_for)
            if not self._tokens:
                _warn(task, rate)
                self._sleep(_PAUSE * random.uniform(1, 2))
        self._tokens -= 1


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
