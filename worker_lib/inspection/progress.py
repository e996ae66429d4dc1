"""How far a batch is, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker_lib.client.client import default_client
from worker_lib.client.fleet import FleetMeter
from worker_lib.store.replies import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BatchProgress", "batch_progress"]


class BatchProgress(NamedTuple):
    """A batch at one moment.

    Attributes:
        at: Seconds since the epoch, by Redis's clock.
        created_at: Likewise.
        total: Jobs in all; None while its program may store more.
        done: Of these, how many have ended, in whatever way.
        failed: How many of those failed or expired.
        counts: How many jobs are in each status, 0 included.
        rate: Jobs that ended in a second, from its beginning on; None once all have.
        eta_s: Seconds until all have ended if that goes on; None if that is not known.
        machines: Of its pool, up or on their way.
        cost_usd: What machines of its pool have cost since it began, other calls
            there included; None once all have ended.
    """

    at: float
    batch_id: str
    task: str
    created_at: float
    total: int | None
    done: int
    failed: int
    counts: Mapping[str, int]
    rate: float | None
    eta_s: float | None
    machines: int
    cost_usd: float | None


def batch_progress(batch_id: str) -> BatchProgress:
    """Return how far a batch is; three commands to Redis.

    Raises:
        BatchNotFound: Redis has none of this id.
        StoreUnavailable: Redis cannot be reached.
    """
    client = default_client()
    seen = client.batches.look(batch_id)
    fleet = FleetMeter(client.store.views, seen.pool, seen.created_at).read()
    took = fleet.at - seen.created_at
    rate = None if seen.is_over or took <= 0 else seen.ended / took
    eta = None
    if rate and seen.total is not None:
        eta = (seen.total - seen.ended) / rate
    return BatchProgress(
        at=fleet.at,
        batch_id=batch_id,
        task=seen.task,
        created_at=seen.created_at,
        total=seen.total,
        done=seen.ended,
        failed=sum(seen.counts.get(how, 0) for how in ("failed", "expired")),
        counts={status: seen.counts.get(status, 0) for status in STATUSES},
        rate=rate,
        eta_s=eta,
        machines=fleet.machines,
        cost_usd=None if seen.is_over else fleet.cost_usd,
    )
