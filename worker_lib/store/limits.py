"""Limits that the calling side and machines share."""

from __future__ import annotations

__all__ = ["MAX_LOST"]

# A job that loses so many machines is taken for their cause, and fails.
MAX_LOST = 3
