"""The costs: today, this month, and which sizes, regions and tasks they are for."""

from __future__ import annotations

from typing import Any

from worker_lib import inspection
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

__all__ = ["PAGE"]


def load(_query: Query) -> dict[str, Any]:
    """Read the page: two commands to Redis."""
    found = inspection.costs()
    return {**as_document(found), "ended_usd": found.month_usd - found.alive_usd}


PAGE = Page(slug="costs", title="Costs", load=load, order=7, icon="cost")
