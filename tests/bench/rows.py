"""The rows of the table: what is measured, and what our figures are to reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .libraries import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    # For each row and library, what was measured, in the order of the rounds.
    Samples = Mapping[str, Mapping[str, Sequence[float]]]

__all__ = ["BARE", "ROWS", "Goal", "Row"]

BARE = "bare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What our figure is to be.

    Attributes:
        sign: Whether more or less is better.
        factor: Times what it is compared with.
        than: A library or `bare`; "" for the factor itself.
        row: Of that library; "" for the same row.
    """

    sign: Literal["<=", ">="]
    factor: float
    than: str = ""
    row: str = ""

    def value(self, samples: Samples, row: str) -> float | None:
        """Return the figure to reach; None if the other was not measured."""
        if not self.than:
            return self.factor
        other = samples.get(self.row or row, {}).get(self.than)
        return self.factor * statistics.median(other) if other else None

    def words(self) -> str:
        """Return it as people read it."""
        sign = {"<=": "≤", ">=": "≥"}[self.sign]
        if not self.than:
            return f"{sign} {self.factor:g}"
        other = "1 worker" if self.row else self.than
        return f"{sign} {self.factor:g} × {other}"  # noqa: RUF001 - for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    key: str
    name: str
    unit: str
    goal: Goal | None = None

    def is_met(self, samples: Samples) -> bool | None:
        """Say whether our figure reaches its goal; None if that cannot be said."""
        ours = samples.get(self.key, {}).get(OURS)
        wanted = self.goal.value(samples, self.key) if self.goal else None
        if self.goal is None or wanted is None or not ours:
            return None
        found = statistics.median(ours)
        return found <= wanted if self.goal.sign == "<=" else found >= wanted


ROWS = (
    Row(
        key="accepted",
        name="calls accepted one by one",
        unit="/s",
        goal=Goal(sign=">=", factor=1.2, than="huey"),
    ),
    Row(
        key="bulk",
        name="calls accepted in bulk",
        unit="/s",
        goal=Goal(sign=">=", factor=4, than="saq"),
    ),
    Row(
        key="trips",
        name="warm round trip, p50",
        unit="ms",
        goal=Goal(sign="<=", factor=0.7, than="huey"),
    ),
    Row(
        key="drained1",
        name="drained by 1 worker",
        unit="/s",
        goal=Goal(sign=">=", factor=4, than="huey"),
    ),
    Row(
        key="drained2",
        name="drained by 2 workers",
        unit="/s",
        goal=Goal(sign=">=", factor=1.8, than=OURS, row="drained1"),
    ),
    Row(
        key="cold",
        name="cold: call, worker started, result",
        unit="ms",
        goal=Goal(sign="<=", factor=0.33, than="arq"),
    ),
    Row(
        key="naps",
        name="1,000 naps of 10 ms over two workers, over ideal",
        unit="%",
        goal=Goal(sign="<=", factor=5),
    ),
    Row(
        key="first",
        name="first call of a fresh process, import to stored",
        unit="ms",
        goal=Goal(sign="<=", factor=1, than="arq"),
    ),
    Row(
        key="large",
        name="20 MB there and back",
        unit="ms",
        goal=Goal(sign="<=", factor=1.1, than=BARE),
    ),
    Row(
        key="memory",
        name="peak memory of a worker, over 20,000 jobs",
        unit="MB",
        goal=Goal(sign="<=", factor=16),
    ),
    Row(key="waiting", name="Redis memory of a waiting job", unit="bytes"),
    Row(key="commands_warm", name="Redis commands a job, warm", unit=""),
    Row(key="commands_drained", name="Redis commands a job, bulk and drained", unit=""),
)
