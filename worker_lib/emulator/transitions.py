"""Where each machine passes when it enters a state: what is in store for it there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.emulator.faults import Fate, Faults
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.state import Machine, Run

    Act = Callable[[Machine], None]
    Befall = Callable[[Machine, Run, str], None]


class Fates:
    """Holds machines back, and has accidents befall them.

    Every method needs the fleet's lock held; timers take it.

    Args:
        faults: Says what is in store.
        fleet: Of all machines.
        befall: Carries out an accident.
        fail: Ends a machine that was to boot.
        retention: Seconds for which a destroyed machine is shown by default.
    """

    def __init__(
        self,
        faults: Faults,
        fleet: Fleet,
        *,
        befall: Befall,
        fail: Act,
        retention: float,
    ) -> None:
        self._faults = faults
        self._fleet = fleet
        self._befall = befall
        self._fail = fail
        self._retention = retention

    def meet(
        self, machine: Machine, act: Act | None = None, *, delay: float = 0.0
    ) -> None:
        """Pass a machine through the state it has just entered.

        Args:
            machine: Does not go on if it is to stay for ever.
            act: What comes next.
            delay: Seconds that it stays in any case.
        """
        self._meet(machine, self._faults.fate(machine.state, machine), act, delay)

    def brush(self, machine: Machine, state: str, act: Act) -> None:
        """Pass a machine by a state that none sees, unless something happens there."""
        fate = self._faults.fate(state, machine)
        if not fate.is_none and machine.state != state:
            machine.enter(state)
        self._meet(machine, fate, act, 0.0)

    def retention(self, machine: Machine) -> float:
        """Seconds for which a machine that is now destroyed is still shown."""
        fate = self._faults.fate(machine.state, machine)
        return fate.dwell or self._retention

    def _meet(
        self, machine: Machine, fate: Fate, act: Act | None, delay: float
    ) -> None:
        if machine.run is not None:
            for effect, after in fate.accidents:
                self._await_accident(machine, machine.run, effect, after)
        if fate.is_wedged:
            machine.is_wedged = True
            return
        act = self._fail if fate.fails_to_launch else act
        if act is not None:
            self._after(machine, delay + fate.dwell, act)

    def _after(self, machine: Machine, delay: float, act: Act) -> None:
        """Act at once, or later if its state is the same by then."""
        if not delay:
            act(machine)
            return
        state = machine.state

        def due() -> None:
            with self._fleet.lock:
                if machine.state == state and not self._fleet.is_closing:
                    machine.timer = None
                    act(machine)

        machine.cancel_timer()
        machine.timer = timer(delay, due)

    def _await_accident(
        self, machine: Machine, run: Run, effect: str, delay: float
    ) -> None:
        def due() -> None:
            with self._fleet.lock:
                if machine.run is run and not self._fleet.is_closing:
                    self._befall(machine, run, effect)

        run.accidents.append(timer(delay, due))


def timer(delay: float, act: Callable[[], Any]) -> threading.Timer:
    """Start a timer that no process has to wait for at its end."""
    started = threading.Timer(delay, act)
    started.daemon = True
    started.start()
    return started
