"""Limits that the calling side and machines share."""

from __future__ import annotations

__all__ = ["BULK_BYTES", "BULK_JOBS", "MAX_LOST"]

# A job that loses so many machines is taken for their cause, and fails.
MAX_LOST = 3
# A command that stores many jobs holds up Redis for a few milliseconds at most, and is
# no larger than Upstash takes.
# Source: Upstash, "Max request size" (1 MB for its smallest plans).
BULK_JOBS = 250
BULK_BYTES = 1_000_000
