"""How the jobs of a machine are ended, given back, and charged."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

import pytest
from children import claimed, fork, turn

from worker_lib.runtime.ended import Ended
from worker_lib.runtime.held import Held
from worker_lib.runtime.poller import Poller
from worker_lib.runtime.process import ChildProcess
from worker_lib.runtime.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from worker_lib.store.claims import ClaimedJob


class Machine:
    """A runner with all that it needs, and what became of its jobs."""

    def __init__(self, child: Callable[[], ChildProcess] = fork) -> None:
        self.held, self.poller = Held(), Poller()
        self.fork: Callable[[], ChildProcess] = fork
        self.runner = Runner(child(), self.fork_next, self.held, self.poller)
        self.ended: list[tuple[ClaimedJob, Ended]] = []

    def fork_next(self) -> ChildProcess:
        """Return the child that comes after one that has ended."""
        return self.fork()

    def works(self, until: Callable[[], object], *jobs: ClaimedJob) -> None:
        """Run these jobs until something is true."""
        self.held.add(jobs)
        self.runner.feed()
        turn(self.poller, until, act=self.act)

    def act(self) -> None:
        """Do what a supervisor does in each turn."""
        self.runner.act(time.monotonic())
        self.ended += self.runner.concluded()
        self.runner.feed()

    def ends(self) -> list[tuple[str, str | None]]:
        """Return how the jobs ended."""
        return [(one.status, one.kind) for _, one in self.ended]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Yield one whose child is loading."""
    made = Machine()
    yield made
    made.runner.close()


def test_a_crash_gives_back_what_had_not_begun(machine: Machine) -> None:
    """And the next child runs what comes then."""
    others = [claimed("jobs:add", 1) for _ in range(3)]
    machine.works(lambda: machine.ended, claimed("jobs:exits_hard", 3), *others)
    assert others == machine.runner.back
    machine.works(lambda: machine.ended[1:], claimed("jobs:add", 1))

    assert [("failed", "exit"), ("succeeded", None)] == machine.ends()


