"""What the scripts counted, read back: by minutes, quarters, hours, days, and in all.

A field is a kind and its names, with a unit separator between them:

- `j`, task, how it ended, class of its run: jobs that ended. How: `succeeded`,
  `cancelled`, `expired`, or the kind of failure (`JobFailed.kind`).
- `w`, task, class: attempts, by how long they waited to run; `q`, task: milliseconds.
- `r`, task, size, region: milliseconds that attempts ran.
- `t`, task, kind, class of its run: attempts that failed and are tried again.
- `l`, task, kind, class: those that were lost with their machine; without a class if
  the job failed thereby, and is in `j`.
- `b`, how, class: machines that came up, `created` or `started` again, by the time
  from their launch to the first claim; `B`, how: milliseconds.
- `m`, size, region: milliseconds that machines were up; `c`, size, region, why:
  machines that ended.
- `e`, error: launches that Fly refused.

A class is a number: each spans half as much time again as the one before.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker_lib.store.views import Views

__all__ = ["GROWTH", "Counted", "Percentiles", "Tally", "percentiles", "upper_bound"]

GROWTH = 1.5
_SEPARATOR = "\x1f"
_FIRST = 0.001
_MOST_KEPT = 500


class Percentiles(NamedTuple):
    """How long something took, in seconds, to about a fifth.

    Attributes:
        most: The longest, rounded up.
        total: Of how many.
    """

    p50: float
    p95: float
    most: float
    total: int


class Tally(Counter[tuple[str, ...]]):
    """Numbers by kind and names."""

    @classmethod
    def of(cls, *hashes: Mapping[bytes, int]) -> Tally:
        """Return the sum of what Redis has of some spans."""
        tally = cls()
        for one in hashes:
            for field, number in one.items():
                names = field.decode("utf-8", "replace").split(_SEPARATOR)
                tally[tuple(names)] += number
        return tally

    def by(self, kind: str, *places: int) -> dict[tuple[str, ...], int]:
        """Return the sums of a kind by the names at these places, from 1."""
        sums: dict[tuple[str, ...], int] = {}
        for names, number in self.items():
            if names[0] == kind:
                key = tuple(
                    names[place] if place < len(names) else "" for place in places
                )
                sums[key] = sums.get(key, 0) + number
        return sums

    def histogram(self, kind: str, place: int) -> dict[int, int]:
        """Return how many are in which class, which is the name at this place."""
        found = self.by(kind, place)
        return {int(name): number for (name,), number in found.items() if name}

    def histograms(self, kind: str, place: int) -> dict[str, dict[int, int]]:
        """Return the same for each first name."""
        found: dict[str, dict[int, int]] = {}
        for (first, name), number in self.by(kind, 1, place).items():
            if name:
                found.setdefault(first, {})[int(name)] = number
        return found


def upper_bound(which: int) -> float:
    """Return the longest time, in seconds, that falls into a class."""
    return _FIRST * math.pow(GROWTH, which)


def percentiles(histogram: Mapping[int, int]) -> Percentiles | None:
    """Return what a histogram says; None if it is empty."""
    total = sum(histogram.values())
    if not total:
        return None
    ordered = sorted(histogram.items())
    p50, p95 = (_percentile(ordered, total * part) for part in (0.5, 0.95))
    return Percentiles(p50, p95, upper_bound(ordered[-1][0]), total)


def _percentile(ordered: Sequence[tuple[int, int]], rank: float) -> float:
    """Return the time of a rank, spread evenly within its class."""
    below = 0
    for which, number in ordered:
        if below + number >= rank:
            inside = (rank - below) / number
            return upper_bound(which) * math.pow(GROWTH, inside - 1)
        below += number
    return upper_bound(ordered[-1][0])


class Counted:
    """Reads spans of time; those that are over are read once.

    Args:
        views: Of the store.
    """

    def __init__(self, views: Views) -> None:
        self._views = views
        self._over: OrderedDict[str, Tally] = OrderedDict()
        # Redis's clock, by ours.
        self._ahead = 0.0

    def of_all_time(self) -> Tally:
        """Return what was counted since the first job."""
        _, opened, (whole,) = self._views.counts(["0:0"])
        return Tally.of(opened, whole)

    def latest(
        self, minutes: int, count: int
    ) -> tuple[float, list[tuple[float, Tally]]]:
        """Return Redis's time and the latest spans, the oldest first.

        Args:
            minutes: Of a span: 1, 15, 60 or 1440.
            count: How many, the one under way included.

        Returns:
            The beginning of each in seconds since the epoch, and its numbers.
        """
        length, now = 60.0 * minutes, time.time() + self._ahead
        while True:
            newest = int(now // length)
            numbers = range(newest - count + 1, newest + 1)
            spans = [f"{minutes}:{number}" for number in numbers]
            missing = [span for span in spans if span not in self._over]
            now, opened, found = self._views.counts(missing)
            self._ahead = now - time.time()
            if int(now // length) == newest:
                break
        read = dict(zip(missing, map(Tally.of, found), strict=True))
        read[spans[-1]].update(Tally.of(opened))
        tallies = [read.get(span) or self._over.get(span, Tally()) for span in spans]
        self._keep({span: read[span] for span in missing[:-1]})
        begins = [length * number for number in numbers]
        return now, list(zip(begins, tallies, strict=True))

    def _keep(self, over: Mapping[str, Tally]) -> None:
        self._over.update(over)
        while len(self._over) > _MOST_KEPT:
            self._over.popitem(last=False)
