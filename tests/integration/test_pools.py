"""How jobs share machines: how many, in what order, for how long."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from scripts import environment_of, run_script, start_script
from waiting import is_running, until

from worker_lib import Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator


def test_fifty_jobs_drain_through_one_machine_in_their_order(
    client: Client, emulator: Emulator, ledger: Ledger, tmp_path: Path
) -> None:
    """With one machine allowed there is one, and first in is first out."""
    gate = tmp_path / "gate"
    works = jobs.works.options(max_machines=1)
    running = [works.delay(str(ledger), gate=str(gate), value=n) for n in range(50)]
    gate.touch()

    assert list(range(50)) == [job.result(timeout=30) for job in running]
    assert [job.id for job in running] == [entry.job for entry in ledger.starts]
    assert 1 == len({entry.machine for entry in ledger.starts})
    assert 1 == len(emulator.billing()["machines"])


def test_a_machine_holds_no_more_than_it_reports(client: Client) -> None:
    """However many wait: jobs that have ended count, too, until Redis is told."""
    batch = jobs.add.options(max_machines=1).delay_many((n, 1) for n in range(4000))

    most = 0
    while (counts := batch.counts)["succeeded"] < 4000:
        most = max(most, counts["running"])
    assert 1 < most <= 96


def test_a_queue_goes_before_the_next_one(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """While a machine is busy, jobs line up by queue, then by order of arrival."""
    gate = tmp_path / "gate"
    works = jobs.works.options(max_machines=1)
    first = works.delay(str(ledger), gate=str(gate))
    until(lambda: ledger.starts)
    low, default, high = (
        works.options(queue=name).delay(str(ledger))
        for name in ("low", "default", "high")
    )
    gate.touch()
    for job in (first, low, default, high):
        job.result(timeout=20)

    wanted = [job.id for job in (first, high, default, low)]
    assert wanted == [entry.job for entry in ledger.starts]


def test_jobs_spread_over_as_many_machines_as_are_allowed(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Three jobs that wait for each other run, if three machines are allowed."""
    gate = tmp_path / "gate"
    works = jobs.works.options(max_machines=3)
    running = [works.delay(str(ledger), gate=str(gate)) for _ in range(5)]
    until(lambda: len(ledger.starts) == 3)
    gate.touch()
    for job in running:
        job.result(timeout=20)

    assert 3 == ledger.most_at_once()


def test_two_processes_never_exceed_the_allowance_together(
    client: Client, ledger: Ledger
) -> None:
    """The allowance belongs to the pool, not to the process that submits."""
    code = f"""
import jobs
works = jobs.works.options(max_machines=2)
running = [works.delay({str(ledger)!r}, seconds=0.05) for _ in range(12)]
print(sum(job.result(timeout=40) for job in running))
"""
    programs = [start_script(code, client) for _ in range(2)]
    for program in programs:
        with program:
            out, err = program.communicate(timeout=45)
        assert ("0\n", 0) == (out, program.returncode), err

    assert 24 == len(ledger.ends)
    assert ledger.most_at_once() <= 2
    assert len({entry.machine for entry in ledger.starts}) <= 4


def test_different_sizes_never_share_a_machine(client: Client, ledger: Ledger) -> None:
    """A job that asks for another guest gets one of its own."""
    works = jobs.works.options(linger="5s")
    small = works.delay(str(ledger))
    large = works.options(memory_mb=512).delay(str(ledger))
    small.result(timeout=20)
    large.result(timeout=20)

    assert 2 == len({entry.machine for entry in ledger.starts})