def test_what_a_job_prints_is_passed_on_while_it_runs(
    machine: Machine, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Though what a short job prints is read when it has ended."""
    gate, code = tmp_path / "gate", "import os, time\nprint('begun', flush=True)\n"
    code += f"while not os.path.exists({str(gate)!r}): time.sleep(0.001)"
    printed: list[str] = []

    def has_printed() -> bool:
        printed.append(capfd.readouterr().out)
        return "begun" in "".join(printed)

    machine.works(has_printed, claimed("builtins:exec", code))
    assert not machine.ended
    gate.touch()
    turn(machine.poller, lambda: machine.ended, act=machine.act)

    kept = machine.ended[0][1].printed
    assert kept is not None
    assert b"begun\n" == kept.text()


def test_a_job_that_prints_more_than_a_pipe_holds_is_not_held_up(
    machine: Machine,
) -> None:
    """Its output is read soon, even if nothing else happens."""
    code = "print('x' * 1_000_000)"
    machine.works(lambda: machine.ended, claimed("builtins:exec", code, timeout=10.0))

    assert [("succeeded", None)] == machine.ends()


def test_a_job_that_turns_out_long_keeps_no_other_waiting(
    machine: Machine, tmp_path: Path
) -> None:
    """Other machines get what waits behind it."""
    gate = tmp_path / "gate"
    others = [claimed("jobs:add", 1) for _ in range(3)]
    first = claimed("jobs:waits_for", str(gate))
    machine.works(lambda: machine.runner.back, first, *others)
    assert others == machine.runner.back
    gate.touch()
    machine.works(lambda: machine.ended)

    assert [("succeeded", None)] == machine.ends()


def test_a_timeout_ends_the_job_that_runs_and_no_later_one(
    machine: Machine, tmp_path: Path
) -> None:
    """What is ahead of it in the child is given back first."""
    machine.works(lambda: machine.ended, claimed("jobs:add", 1))
    late = claimed("jobs:waits_for", str(tmp_path / "never"), timeout=1.0)
    other = claimed("jobs:notes", str(tmp_path / "notes"), "ran")
    machine.works(lambda: machine.ended[1:], late, other)
    assert [other] == machine.runner.back
    machine.works(lambda: machine.ended[2:], claimed("jobs:add", 1))

    ends = [("succeeded", None), ("failed", "timeout"), ("succeeded", None)]
    assert ends == machine.ends()
    assert b"" != machine.ended[1][1].envelope
    assert not (tmp_path / "notes").exists()


def test_a_stop_that_comes_too_late_ends_no_job(machine: Machine) -> None:
    """It has ended by itself, though nobody has heard of it yet."""
    machine.held.add([claimed("jobs:add", 1)])
    machine.runner.feed()
    channel = machine.runner._link.process.frames.channel
    assert select.select([channel], [], [], 20)[0]
    machine.runner.stop(Ended("released"))
    machine.works(lambda: machine.ended)
    machine.works(lambda: machine.ended[1:], claimed("jobs:add", 1))

    assert [("succeeded", None)] * 2 == machine.ends()


@pytest.mark.parametrize("status", ["released", "dropped"])
def test_a_task_that_does_not_end_when_asked_is_killed(
    machine: Machine, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the child says after that changes nothing."""
    monkeypatch.setattr("worker_lib.runtime.runner._GRACE", 0.2)
    code = "import time\nwhile True:\n try: print(1); time.sleep(9)\n"
    code += " except BaseException: pass"
    machine.works(
        lambda: machine.runner._link.process.output._kept,
        claimed("builtins:exec", code),
    )
    machine.runner.stop(Ended(status))  # type: ignore[arg-type]  # either of both
    machine.works(lambda: machine.ended)

    assert [(status, None)] == machine.ends()
    printed = machine.ended[0][1].printed
    assert printed is not None
    assert printed.text().startswith(b"1")


def test_a_job_that_was_told_to_end_is_released_with_what_it_used(
    machine: Machine, tmp_path: Path
) -> None:
    """It had the chance to clean up."""
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    words = (str(tmp_path / "never"), str(started), str(cleaned))
    machine.works(started.exists, claimed("jobs:waits_for", *words))
    machine.runner.stop(Ended("released"))
    machine.works(lambda: machine.ended)

    assert [("released", None)] == machine.ends()
    assert machine.ended[0][1].usage.ran > 0
    assert cleaned.exists()


def _dies(_channels: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_child_that_never_runs_anything_fails_one_job() -> None:
    """Another one would end in the same way; what waits behind it is given back."""
    machine = Machine(lambda: ChildProcess(_dies, 1000))
    others = [claimed("jobs:add", 1)]
    machine.works(lambda: machine.ended, claimed("jobs:add", 1), *others)
    machine.runner.close()

    assert [("failed", "not_started")] == machine.ends()
    assert others == machine.runner.back


def test_a_machine_that_cannot_fork_fails_one_job(machine: Machine) -> None:
    """With the cause; what waits behind it is given back."""

    def fails() -> ChildProcess:
        raise OSError("out of processes")

    machine.works(lambda: machine.ended, claimed("jobs:exits_hard", 3))
    machine.fork = fails
    others = [claimed("jobs:add", 1)]
    machine.works(lambda: machine.ended[1:], claimed("jobs:add", 1), *others)

    assert ("failed", "not_started") == machine.ends()[1]
    assert "out of processes" in machine.ended[1][1].error
    assert others == machine.runner.back


def test_a_child_that_loads_for_longer_than_a_timeout_fails_the_job() -> None:
    """Else it would be given back and claimed without an end."""
    machine = Machine(lambda: ChildProcess(lambda _channels: time.sleep(60), 1000))
    machine.works(lambda: machine.ended, claimed("jobs:add", 1, timeout=0.2))
    machine.runner.close()

    assert [("failed", "timeout")] == machine.ends()


def test_a_child_that_died_while_it_was_idle_is_replaced(machine: Machine) -> None:
    """Its next job fails nobody."""
    machine.works(lambda: machine.ended, claimed("jobs:add", 1))
    os.kill(machine.runner._link.process.pid, signal.SIGKILL)
    machine.works(lambda: machine.runner._link.death)
    machine.works(lambda: machine.ended[1:], claimed("jobs:add", 1))

    assert [("succeeded", None)] * 2 == machine.ends()
