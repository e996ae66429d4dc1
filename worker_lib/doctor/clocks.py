"""Whether this computer's clock agrees with the others'.

No deadline of a job depends on it: those are Redis's. Signed requests, certificates
and the age of machines do.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from worker_lib.doctor.findings import Finding, bad, good, poor, unknown

__all__ = ["check_clock", "moment_of"]

_NOTABLE = 5.0
# Signed requests to S3 are refused from 15 minutes on, and orphaned machines are
# known by an age of ten.
_HARMFUL = 300.0
_REMEDY = "synchronize this computer's clock (timedatectl set-ntp true)"


def check_clock(name: str, ours: float, theirs: float | None) -> Finding:
    """Compare two clocks that were read at the same moment.

    Args:
        name: Whose clock it is compared with.
        theirs: Seconds since 1970; None if it was not told.
    """
    if theirs is None:
        return unknown(name, "it tells no time", "compare the clocks yourself")
    skew = ours - theirs
    text = f"this computer is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    if abs(skew) >= _HARMFUL:
        return bad(name, text, _REMEDY)
    if abs(skew) >= _NOTABLE:
        return poor(name, text, _REMEDY)
    return good(name, text)


def moment_of(date: str) -> float | None:
    """Return seconds since 1970 for an HTTP date; None if it is none."""
    try:
        # Cut to whole seconds, so on average half a second ago.
        return parsedate_to_datetime(date).timestamp() + 0.5
    except (ValueError, TypeError):
        return None
