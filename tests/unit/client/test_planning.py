"""`Task.plan`: what a fan-out will take, on paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker_lib.client import planning
from worker_lib.client.planning import Pool, forecast
from worker_lib.store import store

LUA = Path(store.__file__).parent / "lua" / "_pools.lua"
SMALL = 7.5e-7


def test_the_script_decides_by_the_same_figures() -> None:
    """They are written down twice, as machines load neither."""
    text = LUA.read_text()
    worth, billed = re.findall(r"WORTH, BILLED_BOOT = (\S+), (\S+)", text)[0]
    (boot,) = re.findall(r"FIRST_MACHINES, FIRST_BOOT = \S+, (\S+)", text)
    (burst,) = re.findall(r"CREATE_BURST = (\S+)", text)
    (wake,) = re.findall(r"FIRST_WAKE = (\S+)", text)

    assert (planning.WORTH, planning.BILLED_BOOT) == (int(worth), float(billed))
    assert (planning.FIRST_BOOT, planning.FIRST_WAKE) == (float(boot), float(wake))
    assert store.CREATE_BURST == int(burst)


@pytest.mark.parametrize(
    ("machines", "seconds", "calls", "run", "boot"),
    [
        (1, 3.1, 1, 0.1, 3.0),
        (1, 6.0, 3, 1.0, 3.0),
        (3, 1.1, 3, 1.0, 0.1),
        (3, 6.4, 100, 0.1, 3.0),
        (10, 110.4, 10, 100.0, 3.0),
        (41, 46.5, 10_000, 0.1, 3.0),
        (100, 1057.7, 10_000, 10.0, 3.0),
    ],
)
def test_machines_and_seconds_are_those_of_equal_calls(
    machines: int, seconds: float, calls: int, run: float, boot: float
) -> None:
    """Each machine starts when it has come, and runs one call after the other."""
    found = forecast(calls, Pool(run=run, boot=boot, most=100))

    assert (machines, machines) == (found.machines, found.creates)
    assert pytest.approx(seconds, abs=0.3) == found.seconds


@pytest.mark.parametrize(("calls", "run"), [(1, 0.2), (7, 2.0), (500, 0.3), (40, 60.0)])
@pytest.mark.parametrize("boot", [0.1, 3.0, 40.0])
def test_the_bill_stays_near_the_pure_run_time(
    calls: int, run: float, boot: float
) -> None:
    """But for the first machine, which there must be, whatever it costs."""
    found = forecast(calls, Pool(run=run, boot=boot, most=1000))

    assert found.machine_seconds <= 1.2 * calls * run + planning.BILLED_BOOT


def test_a_latency_that_is_asked_for_takes_as_few_machines_as_meet_it() -> None:
    """Ten calls of ten seconds: the last of them starts in time."""

    def machines(target: float) -> int:
        pool = Pool(run=10.0, boot=1.0, most=100, target_latency=target)
        return forecast(10, pool).machines

    assert [1, 2, 5, 10] == [machines(target) for target in (300.0, 60.0, 20.0, 0.1)]


def test_parked_machines_come_at_once_and_take_no_creates() -> None:
    """Ten of them, and others if there is work enough for those too."""
    few = forecast(40, Pool(run=1.0, boot=6.0, most=50, parked=10))
    many = forecast(10_000, Pool(run=1.0, boot=6.0, most=50, parked=10))

    assert (10, 0, 5.0) == (few.machines, few.creates, round(few.seconds, 2))
    assert (50, 40) == (many.machines, many.creates)


def test_isolated_calls_take_a_create_each() -> None:
    """So Fly's limit of creates decides how long that takes."""
    pool = Pool(run=0.1, boot=3.0, most=10_000, isolate=True)
    found = forecast(10_000, pool)

    assert (10_000, 6) == (found.creates, found.machines)
    assert pytest.approx(10_000 / store.CREATES_PER_SECOND, rel=0.01) == found.seconds
    assert 6_000 == found.machine_seconds


def test_few_isolated_machines_at_once_take_longer_still() -> None:
    """The next one comes when one has gone."""
    pool = Pool(run=10.0, boot=2.0, most=2, isolate=True)

    assert (2, 60.0) == (forecast(10, pool).machines, forecast(10, pool).seconds)


def test_no_calls_take_nothing() -> None:
    """An empty list is planned like any other."""
    found = forecast(0, Pool(run=1.0, boot=3.0, most=10))

    assert (0, 0, 0.0, 0.0) == (
        found.machines,
        found.commands,
        found.seconds,
        found.machine_seconds,
    )


def test_it_is_printed_in_two_lines() -> None:
    """As a person reads it before saying yes."""
    pool = Pool(run=0.1, boot=3.0, most=100, usd_per_second=SMALL)
    first, second = str(forecast(10_000, pool, basis=("measured", "assumed"))).split(
        "\n"
    )

    assert first == (
        "10,000 calls of 0.1 s (measured), boots of 3 s (assumed): 41 machines at "
        "once, done in about 46 s"
    )
    assert second.startswith("1,020 machine seconds for $0.0008, 41 creates, about 10,")
    assert "1 call of 1 s" in str(forecast(1, Pool(run=1.0, boot=1.0, most=1)))
    assert "2.9 h" in str(
        forecast(10_000, Pool(run=1.0, boot=3.0, most=9999, isolate=True))
    )


def test_what_parked_machines_cost_is_told() -> None:
    """By the GB of the image, whose size Fly does not tell."""
    pool = Pool(run=1.0, boot=1.0, most=10, park=2, park_for=30 * 86400.0)
    found = forecast(100, pool)

    assert 2 == found.parked
    assert pytest.approx(0.3) == found.parked_usd
    assert str(found).endswith(
        "2 machines stay parked, for at most $0.3000 for each GB of the image"
    )
    assert 1 == forecast(1, pool).parked
