"""Compares this computer's clock with others.

Deadlines of jobs do not depend on it: they use the clock of Redis. Signed requests,
certificates and the age of machines do.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from worker_lib.doctor.findings import Finding, failed, ok, unknown, warning

__all__ = ["check_clock", "moment_of"]

_NOTABLE = 5.0
# S3 refuses requests signed 15 minutes ago, and machines without a job are destroyed
# by their age from ten minutes on.
_HARMFUL = 300.0
_REMEDY = "synchronize this computer's clock (timedatectl set-ntp true)"


def check_clock(name: str, ours: float, theirs: float | None) -> Finding:
    """Compare two clocks that were read at the same moment.

    Args:
        name: Whose clock it is compared with.
        theirs: Seconds since 1970; None if it is not known.
    """
    if theirs is None:
        return unknown(name, "no time was sent", "compare the clocks yourself")
    skew = ours - theirs
    text = f"this computer is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) >= _HARMFUL:
        return failed(name, text, _REMEDY)
    if abs(skew) >= _NOTABLE:
        return warning(name, text, _REMEDY)
    return ok(name, text)


def moment_of(date: str) -> float | None:
    """Return seconds since 1970 for an HTTP date; None if it cannot be read."""
    try:
        # It has whole seconds, so it is half a second old on average.
        return parsedate_to_datetime(date).timestamp() + 0.5
    except (ValueError, TypeError):
        return None
