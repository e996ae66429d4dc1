"""The tasks: how often they ran, how they ended, how long they took, what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.dashboard.registry import Page, Query
from worker_lib.errors import ConfigError
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker_lib.inspection import Percentiles, TaskSeen

__all__ = ["PAGE"]


def _slowest(times: Percentiles | None) -> float:
    return times.p95 if times else 0.0


_ORDERS: Mapping[str, tuple[str, Callable[[TaskSeen], float]]] = {
    "": ("Time spent", lambda task: task.run_s),
    "ended": ("Jobs", lambda task: task.succeeded + sum(task.failed.values())),
    "failed": ("Failed", lambda task: sum(task.failed.values())),
    "run": ("Run p95", lambda task: _slowest(task.run)),
    "wait": ("Wait p95", lambda task: _slowest(task.wait)),
    "cost": ("Cost", lambda task: task.cost_usd),
}


def load(query: Query) -> dict[str, Any]:
    """Read the page: one command to Redis."""
    window, sort = query.get("window", "24h"), query.get("sort", "")
    if sort not in _ORDERS:
        raise ConfigError(f"sort={sort!r}: use {', '.join(filter(None, _ORDERS))}")
    history = inspection.history(window)
    order = _ORDERS[sort][1]
    tasks = sorted(history.tasks, key=lambda task: (-order(task), task.task))
    return {
        "at": inspection.moment(history.at),
        "window": window,
        "windows": list(inspection.WINDOWS),
        "sort": sort,
        "sorts": [[name, title] for name, (title, _) in _ORDERS.items()],
        "cost_usd": history.cost_usd,
        "tasks": [_task(one) for one in tasks],
    }


def _task(task: TaskSeen) -> dict[str, Any]:
    return {**as_document(task), "success_rate": task.success_rate}


PAGE = Page(slug="tasks", title="Tasks", load=load, order=4, icon="task")
