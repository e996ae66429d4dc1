"""Sweeps by hand, and slots in the states that sweeps find them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store_rig import claimed

from worker_lib.sweep import Sweep
from worker_lib.sweeper import Sweeper

if TYPE_CHECKING:
    from fly_server import Fly

    from worker_lib.sweep import SweepReport


def sweeper_of(fly: Fly) -> Sweeper:
    """Return the sweeper of this launcher's process."""
    return Sweeper(fly.rig.store, fly.launcher, fly.rig.codec, fly.settings)


def reap(fly: Fly) -> None:
    """Destroy machines whose slot nobody knows."""
    Sweep(fly.rig.store, fly.launcher, fly.rig.codec, fly.settings).reap()


def sweep(fly: Fly) -> SweepReport:
    """Sweep, and wait for what it launches."""
    report = sweeper_of(fly).sweep()
    fly.settle()
    return report


def launched(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a call that was launched."""
    job, slot = fly.launch(**changes)
    found = fly.api.find_machine(f"wl-{slot}", metadata={})
    assert found is not None
    return job, slot, found.id


def running(fly: Fly, **changes: Any) -> tuple[str, str, str]:
    """Return job, slot and machine of a job that runs there."""
    job, slot, machine = launched(fly, **changes)
    assert job == claimed(fly.rig.machine(slot, machine)).id
    return job, slot, machine
