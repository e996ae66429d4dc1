"""A local stack goes on with the jobs of programs that have ended, for a while."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from desk import TASKS, Desk, desk_for_a_test, line_of
from waiting import text_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVES = """
import tasks
job = tasks.waits.options(delay={delay!r}).delay({gate!r}, {started!r})
print(job.id)
"""
ASKS = "from worker_lib import Job; print(Job.get({!r}).result(timeout=30))"


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk that is cleared afterwards."""
    with desk_for_a_test() as made:
        (made.project / "tasks.py").write_text(TASKS)
        yield made


def leave_a_job(desk: Desk, delay: float = 0.0) -> tuple[str, str]:
    """Run a program that stores a job and ends; return the job's id and its log."""
    gate, started = str(desk.top / "gate"), str(desk.top / "started")
    code = LEAVES.format(gate=gate, started=started, delay=delay)
    with desk.start("-c", code) as program:
        out, err = program.communicate(timeout=50)
    return out.strip(), err


def starts(desk: Desk) -> int:
    """Return how often the job has been started."""
    return len((desk.top / "started").read_text().splitlines())


def note_of(desk: Desk) -> dict[str, object]:
    """Return what the stack that ended has noted."""
    (path,) = desk.top.glob("state/worker_lib/*/left.json")
    note: dict[str, object] = json.loads(path.read_text())
    return note


def test_a_job_outlives_the_program_that_made_it(desk: Desk) -> None:
    """It runs once, to its end; then all is gone, and its result is still there."""
    job_id, told = leave_a_job(desk)
    text_of(desk.top / "started")
    assert desk.processes("worker_lib.local.stack")
    (desk.top / "gate").touch()

    until(lambda: not desk.processes(), within=20)
    expected = "1 job is still running"
    assert expected in told or expected.replace("running", "running or wait") in told
    assert "the local stack stays up for it (at most 10 minutes)" in told
    assert {"worker_lib": 0} == note_of(desk)["unfinished"]
    assert "42\n" == desk.run("-c", ASKS.format(job_id))
    assert 1 == starts(desk)


def test_a_job_that_is_due_soon_runs_though_nobody_is_there(desk: Desk) -> None:
    """The stack launches its machine itself, with the caller's environment."""
    (desk.top / "gate").touch()
    leave_a_job(desk, delay=4.0)

    text_of(desk.top / "started")
    until(lambda: not desk.processes(), within=20)
    assert {"worker_lib": 0} == note_of(desk)["unfinished"]


def test_a_job_that_is_due_late_waits_for_the_next_program(desk: Desk) -> None:
    """Nothing stays up for hours."""
    _, told = leave_a_job(desk, delay=3600.0)

    until(lambda: not desk.processes(), within=20)
    assert told == "worker_lib: 1 job is due later, with the next program\n"
    assert {"worker_lib": 1} == note_of(desk)["unfinished"]


def test_a_stack_stays_no_longer_than_it_may(desk: Desk) -> None:
    """Its job goes on with the next one."""
    desk.env["WORKER_LIB_LOCAL_STAY"] = "4s"
    job_id, told = leave_a_job(desk)
    text_of(desk.top / "started")

    until(lambda: not desk.processes(), within=20)
    assert "(at most 4 s)" in told
    assert {"worker_lib": 1} == note_of(desk)["unfinished"]
    (desk.top / "gate").touch()
    assert "42\n" == desk.run("-c", ASKS.format(job_id))
    assert 2 == starts(desk)


def test_a_stack_with_sockets_elsewhere_is_told_apart(desk: Desk) -> None:
    """Two servers would write to one file."""
    other = desk.top / "other"
    other.mkdir()
    code = "import sys, tasks; print(tasks.add.remote(1, 2)); sys.stdin.readline()"
    with desk.start("-c", code) as first:
        line_of(first)
        with desk.start("-c", code, XDG_RUNTIME_DIR=str(other)) as second:
            _, told = second.communicate(timeout=40)
        first.communicate("\n", timeout=20)

    assert "give all its programs the same XDG_RUNTIME_DIR and TMPDIR" in told
