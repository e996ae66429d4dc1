"""Who did what, and when: an entry for each action, done or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.errors import StoreError
from worker_lib.inspection import AuditEntry, audit
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from worker_lib.dashboard.access import Viewer

__all__ = ["note"]

log = get_logger("dashboard")


def note(viewer: Viewer, what: str, target: str, total: int, outcome: str) -> None:
    """Keep an entry, in Redis and in this process's log.

    Args:
        what: Name of the action.
        target: What it was done to.
        total: To how many.
        outcome: `done`, or why not.
    """
    facts = {"who": viewer.name, "what": what, "target": target, "total": total}
    log.info("dashboard_action", extra={**facts, "outcome": outcome})
    try:
        audit(AuditEntry(viewer.name, what, target, total, outcome))
    except StoreError as error:  # what was done is done, and in the log
        log.warning("dashboard_audit_lost", extra={"reason": str(error)})
