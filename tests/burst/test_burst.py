"""A small burst of each kind, and the plan of it beside what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from tests.bench.rig import start_valkey
from worker_lib.client.planning import Pool, forecast
from worker_lib.fly.latencies import FLY

from .machine import Times
from .scenario import Kind, Scenario, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .scenario import Outcome

_CALLS, _MACHINES = 300, 20
_SHORT = Times(run=0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A server of their own: a scenario counts all commands, and clears up."""
    with start_valkey() as path:
        yield path


@pytest.fixture(scope="module")
def bursts(server: Path) -> dict[Kind, Outcome]:
    """One burst of each kind, of short calls."""
    return {
        kind: play(
            Scenario(kind=kind, calls=_CALLS, machines=_MACHINES, times=_SHORT), server
        )
        for kind in get_args(Kind)
    }


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_call_ends_and_nobody_hears_of_a_refusal(
    bursts: dict[Kind, Outcome], kind: Kind
) -> None:
    """However many machines it takes."""
    assert (_CALLS, 0) == (bursts[kind].done, bursts[kind].told)


def test_one_machine_per_call_waits_for_fly_to_create_them(
    bursts: dict[Kind, Outcome],
) -> None:
    """What the others are compared with keeps to the limit, and no more."""
    naive = bursts["naive"]

    assert _CALLS == naive.creates
    assert _CALLS <= naive.seconds <= 1.1 * _CALLS + 10


@pytest.mark.parametrize(("kind", "most"), [("ours", 1.2), ("ours parked", 1.3)])
def test_few_machines_are_faster_and_cost_little_more_than_the_calls(
    bursts: dict[Kind, Outcome], kind: Kind, most: float
) -> None:
    """`make burst` plays ten thousand calls, and wants a hundred times as fast."""
    ours = bursts[kind]

    assert ours.seconds <= bursts["naive"].seconds / 15
    assert ours.machine_seconds <= most * _CALLS * _SHORT.run
    assert ours.refused == 0
    assert ours.commands <= bursts["naive"].commands / 3


def test_parked_machines_take_no_creates(bursts: dict[Kind, Outcome]) -> None:
    """They are started, each under a limit of its own."""
    ours, cold = bursts["ours parked"], bursts["ours"]

    assert (0, True) == (ours.creates, 1 <= ours.starts <= _MACHINES)
    assert ours.seconds <= cold.seconds / 2


@pytest.mark.parametrize(("calls", "run"), [(_CALLS, 0.1), (60, 1.0), (30, 20.0)])
def test_the_plan_of_a_burst_comes_true(server: Path, calls: int, run: float) -> None:
    """Once it is known what calls and boots take."""
    scenario = Scenario(
        kind="ours", calls=calls, machines=_MACHINES, times=Times(run=run), known=True
    )
    outcome = play(scenario, server)
    boot = outcome.measured["boot"]
    plan = forecast(calls, Pool(run=run, boot=boot, most=_MACHINES))

    assert pytest.approx(FLY.create + FLY.pull + FLY.boot, abs=1) == boot
    assert pytest.approx(outcome.seconds, rel=0.15) == plan.seconds
    assert pytest.approx(outcome.machine_seconds, rel=0.1) == plan.machine_seconds
    assert pytest.approx(outcome.machines, abs=2) == plan.machines
    assert pytest.approx(outcome.commands, rel=0.3) == plan.commands
