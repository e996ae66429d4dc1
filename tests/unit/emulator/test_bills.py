"""Prices and the meter."""

from __future__ import annotations

from typing import Any

import pytest

from worker_lib.emulator.billing import BillingMeter, Prices


def guest(kind: str, cpus: int, memory_mb: int) -> dict[str, Any]:
    """Return a guest as a config has it."""
    return {"cpu_kind": kind, "cpus": cpus, "memory_mb": memory_mb}


@pytest.mark.parametrize(
    ("usd", "kind", "cpus", "memory_mb"),
    [
        (7.50e-7, "shared", 1, 256),
        (1.50e-6, "shared", 2, 512),
        (6.00e-6, "shared", 8, 2048),
        (1.196e-5, "performance", 1, 2048),
        (1.914e-4, "performance", 16, 32768),
    ],
)
def test_a_second_costs_what_fly_s_table_says(
    usd: float, kind: str, cpus: int, memory_mb: int
) -> None:
    """The formula gives the published prices."""
    price = Prices().per_second(guest(kind, cpus, memory_mb), "iad")

    assert usd == pytest.approx(price, rel=0.005)


def test_a_region_has_its_markup_and_an_unknown_one_has_none() -> None:
    """Sao Paulo is the dearest."""
    small = guest("shared", 1, 256)

    assert 1.615 == pytest.approx(
        Prices().per_second(small, "gru") / Prices().per_second(small, "iad")
    )
    assert Prices().per_second(small, "xyz") == Prices().per_second(small, "iad")


def test_prices_can_be_changed() -> None:
    """They are of 2024; whoever knows better may say so."""
    prices = Prices(shared_cpu=0.0, memory_gb=2_592_000.0, markups={"iad": 2.0})

    assert 2.0 == prices.per_second(guest("shared", 1, 1024), "iad")


def test_the_meter_adds_up_runs_at_the_guest_they_had() -> None:
    """Time between runs is free; a bigger guest costs more from then on."""
    now = [0.0]
    prices = Prices(shared_cpu=2_592_000.0, memory_gb=0.0)
    meter = BillingMeter(prices, clock=lambda: now[0])

    for cpus, start, end in ((1, 0.0, 10.0), (2, 100.0, 101.0)):
        now[0] = start
        meter.begin("m", app="a", region="iad", guest=guest("shared", cpus, 256 * cpus))
        now[0] = end
        meter.end("m")
    meter.end("m")
    meter.end("never-begun")

    report = meter.report()
    assert (11.0, 12.0) == (report["started_s"], report["usd"])
    assert 2 == report["machines"][0]["guest"]["cpus"]
