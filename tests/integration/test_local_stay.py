"""A local stack goes on with the jobs of programs that have ended, for a while."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from home import TASKS, Home, home_for_a_test, line_of
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
def home() -> Iterator[Home]:
    """A home that is removed afterwards."""
    with home_for_a_test() as made:
        (made.project / "tasks.py").write_text(TASKS)
        yield made


def leave_a_job(home: Home, delay: float = 0.0) -> tuple[str, str]:
    """Run a program that stores a job and ends; return the job's id and its log."""
    gate, started = str(home.top / "gate"), str(home.top / "started")
    code = LEAVES.format(gate=gate, started=started, delay=delay)
    with home.start("-c", code) as program:
        out, err = program.communicate(timeout=50)
    return out.strip(), err


def starts(home: Home) -> int:
    """Return how often the job has been started."""
    return len((home.top / "started").read_text().splitlines())


def note_of(home: Home) -> dict[str, object]:
    """Return what the stack that ended has noted."""
    (path,) = home.top.glob("state/worker_lib/*/left.json")
    note: dict[str, object] = json.loads(path.read_text())
    return note


def test_a_job_outlives_the_program_that_made_it(home: Home) -> None:
    """It runs once, to its end; then all is gone, and its result is still there."""
    job_id, told = leave_a_job(home)
    text_of(home.top / "started")
    assert home.processes("worker_lib.local.stack")
    (home.top / "gate").touch()

    until(lambda: not home.processes(), within=20)
    expected = "1 job is still running"
    assert expected in told or expected.replace("running", "running or wait") in told
    assert "the local stack stays up for it (at most 10 minutes)" in told
    assert {"worker_lib": 0} == note_of(home)["unfinished"]
    assert "42\n" == home.run("-c", ASKS.format(job_id))
    assert 1 == starts(home)


def test_a_quiet_command_tells_nothing_of_it(home: Home) -> None:
    """Another one does."""
    words = ["-m", "worker_lib", "enqueue", "tasks:add", "1", "2", "--option"]
    late = [*words, "delay=2h"]
    told = []
    for options in ([], ["-q"]):
        with home.start(*late, *options) as program:
            out, err = program.communicate(timeout=50)
        assert (0, 21) == (program.returncode, len(out))
        told.append(err)
    with home.start("-m", "worker_lib", "dev", "-q", "--", "true") as program:
        told.append(program.communicate(timeout=50)[1])

    assert ["worker_lib: 1 job is due later, with the next program\n", "", ""] == told


def test_a_job_that_is_due_soon_runs_though_nobody_is_there(home: Home) -> None:
    """The stack launches its machine itself, with the caller's environment."""
    (home.top / "gate").touch()
    leave_a_job(home, delay=4.0)

    text_of(home.top / "started")
    until(lambda: not home.processes(), within=20)
    assert {"worker_lib": 0} == note_of(home)["unfinished"]


def test_a_job_that_is_due_late_waits_for_the_next_program(home: Home) -> None:
    """Nothing stays up for hours."""
    _, told = leave_a_job(home, delay=3600.0)

    until(lambda: not home.processes(), within=20)
    assert told == "worker_lib: 1 job is due later, with the next program\n"
    assert {"worker_lib": 1} == note_of(home)["unfinished"]


def test_a_stack_stays_no_longer_than_it_may(home: Home) -> None:
    """Its job goes on with the next one."""
    home.env["WORKER_LIB_LOCAL_STAY"] = "4s"
    job_id, told = leave_a_job(home)
    text_of(home.top / "started")

    until(lambda: not home.processes(), within=20)
    assert "(at most 4 s)" in told
    assert {"worker_lib": 1} == note_of(home)["unfinished"]
    (home.top / "gate").touch()
    assert "42\n" == home.run("-c", ASKS.format(job_id))
    assert 2 == starts(home)


def test_a_stack_with_sockets_elsewhere_is_told_apart(home: Home) -> None:
    """Two servers would write to one file."""
    other = home.top / "other"
    other.mkdir()
    code = "import sys, tasks; print(tasks.add.remote(1, 2)); sys.stdin.readline()"
    with home.start("-c", code) as first:
        line_of(first)
        with home.start("-c", code, XDG_RUNTIME_DIR=str(other)) as second:
            _, told = second.communicate(timeout=40)
        first.communicate("\n", timeout=20)

    assert "give all its programs the same XDG_RUNTIME_DIR and TMPDIR" in told
