"""What people did by page or command line, kept for others to read."""

from __future__ import annotations

import json
from typing import NamedTuple

from worker_lib.client.client import default_client

__all__ = ["AuditEntry", "audit", "audits"]


class AuditEntry(NamedTuple):
    """Something that a person did.

    Attributes:
        who: As the one who let them in named them.
        what: The action, as `jobs.retry`.
        target: What it was done to: an id, a name, a filter.
        total: To how many.
        outcome: `done`, `refused`, or why it failed.
        at: Seconds since the epoch, by Redis's clock; 0 before it is kept.
    """

    who: str
    what: str
    target: str
    total: int = 1
    outcome: str = "done"
    at: float = 0.0


def audit(entry: AuditEntry) -> AuditEntry:
    """Keep what somebody did: the last 1,000 entries, for 400 days at most.

    Returns:
        The entry with its time.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    told = entry._asdict()
    del told["at"]
    at = default_client().store.views.audit(json.dumps(told, ensure_ascii=False))
    return entry._replace(at=at)


def audits(limit: int = 200) -> list[AuditEntry]:
    """Return what people did, newest first.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    found = default_client().store.views.audits(limit)
    return [AuditEntry(**json.loads(entry), at=at) for at, entry in found]
