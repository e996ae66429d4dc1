"""Moves machines on from state to state, and applies the faults of each state."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults.injector import NO_EFFECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.emulator.faults import FaultInjector, StateEffects
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.state import Machine, Run
    from worker_lib.fly.states import MachineState

    Action = Callable[[Machine], None]
    Disrupt = Callable[[Machine, Run, str], None]


class Transitions:
    """What follows when a machine enters a state: at once, later or never.

    Every method needs the fleet's lock held; timers take it.

    Args:
        injector: Knows the faults of each state.
        fleet: All machines.
        disrupt: Carries out a disruption (`kill`, `lose_host`, `migrate`) of a run.
        fail: Ends a machine whose launch is to fail.
        retention: Seconds for which a destroyed machine is shown by default.
    """

    def __init__(
        self,
        injector: FaultInjector,
        fleet: Fleet,
        *,
        disrupt: Disrupt,
        fail: Action,
        retention: float,
    ) -> None:
        self._injector = injector
        self._fleet = fleet
        self._disrupt = disrupt
        self._fail = fail
        self._retention = retention

    def proceed(
        self, machine: Machine, action: Action | None = None, *, delay: float = 0.0
    ) -> None:
        """Apply the faults of the state just entered, then do what follows.

        Args:
            machine: Stays where it is if a fault makes it hang.
            action: What follows; None: nothing.
            delay: Seconds that it stays in the state without any fault.
        """
        effects = self._injector.on_state(machine.state, machine)
        self._apply(machine, effects, action, delay)

    def pass_through(
        self,
        machine: Machine,
        state: MachineState,
        action: Action,
        *,
        delay: float = 0.0,
    ) -> None:
        """Do what follows a state that is entered only if something happens in it.

        Args:
            machine: May be in that state already.
            state: Has the faults.
            action: What follows.
            delay: Seconds that it stays in the state without any fault.
        """
        effects = self._injector.on_state(state, machine)
        if (delay or effects != NO_EFFECTS) and machine.state != state:
            machine.enter(state)
        self._apply(machine, effects, action, delay)

    def retention(self, machine: Machine) -> float:
        """Seconds for which a machine that is now destroyed is still shown."""
        effects = self._injector.on_state(machine.state, machine)
        return effects.delay or self._retention

    def _apply(
        self,
        machine: Machine,
        effects: StateEffects,
        action: Action | None,
        delay: float,
    ) -> None:
        if machine.run is not None:
            for effect, after in effects.disruptions:
                self._schedule_disruption(machine, machine.run, effect, after)
        if effects.hangs:
            machine.hangs = True
            return
        action = self._fail if effects.fails_to_launch else action
        if action is not None:
            self._after(machine, delay + effects.delay, action)

    def _after(self, machine: Machine, delay: float, action: Action) -> None:
        """Act at once, or later if the machine is still in the same state by then."""
        if not delay:
            action(machine)
            return
        state = machine.state

        def due() -> None:
            with self._fleet.lock:
                if machine.state == state and not self._fleet.is_closing:
                    machine.timer = None
                    action(machine)

        machine.cancel_timer()
        machine.timer = start_timer(delay, due)

    def _schedule_disruption(
        self, machine: Machine, run: Run, effect: str, delay: float
    ) -> None:
        def due() -> None:
            with self._fleet.lock:
                if machine.run is run and not self._fleet.is_closing:
                    self._disrupt(machine, run, effect)

        run.disruptions.append(start_timer(delay, due))


def start_timer(delay: float, action: Callable[[], Any]) -> threading.Timer:
    """Start a timer of `delay` seconds; the process does not wait for it at exit."""
    timer = threading.Timer(delay, action)
    timer.daemon = True
    timer.start()
    return timer
