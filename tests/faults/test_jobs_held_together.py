"""A machine that holds several jobs at once: each of them is still a job of its own."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from fly_calls import restart_machine, stop_machine
from waiting import until

from worker_lib import Crashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos import ChaosProxy
    from ledger import Ledger

    from worker_lib import Job
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

# As many as a machine needs to trust that jobs are short, and some more.
MANY = 120


class Crowd:
    """Short jobs that wait while the first one keeps their only machine busy."""

    def __init__(self, ledger: Ledger, gate: Path) -> None:
        self.ledger = ledger
        self.gate = gate
        self.running: list[Job[Any]] = []

    def add(self, call: Any, *arguments: Any, **named: Any) -> Job[Any]:
        """Store one more, for the same machine."""
        one = call.options(max_machines=1, timeout=60, memory_mb=256)
        self.running.append(one.delay(*arguments, **named))
        return self.running[-1]

    def works(self, count: int) -> None:
        """Store so many that note their runs."""
        for number in range(count):
            self.add(jobs.works, str(self.ledger), value=number)

    def outcomes(self) -> list[list[str]]:
        """Return how the attempts of each ended."""
        return [[one.outcome for one in job.attempts] for job in self.running]

    def runs(self) -> dict[str, int]:
        """Return how often each job began."""
        begun: dict[str, int] = {}
        for entry in self.ledger.starts:
            begun[entry.job] = begun.get(entry.job, 0) + 1
        return begun


@pytest.fixture
def crowd(client: Client, ledger: Ledger, tmp_path: Path) -> Iterator[Crowd]:
    """Yield one whose machine is busy until its gate is opened."""
    made = Crowd(ledger, tmp_path / "gate")
    made.add(jobs.works, str(ledger), gate=str(made.gate))
    until(lambda: ledger.starts)
    yield made
    made.gate.touch()


def test_many_short_jobs_take_few_commands(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """In their order; each has its own outcome, time and attempt."""
    make_client(make_emulator(redis_url=proxy.url), lease_ttl=10.0)
    crowd = Crowd(ledger, tmp_path / "gate")
    crowd.add(jobs.works, str(ledger), gate=str(crowd.gate), value=-1)
    crowd.works(3 * MANY)
    until(lambda: ledger.starts)
    crowd.gate.touch()

    assert list(range(-1, 3 * MANY)) == [job.result(30) for job in crowd.running]
    assert [job.id for job in crowd.running] == [one.job for one in ledger.starts]
    assert proxy.seen["claim"] + proxy.seen["finish"] < 2.5 * MANY
    infos = [job.info() for job in crowd.running]
    assert [1] * len(infos) == [one.attempt for one in infos]
    assert all(one.started_at and one.ended_at for one in infos)


def test_a_crash_is_held_against_the_job_that_ran(crowd: Crowd) -> None:
    """Those behind it, which its machine held already, run once and uncharged."""
    crowd.works(MANY)
    crash = crowd.add(jobs.exits_hard, 3)
    crowd.works(MANY)
    crowd.gate.touch()
    with pytest.raises(Crashed):
        crash.result(30)
    crowd.running.remove(crash)
    for job in crowd.running:
        job.result(30)

    assert [["succeeded"]] * len(crowd.running) == crowd.outcomes()
    assert {1} == {*crowd.runs().values()}


def test_a_job_that_turns_out_long_keeps_no_other_waiting(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """What its machine held behind it is taken by the other one."""
    gates = [tmp_path / "first", tmp_path / "second"]
    works = jobs.works.options(max_machines=2)
    held = [works.delay(str(ledger), gate=str(gate)) for gate in gates]
    until(lambda: len(ledger.starts) == 2)
    short = [works.delay(str(ledger), value=n) for n in range(MANY)]
    long = works.delay(str(ledger), gate=str(tmp_path / "long"))
    short += [works.delay(str(ledger), value=n) for n in range(MANY)]
    for gate in gates:
        gate.touch()
    for job in (*held, *short):
        job.result(30)
    assert "running" == long.status
    (tmp_path / "long").touch()
    long.result(30)

    assert [["succeeded"]] * len(short) == [
        [one.outcome for one in job.attempts] for job in short
    ]
    assert 2 * MANY + 3 == len(ledger.starts)


@pytest.mark.parametrize("how", ["stop", "kill", "restart"])
def test_a_machine_that_ends_in_the_middle_loses_and_doubles_nothing(
    client: Client, crowd: Crowd, how: str, tmp_path: Path
) -> None:
    """What it held and had not begun runs once, elsewhere, and is not charged."""
    crowd.works(MANY)
    second = tmp_path / "second"
    middle = crowd.add(jobs.waits_for, str(second), str(tmp_path / "started"))
    crowd.works(MANY)
    crowd.gate.touch()
    until((tmp_path / "started").exists)
    until(lambda: crowd.running[MANY].status == "succeeded")
    last = crowd.ledger.starts[-1]
    if how == "stop":
        stop_machine(client, last.machine)
    elif how == "restart":
        restart_machine(client, last.machine, "SIGKILL")
    else:
        os.kill(last.supervisor, signal.SIGKILL)
    until(lambda: len(middle.attempts) > 1, within=30)
    second.touch()
    for job in crowd.running:
        job.result(30)

    first = {"stop": "released"}.get(how, "lost")
    assert [first, "succeeded"] == [one.outcome for one in middle.attempts]
    crowd.running.remove(middle)
    assert [["succeeded"]] * len(crowd.running) == crowd.outcomes()
    assert {1} == {*crowd.runs().values()}


def test_a_job_that_is_cancelled_before_it_begins_does_not_run(
    client: Client, crowd: Crowd, tmp_path: Path
) -> None:
    """Though it waits behind others, and its machine may hold it already."""
    crowd.works(MANY)
    cancelled = [crowd.add(jobs.works, str(crowd.ledger)) for _ in range(5)]
    crowd.works(5)
    for job in cancelled:
        assert job.cancel()
        crowd.running.remove(job)
    crowd.gate.touch()
    for job in crowd.running:
        job.result(30)

    assert not {job.id for job in cancelled} & {*crowd.runs()}
    assert ["cancelled"] * 5 == [job.status for job in cancelled]


def test_each_job_keeps_its_own_output(client: Client, crowd: Crowd) -> None:
    """Though its machine reads that of several at once."""
    crowd.works(MANY)
    talks = [crowd.add(jobs.says, f"this is {number}") for number in range(40)]
    crowd.gate.touch()
    for job in crowd.running:
        job.result(30)

    assert [f"this is {number}\n" for number in range(40)] == [
        one.logs() for one in talks
    ]
