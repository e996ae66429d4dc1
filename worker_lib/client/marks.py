"""Which jobs of a batch have ended, and when to look for more of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Marks", "Pace"]

# Seconds that an outcome may lie there while others are about to come: a part of the
# time that is left, within these bounds.
_LATENCY, _LONGEST_LATENCY = 0.1, 1.0
_PART_OF_REST = 0.05
# How many times as long until it is looked for all the same.
_PATIENCE = 2.5
_MOST_AT_ONCE = 1000


class Marks:
    """A set of indexes from 0; it costs a byte for each from the first one missing."""

    def __init__(self) -> None:
        self._marks = bytearray()
        self._base = 0

    def add(self, index: int) -> None:
        """Mark an index; nothing happens if it is marked."""
        at = index - self._base
        if at < 0:
            return
        if at >= len(self._marks):
            self._marks.extend(bytes(at + 1 - len(self._marks)))
        self._marks[at] = 1

    @property
    def first_missing(self) -> int:
        """The lowest index that is not marked."""
        at = self._marks.find(0)
        count = len(self._marks) if at < 0 else at
        if count:
            del self._marks[:count]
            self._base += count
        return self._base


class Pace:
    """How many jobs are to end before a reader is woken.

    One, where they end now and then. Where thousands end in a second, as many as end in
    a tenth of it; and where that goes on for long, as many as end in a second, so that
    their outcomes come in few commands.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._ended = 0
        self._rate = 0.0

    def note(self, ended: int) -> None:
        """Note that so many have ended since the last time."""
        self._ended += ended
        took = self._clock() - self._at
        if took >= _LATENCY:
            self._rate = self._ended / took
            self._at, self._ended = self._at + took, 0

    def at_least(self, left: int) -> int:
        """How many to wait for, where so many have not ended yet."""
        return max(1, min(_MOST_AT_ONCE, int(self._rate * self._latency(left))))

    def patience(self, left: int) -> float:
        """Seconds after which to look even if there are fewer."""
        if self.at_least(left) == 1:
            return float("inf")
        return _PATIENCE * self._latency(left)

    def _latency(self, left: int) -> float:
        """Return how many seconds an outcome may lie there."""
        left_s = left / self._rate if self._rate else 0.0
        return min(_LONGEST_LATENCY, max(_LATENCY, _PART_OF_REST * left_s))
