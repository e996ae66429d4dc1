"""The first page: what there is now, what happened of late, what it costs."""

from __future__ import annotations

from typing import Any

from worker_lib import inspection
from worker_lib.dashboard.kept import kept
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

__all__ = ["PAGE"]

# What happened changes little within seconds, what it costs hardly.
_HISTORY_SECONDS, _COSTS_SECONDS = 15.0, 60.0
_TASKS_SHOWN = 8


def load(query: Query) -> dict[str, Any]:
    """Read the page: one command to Redis, and some more now and then."""
    window = query.get("window", "1h")
    history = kept(
        f"history {window}", _HISTORY_SECONDS, lambda: inspection.history(window)
    )
    costs = kept("costs", _COSTS_SECONDS, inspection.costs)
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
