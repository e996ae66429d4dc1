"""How a request sees machines when a fault (`stale`, `omit`, `partial`) affects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker_lib.emulator.faults.rule import FaultRule
    from worker_lib.emulator.state import Machine


class MachineVisibility(NamedTuple):
    """How one machine is seen.

    Attributes:
        lag: As it was this many seconds ago.
        omitted: Not at all.
        partial: Without its config, as if its host did not answer.
    """

    lag: float = 0.0
    omitted: bool = False
    partial: bool = False


class Visibility:
    """How one request sees machines.

    Args:
        rules: The rules that apply to it, each with its delay in seconds.
    """

    def __init__(self, rules: Iterable[tuple[FaultRule, float]] = ()) -> None:
        self._rules = tuple(rules)

    def of(self, machine: Machine) -> MachineVisibility:
        """How it sees one machine."""
        if not self._rules:
            return _FULL
        target = machine.target
        found = [(r.effect, delay) for r, delay in self._rules if r.covers(target)]
        effects = {effect for effect, _ in found}
        return MachineVisibility(
            lag=max((lag for effect, lag in found if effect == "stale"), default=0.0),
            omitted="omit" in effects,
            partial="partial" in effects,
        )


_FULL = MachineVisibility()
FULL_VISIBILITY = Visibility()
