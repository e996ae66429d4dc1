"""However a task ends, its job does: with the right kind and a sentence for people."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from waiting import is_running, text_of, until

from worker_lib import (
    Crashed,
    JobFailed,
    JobTimeout,
    MachineLost,
    NotLoadable,
    OutOfMemory,
    StartFailed,
    fly_task,
)

if TYPE_CHECKING:
    from pathlib import Path

    from worker_lib.client.client import Client
    from worker_lib.client.handle import Job
    from worker_lib.task import Task


TYPES = {
    "exit": Crashed,
    "signal": Crashed,
    "out_of_memory": OutOfMemory,
    "timeout": JobTimeout,
    "lost": MachineLost,
    "refused": NotLoadable,
    "not_started": StartFailed,
}


def failure_of(job: Job[object], within: float = 20.0) -> JobFailed:
    """Return what a failed job raises, having checked what is told of it elsewhere."""
    with pytest.raises(JobFailed) as caught:
        job.result(timeout=within)
    (attempt,) = job.attempts
    assert ("failed", caught.value.kind) == (job.status, attempt.outcome)
    assert type(caught.value) is TYPES[caught.value.kind]
    assert job.id == caught.value.job_id
    return caught.value


def test_sys_exit_fails_the_job(client: Client) -> None:
    """A task that leaves by SystemExit has not succeeded, whatever its code."""
    failed = failure_of(jobs.exits.delay(0))

    assert ("exit", 0) == (failed.kind, failed.exit_code)
    assert "the task called sys.exit(0)" in str(failed)


def test_ending_the_process_fails_the_job(client: Client) -> None:
    """`os._exit` leaves no exception, but an exit code."""
    failed = failure_of(jobs.exits_hard.delay(3))

    assert ("exit", 3) == (failed.kind, failed.exit_code)
    assert "the task ended its process with exit code 3" in str(failed)


def test_a_segmentation_fault_fails_the_job_and_shows_where(client: Client) -> None:
    """The signal is named, and the traceback that Python left is kept."""
    failed = failure_of(jobs.crashes.delay())

    assert isinstance(failed, Crashed)
    assert ("signal", 11, "SIGSEGV") == (
        failed.kind,
        failed.signal_number,
        failed.signal_name,
    )
    assert "killed by SIGSEGV" in str(failed)
    assert "in crashes" in failed.remote_traceback


def test_running_out_of_memory_fails_the_job_and_names_the_remedy(
    client: Client,
) -> None:
    """It is no mere SIGKILL: the kind says what happened, the message what to do."""
    failed = failure_of(jobs.eats.delay(600), within=40)

    assert "out_of_memory" == failed.kind
    assert "give it more with memory_mb=" in str(failed)


@pytest.mark.processes_only("containers do not see a module of the test's folder")
def test_a_module_that_exits_when_it_is_imported_cannot_be_loaded(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task did not run, so it is not told as a crash of the task."""
    (tmp_path / "leaves.py").write_text("def task(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    leaves = importlib.import_module("leaves")
    (tmp_path / "leaves.py").write_text("raise SystemExit('no licence')\n")

    failed = failure_of(fly_task(leaves.task).delay())

    assert "refused" == failed.kind
    assert "no licence" in str(failed)


def test_running_out_of_time_fails_the_job_and_shows_where(client: Client) -> None:
    """The traceback tells where the task was when its time was over."""
    began = time.monotonic()
    failed = failure_of(jobs.hangs.delay())

    assert "timeout" == failed.kind
    assert "the attempt ran longer than its timeout" in str(failed)
    assert "in hangs" in failed.remote_traceback
    assert time.monotonic() - began < 5


def test_a_task_that_ignores_its_timeout_is_killed(client: Client) -> None:
    """Two seconds after it was asked to end, it is ended."""
    began = time.monotonic()
    failed = failure_of(jobs.refuses_to_end.delay())

    assert "timeout" == failed.kind
    assert "longer than its timeout of 0.5 s" in str(failed)
    assert time.monotonic() - began < 7


@pytest.mark.parametrize("then", ["exit", "hang"])
def test_what_a_task_started_ends_with_it(
    client: Client, tmp_path: Path, then: str
) -> None:
    """Children that it started or forked are killed, and none holds up the end."""
    noted = tmp_path / "pids"
    timeout = "30s" if then == "exit" else "1s"
    job = jobs.has_children.options(timeout=timeout).delay(str(noted), then)

    failed = failure_of(job, within=8)

    assert ("exit" if then == "exit" else "timeout") == failed.kind
    pids = [int(pid) for pid in text_of(noted).split()]
    assert 3 == len(pids)
    until(lambda: not any(map(is_running, pids)), within=5)


@pytest.mark.parametrize(
    ("deadly", "kind"), [(jobs.exits_hard, "exit"), (jobs.crashes, "signal")]
)
def test_the_machine_outlives_its_task_and_takes_the_next_job(
    client: Client, deadly: Task[..., object], kind: str
) -> None:
    """A crash costs a child, not the machine: what waits behind it still runs."""
    arguments = (1,) if kind == "exit" else ()
    first = deadly.options(max_machines=1, timeout=60).delay(*arguments)
    second = jobs.add.options(max_machines=1, timeout=60).delay(1, 2)

    assert kind == failure_of(first).kind
    assert 3 == second.result(timeout=20)
    machines = {job.attempts[0].machine_id for job in (first, second)}
    assert 1 == len(machines)


def test_the_last_words_of_a_failed_attempt_are_kept(client: Client) -> None:
    """What was printed before the end is with the attempt, for people to read."""

    def talks() -> None:
        print("about to divide")
        _ = 1 / 0

    job = fly_task(talks).delay()
    with pytest.raises(ZeroDivisionError):
        job.result(timeout=20)

    assert "about to divide" in job.attempts[0].output
