"""The queues and pools: what waits, for how long, and what machines there may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from worker_lib.inspection import MachineSeen, PoolSeen

__all__ = ["PAGE"]


def load(_query: Query) -> dict[str, Any]:
    """Read the page: two commands to Redis for 50 pools."""
    now = inspection.overview()
    machines = inspection.machines()
    return {
        "at": inspection.moment(now.at),
        "queues": as_document(now.queues),
        "pools": [_pool(pool, machines) for pool in now.pools],
    }


def _pool(pool: PoolSeen, machines: list[MachineSeen]) -> dict[str, Any]:
    regions = {one.region for one in machines if one.pool == pool.id and one.region}
    return {**as_document(pool), "regions": sorted(regions)}


PAGE = Page(slug="queues", title="Queues", load=load, order=6, icon="queue")
