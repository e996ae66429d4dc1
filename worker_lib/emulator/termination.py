"""How a run of a machine is ended: a signal, a grace period, then SIGKILL.

Source: "Fly Launch configuration" (kill_signal SIGINT, kill_timeout 5 s; another page
says SIGTERM).
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from worker_lib.emulator.transitions import start_timer
from worker_lib.emulator.values import seconds, signal_number

if TYPE_CHECKING:
    from worker_lib.emulator.state import Machine, Run

DEFAULT_SIGNAL = int(signal.SIGINT)
DEFAULT_GRACE = 5.0


def terminate(machine: Machine, *, number: int | None, grace: float | None) -> None:
    """Signal a machine's run, and kill it after a grace period.

    Args:
        machine: Its `stop_config` gives what is None here.
        number: The signal; None: that of `stop_config`, else SIGINT.
        grace: Seconds until SIGKILL; None: that of `stop_config`, else 5; 0: at once.
    """
    run = machine.run
    if run is None:  # it has ended by itself meanwhile
        return
    stop = machine.config.get("stop_config") or {}
    if grace is None:
        grace = seconds(stop.get("timeout") or "0s") or DEFAULT_GRACE
    if run.frozen or not grace:
        send_signal(run, int(signal.SIGKILL))
        return
    if number is None:
        number = signal_number(stop.get("signal") or DEFAULT_SIGNAL)
    send_signal(run, number)
    run.kill_timer = start_timer(grace, partial(send_signal, run, int(signal.SIGKILL)))


def send_signal(run: Run | None, number: int) -> None:
    """Send a signal to a run, if there is one."""
    if run is not None and run.instance is not None:
        run.instance.signal(number)


def wait_exited(machine: Machine, timeout: float) -> None:
    """Block until a machine has no run; needs the fleet's lock held."""
    machine.changed.wait_for(lambda: machine.run is None, timeout)
