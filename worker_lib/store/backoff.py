"""Pauses between tries while Redis is away, for callers and machines."""

from __future__ import annotations

__all__ = ["Backoff"]

_FIRST = 0.1
_LONGEST = 2.0


class Backoff:
    """Pauses that double from 0.1 to 2 seconds, with jitter.

    Jitter matters: after a restart all who waited come back at once.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = _FIRST

    def pause(self) -> float:
        """Return how many seconds to wait before the next try."""
        import random  # noqa: PLC0415 - machines rarely need it

        longest, self._next = self._next, min(_LONGEST, 2 * self._next)
        return random.uniform(longest / 2, longest)
