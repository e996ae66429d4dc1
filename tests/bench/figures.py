"""A figure of the table: many samples, and the limit that was measured beside them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Figure", "Note", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        samples: In `unit`, in the order in which they were taken.
        limit: What was measured beside it, in words; "" for none.
        limits: The limit's samples, in the same unit; as many, if taken in turn.
        budget: What it may be at most, in `unit`; None for no such aim.
    """

    name: str
    unit: str
    samples: Sequence[float]
    limit: str = ""
    limits: Sequence[float] = ()
    budget: float | None = None

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def ratio(self) -> float | None:
        """Figure by limit: the middle of the pairs taken in turn; None without one."""
        if not self.limits:
            return None
        if len(self.limits) != len(self.samples):
            return self.median / statistics.median(self.limits)
        pairs = zip(self.samples, self.limits, strict=True)
        return statistics.median(mine / best for mine, best in pairs)

    def as_dict(self) -> dict[str, object]:
        """What a program wants to know of it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "p99": percentile(self.samples, 0.99),
            "min": min(self.samples),
            "max": max(self.samples),
            "runs": len(self.samples),
            "limit": self.limit,
            "limit_median": statistics.median(self.limits) if self.limits else None,
            "ratio": self.ratio,
            "budget": self.budget,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line below the table, such as what a figure is made of."""

    name: str
    text: str

    def as_dict(self) -> dict[str, object]:
        """What a program wants to know of it."""
        return {"name": self.name, "text": self.text}


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that `share` of all do not exceed."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]