def test_isolated_calls_never_share_a_machine(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Each gets one of its own, which ends, though further calls wait."""
    works = jobs.works.options(isolate=True, max_machines=2)
    for job in [works.delay(str(ledger)) for _ in range(5)]:
        job.result(timeout=30)

    assert 5 == len({entry.machine for entry in ledger.starts})
    assert 5 == len(emulator.billing()["machines"])
    assert ledger.most_at_once() <= 2


def test_short_calls_share_few_machines_once_it_is_known_that_they_are_short(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """A boot costs more than they do."""
    works = jobs.works.options(max_machines=8)
    works.delay(str(ledger)).result(timeout=20)
    until(lambda: not any(one["running"] for one in emulator.billing()["machines"]))
    for job in [works.delay(str(ledger)) for _ in range(12)]:
        job.result(timeout=30)

    assert len(emulator.billing()["machines"]) <= 3


def test_long_calls_get_machines_although_those_before_were_short(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """Nobody waits for ever behind a call that takes long."""
    works = jobs.works.options(max_machines=3)
    works.delay(str(ledger)).result(timeout=20)
    gate = tmp_path / "gate"
    running = [works.delay(str(ledger), gate=str(gate)) for _ in range(3)]
    until(lambda: len(ledger.starts) == 4, within=30)
    gate.touch()
    for job in running:
        job.result(timeout=20)

    assert 3 == ledger.most_at_once()


def test_a_lingering_machine_takes_the_next_call(
    client: Client, emulator: Emulator, ledger: Ledger
) -> None:
    """Within `linger` a second call needs no boot."""
    works = jobs.works.options(linger="20s")
    works.delay(str(ledger)).result(timeout=20)
    second = works.delay(str(ledger))
    second.result(timeout=20)

    assert 1 == len(emulator.billing()["machines"])
    assert second.attempts[0].boot_s is None


def test_a_lingering_machine_ends_when_its_time_is_over(
    client: Client, ledger: Ledger
) -> None:
    """It waits as long as it was told to after its last job, and not much longer."""
    works = jobs.works.options(linger="1s")
    for _ in range(3):
        works.delay(str(ledger)).result(timeout=20)
    machine = ledger.starts[0].supervisor
    assert 1 == len({entry.supervisor for entry in ledger.starts})

    until(lambda: not is_running(machine), within=5)
    assert 0.9 <= time.monotonic() - ledger.ends[-1].at <= 4


def test_a_lingering_machine_does_not_outlive_its_lifetime(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    ledger: Ledger,
) -> None:
    """It leaves when it would take no further job, rather than wait for one."""
    make_client(make_emulator(), max_lifetime=3.0)
    jobs.works.options(linger="60s").delay(str(ledger)).result(timeout=20)
    (started,) = ledger.starts

    until(lambda: not is_running(started.supervisor), within=6)


def test_a_machine_that_waits_sends_nothing(client: Client, ledger: Ledger) -> None:
    """A lingering machine blocks in one command, also after it was woken once."""
    import redis

    works = jobs.works.options(linger="20s")
    for _ in range(3):
        works.delay(str(ledger)).result(timeout=20)
    with redis.Redis.from_url(client.settings.redis_url) as connection:

        def calls() -> int:
            stats = connection.info("commandstats")
            return sum(
                one["calls"]
                for name, one in stats.items()
                if name in {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_blpop"}
            )

        until(lambda: _steady(calls), within=5)


def _steady(count: Callable[[], int]) -> bool:
    before = count()
    time.sleep(0.7)
    return before == count()


def test_a_delayed_job_starts_when_it_is_due(client: Client, ledger: Ledger) -> None:
    """Until then it is `scheduled`, and no machine waits for it."""
    began = time.monotonic()
    job = jobs.works.options(delay="1.5s").delay(str(ledger))

    assert "scheduled" == job.status
    due = job.info().due_at
    assert due
    job.result(timeout=20)
    assert 1.5 <= ledger.starts[0].at - began <= 6
    assert job.attempts[0].started_at >= due


def test_another_process_launches_what_is_due(client: Client, ledger: Ledger) -> None:
    """The process that scheduled a job need not live when its time comes."""
    code = f"""
import jobs
print(jobs.works.options(delay="1s").delay({str(ledger)!r}, value=5).id)
"""
    job_id = run_script(code, client).strip()

    assert 5 == Job.get(job_id).result(timeout=20)


@pytest.mark.processes_only("the tests' own image has no libraries for a script")
def test_a_script_runs_functions_of_its_own(client: Client, tmp_path: Path) -> None:
    """What is defined in `__main__` travels by value, exceptions included."""
    script = tmp_path / "script.py"
    script.write_text("""
import dataclasses
from worker_lib import fly_task

class Trouble(Exception):
    pass

@dataclasses.dataclass
class Point:
    x: int
    y: int

def helper(x):
    return x + 1

@fly_task
def moved(point):
    if point.x < 0:
        raise Trouble("negative")
    return Point(helper(point.x), point.y)

if __name__ == "__main__":
    print(moved.remote(Point(1, 2)) == Point(2, 2))
    try:
        moved.remote(Point(-1, 0))
    except Trouble as error:
        print("caught", error)
""")
    import subprocess

    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment_of(client),
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )

    assert ("True\ncaught negative\n", 0) == (done.stdout, done.returncode), done.stderr


def test_a_forked_process_can_use_what_its_parent_has_used(client: Client) -> None:
    """As with gunicorn's preload: both sides go on, each on connections of its own."""
    code = """
import os, jobs
from worker_lib import Job
before = jobs.add.delay(1, 1)
assert before.result(timeout=20) == 2
pid = os.fork()
values = [jobs.add.delay(n, n).result(timeout=20) for n in range(5)]
assert Job.get(before.id).result(timeout=5) == 2
print(os.getpid(), values, flush=True)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    out = run_script(code, client)

    lines = [line.partition(" ")[2] for line in out.splitlines()]
    assert ["[0, 2, 4, 6, 8]"] * 2 == lines


def test_a_job_that_must_not_run_twice_fails_when_its_machine_is_lost(
    client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    """`on_lost="fail"` runs at most once: the loss is the outcome."""
    import os
    import signal

    from worker_lib import JobFailed

    job = jobs.works.options(on_lost="fail").delay(
        str(ledger), gate=str(tmp_path / "never")
    )
    (started,) = until(lambda: ledger.starts)
    os.kill(started.supervisor, signal.SIGKILL)

    with pytest.raises(JobFailed) as caught:
        job.result(timeout=20)
    assert ("lost", 1) == (caught.value.kind, len(ledger.starts))
    assert ["lost"] == [one.outcome for one in job.attempts]
