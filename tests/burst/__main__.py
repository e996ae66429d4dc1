"""`python -m tests.burst`: play every scenario, print the table and what is missed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, get_args

from tests.bench.rig import start_valkey
from worker_lib.fly.latencies import Latencies
from worker_lib.fly.prices import USD_PER_COMMAND

from .machine import Times
from .scenario import Kind, Scenario, play

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .scenario import Outcome

_TITLES = (
    *("", "seconds", "faster", "machines", "creates", "starts", "429s", "told"),
    *("machine s", "of pure run", "$", "Redis commands", "$"),
)
# Of calls of so many seconds: so many times as fast as one machine per call.
_GOAL_RUN, _GOAL_FASTER, _GOAL_BILL = 0.1, 100.0, 1.2


def main() -> int:
    """Play, print, return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.burst", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--machines", type=int, default=50, help="max_machines of ours")
    parser.add_argument("--runs", default="0.1,1,10", help="seconds that a call takes")
    parser.add_argument(
        "--latencies", default="fly", help="as fly,pull=90; see fly/latencies.py"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    began, scenarios = time.monotonic(), list(_scenarios(arguments))
    with ProcessPoolExecutor() as processes:
        played = list(zip(scenarios, processes.map(_play, scenarios), strict=True))
    missed = _missed(played)
    if arguments.json:
        print(_as_json(played))
    else:
        print(_about(played[0][0]), _table(played), sep="\n")
        print(f"\n{time.monotonic() - began:.0f} s in all;", *missed or ["goal met"])
    return 1 if missed else 0


def _scenarios(arguments: argparse.Namespace) -> Iterator[Scenario]:
    takes = Latencies.parse(arguments.latencies)
    for run in map(float, arguments.runs.split(",")):
        for kind in get_args(Kind):
            yield Scenario(
                kind=kind,
                calls=arguments.calls,
                machines=arguments.machines,
                times=Times(run=run),
                latencies=takes,
            )


def _play(scenario: Scenario) -> Outcome:
    with start_valkey() as path:
        return play(scenario, path)


def _missed(played: Sequence[tuple[Scenario, Outcome]]) -> list[str]:
    """Return what keeps the goal from being met, a sentence each."""
    found = []
    naive = {one.times.run: out.seconds for one, out in played if one.kind == "naive"}
    for one, out in played:
        where = f"{one.name} of {one.times.run:g} s:"
        if out.done != one.calls or out.told:
            found.append(f"{where} {out.done} done, {out.told} refusals told;")
        if not one.is_ours:
            continue
        if out.machine_seconds > _GOAL_BILL * one.calls * one.times.run:
            found.append(f"{where} {out.machine_seconds:.0f} machine seconds;")
        faster = naive[one.times.run] / out.seconds
        if one.times.run == _GOAL_RUN and faster < _GOAL_FASTER:
            found.append(f"{where} only {faster:.0f} times as fast;")
    return found


def _about(scenario: Scenario) -> str:
    takes = dataclasses.asdict(scenario.latencies) | dataclasses.asdict(scenario.times)
    del takes["run"]
    told = ", ".join(f"{name} {value:g}" for name, value in takes.items())
    return (
        f"{scenario.calls:,} calls at once, max_machines={scenario.machines}; seconds "
        f"of {told}; one create a second, one start and one suspend a second and "
        "machine, three at once\n"
    )


def _table(played: Sequence[tuple[Scenario, Outcome]]) -> str:
    naive = {one.times.run: out.seconds for one, out in played if one.kind == "naive"}
    rows = [_TITLES, *(_row(*one, naive[one[0].times.run]) for one in played)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(size) for cell, size in others)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _row(one: Scenario, out: Outcome, naive: float) -> tuple[str, ...]:
    return (
        f"{one.times.run:g} s: {one.name}",
        f"{out.seconds:,.1f}",
        f"{naive / out.seconds:,.1f}x",
        f"{out.machines:,}",
        f"{out.creates:,}",
        f"{out.starts:,}",
        f"{out.refused:,}",
        f"{out.told:,}",
        f"{out.machine_seconds:,.0f}",
        f"{out.machine_seconds / (one.calls * one.times.run):.2f}x",
        f"{out.usd:.4f}",
        f"{out.commands:,}",
        f"{out.commands * USD_PER_COMMAND:.4f}",
    )


def _as_json(played: Sequence[tuple[Scenario, Outcome]]) -> str:
    found = [dataclasses.asdict(one) | dataclasses.asdict(out) for one, out in played]
    return json.dumps(found, indent=2)


if __name__ == "__main__":
    sys.exit(main())
