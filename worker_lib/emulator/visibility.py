"""What a fault can be about, and how a request that it affects sees machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker_lib.emulator.faults.rule import FaultRule
    from worker_lib.emulator.state import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A machine, or one that is asked for, as far as it is known."""

    region: str = ""
    size: str = ""
    name: str = ""

    @property
    def is_anybody(self) -> bool:
        """Whether nothing is known of it."""
        return not (self.region or self.size or self.name)


class Glimpse(NamedTuple):
    """How one machine is seen.

    Attributes:
        lag: As it was so many seconds ago.
        omitted: Not at all.
        partial: Without its config, as if its host did not answer.
    """

    lag: float = 0.0
    omitted: bool = False
    partial: bool = False


class Sight:
    """How a request sees machines.

    Args:
        rules: Those that struck it, each with the delay drawn.
    """

    def __init__(self, rules: Iterable[tuple[FaultRule, float]] = ()) -> None:
        self._rules = tuple(rules)

    def of(self, machine: Machine) -> Glimpse:
        """How it sees one of them."""
        if not self._rules:
            return _ALL
        subject = machine.subject
        struck = [(r.effect, delay) for r, delay in self._rules if r.covers(subject)]
        effects = {effect for effect, _ in struck}
        return Glimpse(
            lag=max((lag for effect, lag in struck if effect == "stale"), default=0.0),
            omitted="omit" in effects,
            partial="partial" in effects,
        )


_ALL = Glimpse()
CLEAR = Sight()
