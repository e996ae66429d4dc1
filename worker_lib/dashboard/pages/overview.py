"""The first page: what there is now, what happened of late, what it costs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from worker_lib import inspection
from worker_lib.client.client import Client, default_client
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PAGE"]

T = TypeVar("T")

# What happened changes little within seconds, what it costs hardly.
_HISTORY_SECONDS, _COSTS_SECONDS = 15.0, 60.0
_TASKS_SHOWN = 8


class _Kept:
    """What was read a while ago, for so long as it is good enough."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Any]] = {}

    def get(self, name: str, seconds: float, read: Callable[[], T]) -> T:
        """Return what `read` returned, not longer ago than `seconds`."""
        with self._lock:
            at, value = self._found.get(name, (float("-inf"), None))
            if self._clock() - at >= seconds:
                value = read()
                self._found[name] = (self._clock(), value)
            found: T = value
            return found


# Those of a client, which is one for the whole process.
_kept: WeakKeyDictionary[Client, _Kept] = WeakKeyDictionary()


def load(query: Query) -> dict[str, Any]:
    """Read the page: one command to Redis, and some more now and then."""
    window = query.get("window", "1h")
    kept = _kept.setdefault(default_client(), _Kept())
    history = kept.get(
        f"history {window}", _HISTORY_SECONDS, lambda: inspection.history(window)
    )
    costs = kept.get("costs", _COSTS_SECONDS, inspection.costs)
    return {
        "overview": as_document(inspection.overview()),
        "history": as_document(history._replace(tasks=history.tasks[:_TASKS_SHOWN])),
        "costs": {
            name: getattr(costs, name)
            for name in ("today_usd", "month_usd", "alive_usd", "hourly_usd")
        },
        "windows": list(inspection.WINDOWS),
    }


PAGE = Page(slug="overview", title="Overview", load=load, order=1, icon="overview")
