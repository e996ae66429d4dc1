"""Machines that cannot start a process for a task: the job is told, and they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs
import pytest
from machine import SECRET, Program, place_of

from worker_lib import Crashed, Retry, StartFailed, fly_task
from worker_lib.client.client import Client
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import OwnServer

# One machine at a time, and one pool for both.
one_machine = fly_task(max_machines=1)
adds, exits = one_machine(jobs.add.fn), one_machine(jobs.exits_hard.fn)
PROCESS = "import worker_lib.runtime.process as p, os\n"
# Runs in the machine before its program: no child comes as far as its first job.
NONE_STARTS = PROCESS + "p._offer_to_oom_killer = lambda: os._exit(9)\n"
# The machine forks its first child, and none after it.
NO_SECOND_FORK = f"""{PROCESS}
fork = os.fork
def first_only():
    os.fork = no_more
    return fork()
def no_more():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = first_only
"""


@pytest.fixture
def caller(own_server: OwnServer) -> Iterator[Client]:
    """Return a client whose machines are started by hand."""
    settings = Settings(redis_url=own_server.url, secret=SECRET, namespace="starts")
    client = Client(settings)
    yield client
    client.close()


def machine(server: OwnServer, before: str) -> Program:
    """Start the machine that the waiting jobs are owed."""
    return Program(
        server.url,
        before=before,
        WORKER_LIB_NAMESPACE="starts",
        **place_of(server.url, "starts"),
    )


def test_a_child_that_ends_before_it_took_the_job_is_no_crash_of_the_task(
    caller: Client, own_server: OwnServer
) -> None:
    """The task never ran. The next job is left to another machine."""
    first, second = (caller.submit(adds, (1, 2), {}) for _ in range(2))
    program = machine(own_server, NONE_STARTS)

    with pytest.raises(StartFailed, match="ended with exit code 9 before it") as caught:
        first.result(timeout=20)
    assert 9 == caught.value.exit_code
    assert ["not_started"] == [one.outcome for one in first.attempts]
    assert 0 == program.ended()[0]
    assert "queued" == second.status


def test_a_machine_that_cannot_fork_says_so_and_leaves(
    caller: Client, own_server: OwnServer
) -> None:
    """It does not end in an error of its own, which would look like a lost machine."""
    first = caller.submit(exits, (3,), {})
    second = caller.submit(adds, (1, 2), {})
    program = machine(own_server, NO_SECOND_FORK)

    with pytest.raises(Crashed):
        first.result(timeout=20)
    with pytest.raises(StartFailed, match="Resource temporarily unavailable"):
        second.result(timeout=20)
    assert 0 == program.ended()[0]


def test_a_failed_start_is_retried_like_a_crash(
    caller: Client, own_server: OwnServer
) -> None:
    """By another machine, where the task's policy says so."""
    task = adds.options(retry=Retry(max_attempts=2))
    job = caller.submit(task, (1, 2), {})
    program = machine(own_server, NONE_STARTS)

    assert 0 == program.ended()[0]
    assert "retrying" == job.status
    assert ["not_started"] == [one.outcome for one in job.attempts]
