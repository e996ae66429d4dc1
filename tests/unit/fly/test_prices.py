"""Prices, against the ones that Fly prints."""

from __future__ import annotations

import pytest

from worker_lib.errors import ConfigError
from worker_lib.fly.guest import Guest
from worker_lib.fly.prices import MARKUPS, affordable, usd_per_second


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


@pytest.mark.parametrize(
    ("expected", "regions", "machines"),
    [
        (3, ("iad",), 3.0),
        (3, ("iad",), 3.9),
        (3, ("iad", "gru"), 3 * MARKUPS["gru"]),
        (3, ("eu",), 3 * MARKUPS["fra"]),
        (3, (), 3 * MARKUPS["gru"]),
    ],
)
def test_a_price_buys_machines_of_the_most_expensive_region(
    expected: int, regions: tuple[str, ...], machines: float
) -> None:
    """The bill stays below it wherever Fly puts them."""
    guest = Guest.parse()
    price = machines * 3600 * usd_per_second(guest, "iad")

    assert expected == affordable(guest, regions, price)


def test_a_price_below_that_of_one_machine_is_refused() -> None:
    """The sentence has both prices."""
    with pytest.raises(ConfigError) as caught:
        affordable(Guest.parse("performance-16x"), ["ams", "fra"], 0.5)

    assert (
        "max_hourly_cost=0.5: one performance-16x@32768mb costs $0.7950 an hour in "
        "ams, fra: allow more, or choose a smaller machine" == str(caught.value)
    )
