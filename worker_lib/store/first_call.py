"""What the first call of a process finds out about its user of Redis and the server."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

from worker_lib.logs import get_logger
from worker_lib.store.requirements import (
    EVICTION_REMEDY,
    eviction_risk,
    missing_right,
    rights_wanted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["refused_rights", "warn_of_eviction"]

log = get_logger("store")


def refused_rights(pairs: Sequence[bytes], prefix: str) -> str:
    """Return the sentence for commands that Redis refused.

    Args:
        pairs: Each command, followed by the error that Redis answered.
        prefix: What our keys and channels start with.
    """
    found = {}
    for command, refusal in zip(pairs[::2], pairs[1::2], strict=True):
        name = command.decode().lower()
        what, rule = missing_right(refusal.decode(), prefix) or ("", "")
        found[rule or f"+{name}"] = what if rule else f"the command {name}"
    return rights_wanted(found)


def warn_of_eviction(policy: str) -> None:
    """Warn, in the log and as a `RuntimeWarning`, if this policy deletes jobs."""
    risk = eviction_risk(policy) if policy else ""
    if not risk:
        return
    log.warning("redis_evicts", extra={"reason": risk, "remedy": EVICTION_REMEDY})
    with contextlib.suppress(RuntimeWarning):  # the call is stored, whatever the filter
        warnings.warn(f"{risk}: {EVICTION_REMEDY}", RuntimeWarning, stacklevel=2)
