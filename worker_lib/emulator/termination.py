"""How a run is made to end: which signal, which grace, and then SIGKILL.

Source: "Fly Launch configuration" (kill_signal SIGINT, kill_timeout 5 s; another page
says SIGTERM).
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from worker_lib.emulator.transitions import timer
from worker_lib.emulator.values import seconds, signal_number

if TYPE_CHECKING:
    from worker_lib.emulator.state import Machine, Run

DEFAULT_SIGNAL = int(signal.SIGINT)
DEFAULT_GRACE = 5.0


def end_run(machine: Machine, *, number: int | None, grace: float | None) -> None:
    """Signal a machine's run, and kill it after a grace.

    Args:
        machine: Its `stop_config` stands in for what is not given.
        number: The signal; None as above, else SIGINT.
        grace: Seconds until SIGKILL; None as above, else 5; 0 kills at once.
    """
    run = machine.run
    if run is None:  # it has ended by itself meanwhile
        return
    number, grace = _manner(machine, run, number, grace)
    tell(run, number)
    if grace:
        run.kill_timer = timer(grace, partial(tell, run, int(signal.SIGKILL)))


def _manner(
    machine: Machine, run: Run, number: int | None, grace: float | None
) -> tuple[int, float]:
    """Return the signal and the grace for ending a run."""
    stop = machine.config.get("stop_config") or {}
    if grace is None:
        grace = seconds(stop.get("timeout") or "0s") or DEFAULT_GRACE
    if run.frozen or not grace:
        return int(signal.SIGKILL), 0.0
    if number is None:
        number = signal_number(stop.get("signal") or DEFAULT_SIGNAL)
    return number, grace


def tell(run: Run | None, number: int) -> None:
    """Send a signal to a run, if there is one."""
    if run is not None and run.instance is not None:
        run.instance.signal(number)


def wait_ended(machine: Machine, timeout: float) -> None:
    """Block until a machine has no run; needs the fleet's lock held."""
    machine.changed.wait_for(lambda: machine.run is None, timeout)
