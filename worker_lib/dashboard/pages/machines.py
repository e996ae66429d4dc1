"""The machines: those that are up, those that are parked, and those that ended."""

from __future__ import annotations

from typing import Any

from worker_lib import inspection
from worker_lib.checks import whole
from worker_lib.client.client import default_client
from worker_lib.client.inspection import find_jobs
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

__all__ = ["PAGE"]

_EXITS, _MOST_EXITS = "15", 200


def load(query: Query) -> dict[str, Any]:
    """Read the page: three commands to Redis for 50 pools."""
    ended = whole(1, _MOST_EXITS, from_text=True)(query.get("ended", _EXITS), "ended")
    machines = inspection.machines()
    exits = inspection.exits(ended + 1)
    jobs = find_jobs([one.job_ids[0] for one in machines if one.job_ids])
    return {
        "up": [as_document(one) for one in machines if one.state != "parked"],
        "parked": [as_document(one) for one in machines if one.state == "parked"],
        "jobs": {info.id: {"task": info.task} for info in jobs},
        "exits": [as_document(one) for one in exits[:ended]],
        "more_exits": _MOST_EXITS if len(exits) > ended else None,
        "max_lifetime": default_client().settings.max_lifetime,
    }


PAGE = Page(slug="machines", title="Machines", load=load, order=5, icon="machine")
