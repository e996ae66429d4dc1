"""Prices, against the ones that Fly prints."""

from __future__ import annotations

import pytest

from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import MARKUPS, usd_per_second


@pytest.mark.parametrize(
    ("expected", "machine"),
    [
        (7.50e-7, "shared-cpu-1x"),
        (1.50e-6, "shared-cpu-2x"),
        (3.00e-6, "shared-cpu-4x"),
        (6.00e-6, "shared-cpu-8x"),
        (1.196e-5, "performance-1x"),
        (2.392e-5, "performance-2x"),
        (1.914e-4, "performance-16x"),
    ],
)
def test_price_is_that_of_the_list(expected: float, machine: str) -> None:
    """The formula gives the printed price of each preset."""
    assert expected == pytest.approx(
        usd_per_second(Guest.parse(machine), "iad"), rel=2e-3
    )


def test_region_raises_the_price() -> None:
    """A month of the smallest machine in sjc is 2.32 dollars in Fly's guide."""
    month = usd_per_second(Guest.parse(), "sjc") * 30 * 24 * 3600

    assert pytest.approx(2.32, abs=0.005) == month


def test_unknown_region_costs_as_much_as_the_dearest() -> None:
    """An estimate errs on the safe side."""
    guest = Guest.parse()

    assert usd_per_second(guest, "gru") == usd_per_second(guest, "xyz")
    assert max(MARKUPS, key=MARKUPS.__getitem__) == "gru"


def test_override_goes_before_the_table() -> None:
    """Whoever knows today's price can say so."""
    guest = Guest.parse()

    assert pytest.approx(2 * usd_per_second(guest, "iad")) == usd_per_second(
        guest, "ams", overrides={"ams": 2.0}
    )
