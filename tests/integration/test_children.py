"""What tasks do to the process that they run in, and what their machine makes of it."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import until

from worker_lib import (
    JobFailed,
    NotLoadable,
    TaskNotRegistered,
    current_job,
    fly_task,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker_lib.client.client import Client

# All jobs of a test run on one machine, one after the other.
one_machine = fly_task(max_machines=1, linger="20s", timeout="20s")


class Bomb:
    """An argument that cannot be unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return int, ("no number",)


def test_a_bad_argument_spoils_no_later_call(client: Client) -> None:
    """The machine did not load the function for it, so it must be sent again."""
    increment = one_machine(lambda x: x + 1)
    with pytest.raises(NotLoadable, match="no number") as caught:
        increment.remote(Bomb())
    assert isinstance(caught.value.__cause__, ValueError)

    assert 2 == increment.remote(1)
    assert 3 == increment.remote(2)


def test_code_that_redis_lost_is_told_as_that(client: Client) -> None:
    """The call cannot be run, and the reason is not its signature."""
    import redis

    gate = one_machine(lambda: None)
    gate.remote()
    job = one_machine(lambda: 5).options(delay="1s").delay()
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        for key in connection.scan_iter(f"*{client.settings.namespace}*:code:*"):
            connection.delete(key)

    with pytest.raises(NotLoadable, match="no longer in Redis") as caught:
        job.result(timeout=20)
    assert isinstance(caught.value.__cause__, TaskNotRegistered)


def test_progress_of_threads_does_not_garble_the_outcome(client: Client) -> None:
    """They report while the result is on its way; it arrives whole."""

    @one_machine
    def busy(size: int) -> bytes:
        job, over = current_job(), threading.Event()

        def report() -> None:
            while not over.is_set():
                job.progress(1, 2, "x" * 400)

        for _ in range(4):
            threading.Thread(target=report, daemon=True).start()
        time.sleep(0.05)
        threading.Timer(1.0, over.set).start()
        return os.urandom(size)

    sizes = [4_000_000, 2_000_000, 3_000_000] * 3
    assert sizes == [len(busy.remote(size)) for size in sizes]


def test_a_cancel_in_the_middle_of_a_report_is_heard(client: Client) -> None:
    """An exception ends the write, and the child goes on or is replaced."""

    @one_machine
    def reports_without_end(path: str) -> None:
        with open(path, "w"):
            pass
        while True:
            current_job().progress(1, 2, "x" * 400)

    for turn in range(3):
        path = f"{client.settings.namespace}-{turn}"
        job = reports_without_end.delay(f"/tmp/{path}")
        until(lambda path=path: os.path.exists(f"/tmp/{path}"))  # type: ignore[misc]
        os.remove(f"/tmp/{path}")
        assert job.cancel()
        assert 3 == one_machine(lambda: 3).remote()


def test_a_thread_that_outlives_its_job_reports_for_nobody(client: Client) -> None:
    """What it says belongs to a job that has ended."""

    @one_machine
    def leaves_a_thread() -> None:
        job = current_job()

        def report() -> None:
            while True:
                time.sleep(0.01)
                job.progress(99, 100, "of an earlier job")

        threading.Thread(target=report, daemon=True).start()

    @one_machine
    def sleeps() -> None:
        time.sleep(1)

    leaves_a_thread.remote()
    job = sleeps.delay()
    seen = [info.progress for info in job.watch(timeout=10)]

    assert [None] * len(seen) == seen


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_task_that_closes_what_it_did_not_open_fails_and_is_told(
    client: Client, goes_on: bool
) -> None:
    """As helpers for daemons do. Its machine goes on, with another child."""

    @one_machine
    def closes_all(seconds: float) -> None:
        os.closerange(3, 1024)
        time.sleep(seconds)

    one_machine(lambda: None).remote()
    began = time.monotonic()
    job = closes_all.delay(60 if goes_on else 0)
    with pytest.raises(JobFailed, match="closed descriptors that it had not") as caught:
        job.result(timeout=10)

    assert "exit" == caught.value.kind
    assert time.monotonic() - began < 5
    assert 4 == one_machine(lambda: 4).remote()
    (attempt,) = job.attempts
    assert "exit" == attempt.outcome


def test_what_ends_the_process_is_told_though_the_channel_was_closed(
    client: Client,
) -> None:
    """The true cause is the death, where there is one."""

    @one_machine
    def closes_and_dies() -> None:
        os.closerange(3, 1024)
        os.kill(os.getpid(), 9)

    with pytest.raises(JobFailed, match="SIGKILL"):
        closes_and_dies.remote()


def test_a_timeout_is_kept_though_the_channel_was_closed(client: Client) -> None:
    """The machine looks at its clock, whatever the child closed."""

    @fly_task(timeout="0.5s")
    def closes_all() -> None:
        os.closerange(3, 1024)
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(JobFailed):
        closes_all.remote()
    assert time.monotonic() - began < 10


def _sockets() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return sorted(one for one in found if one.startswith("socket:"))


def test_children_forked_later_have_no_way_to_redis(
    client: Client, tmp_path: Path
) -> None:
    """A copy of the machine's connection would keep it open when it is gone.

    Redis would go on giving words for the machine to nobody.
    """
    sockets = one_machine(_sockets)
    first = sockets.remote()
    one_machine(lambda: time.sleep(1.5)).remote()  # its machine listens by now
    with pytest.raises(JobFailed):
        one_machine(lambda: os._exit(3)).remote()
    second = sockets.remote()

    assert not set(first) & set(second), "it is another child"
    assert len(first) == len(second)


def test_functions_that_came_by_value_do_not_pile_up(client: Client) -> None:
    """Two hundred closures of 300 KB would take 60 MB of the machine's 256."""

    def closure() -> Any:
        data = os.urandom(300_000)

        def peak_kb() -> int:
            import resource

            assert len(data) == 300_000
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        return one_machine(peak_kb)

    first = closure().remote()
    grown = [closure().remote() - first for _ in range(200)]

    assert grown[-1] < 40_000
    assert grown[-1] - grown[120] < 3_000


def test_a_by_value_function_keeps_its_state_between_jobs(client: Client) -> None:
    """As long as the child keeps it: it is not loaded anew for each call."""
    counter: list[int] = []

    def counts() -> int:
        counter.append(1)
        return len(counter)

    count = one_machine(counts)

    assert [1, 2, 3] == [count.remote() for _ in range(3)]
    assert jobs.add.remote(1, 2) == 3


def test_garbage_is_collected_in_each_child(client: Client) -> None:
    """The first one of a machine, and one that takes the place of another."""

    @one_machine
    def collects() -> bool:
        import gc

        return gc.isenabled()

    assert collects.remote()
    with pytest.raises(JobFailed):
        one_machine(lambda: os._exit(1)).remote()
    assert collects.remote()


def test_a_task_that_goes_elsewhere_takes_no_module_along(client: Client) -> None:
    """The folder in which modules are found stays the one of the machine's start."""

    @one_machine
    def first_path() -> str:
        import sys

        os.chdir("/")
        return sys.path[0]

    assert os.path.isabs(first_path.remote())
