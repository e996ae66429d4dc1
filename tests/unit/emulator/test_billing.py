"""The billing meter."""

from __future__ import annotations

import pytest

from worker_lib.emulator.billing import BillingMeter
from worker_lib.emulator.fleet import Fleet
from worker_lib.emulator.options import EmulatorOptions
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import usd_per_second


def test_the_meter_adds_up_runs_at_the_guest_they_had() -> None:
    """Time between runs costs nothing; a bigger guest costs more from then on."""
    now = [0.0]
    meter = BillingMeter(clock=lambda: now[0])
    guests = Guest("shared", 1, 256), Guest("shared", 2, 512)
    machine = Fleet(EmulatorOptions(apps=("a",))).add_machine(
        app="a", name="", region="gru", config={}, secrets={}
    )

    for guest, start, end in ((guests[0], 0.0, 10.0), (guests[1], 100.0, 101.0)):
        machine.config = {"guest": guest.as_config()}
        now[0] = start
        meter.begin(machine)
        now[0] = end
        meter.end(machine.id)
    meter.end(machine.id)
    meter.end("never-begun")

    first, second = (usd_per_second(guest, "gru") for guest in guests)
    report = meter.report()
    assert 11.0 == report["started_s"]
    assert 10 * first + second == pytest.approx(report["usd"])
    assert 2 == report["machines"][0]["guest"]["cpus"]
