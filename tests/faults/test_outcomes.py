"""Outcomes that Redis does not take at once: the job stays with its machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from machine import SECRET, Program, place_of
from waiting import until

from worker_lib import JobFailed, fly_task
from worker_lib.client.client import Client
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos import ChaosProxy
    from ledger import Ledger
    from servers import OwnServer

    from worker_lib.emulator import Emulator


def large(marks: str, size: int) -> Callable[[], bytes]:
    """Return a task that notes its run and returns so many bytes."""

    def task() -> bytes:
        import os

        with open(marks, "a") as file:
            file.write("run\n")
        return os.urandom(size)

    return task


def leave_room(server: OwnServer, room: int) -> None:
    """Let Redis take so many bytes more: what is small, and nothing large."""
    used = int(server.ask("INFO", "memory")["used_memory"])
    server.ask("CONFIG", "SET", "maxmemory", used + room)


def test_a_full_redis_does_not_cost_a_large_outcome_its_machine(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: OwnServer,
    tmp_path: Path,
) -> None:
    """The lease is renewed as long as the outcome is held; the job runs once."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url, lease_ttl=2.0)
    jobs.add.remote(1, 2)
    marks = tmp_path / "marks"
    leave_room(own_server, 3_000_000)
    job = fly_task(large(str(marks), 6_000_000)).delay()
    until(marks.exists)
    time.sleep(5)
    assert "running" == job.status
    own_server.ask("CONFIG", "SET", "maxmemory", "0")

    assert 6_000_000 == len(job.result(timeout=30))
    assert "run\n" == marks.read_text()
    assert ["succeeded"] == [one.outcome for one in job.attempts]


def test_a_lost_way_for_outcomes_does_not_cost_the_lease(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
) -> None:
    """Reports get lost for longer than the lease, heartbeats do not."""
    make_client(make_emulator(redis_url=proxy.url), lease_ttl=1.5)
    proxy.lose_requests("finish", times=12)
    job = jobs.works.delay(str(ledger), value=5)

    assert 5 == job.result(timeout=40)
    assert 12 == proxy.lost["finish"]
    assert ledger.ends[-1].at + 3 < time.monotonic()
    assert ["succeeded"] == [one.outcome for one in job.attempts]
    assert 1 == len(ledger.starts)


def test_an_outcome_that_is_refused_for_too_long_fails_with_that_cause(
    own_server: OwnServer, tmp_path: Path
) -> None:
    """Not as lost: who waits is told that Redis is full, and what helps."""
    settings = Settings(redis_url=own_server.url, secret=SECRET, namespace="full")
    client = Client(settings)
    marks = tmp_path / "marks"
    task: Any = fly_task(large(str(marks), 6_000_000))
    job = client.submit(task, (), {})
    leave_room(own_server, 3_000_000)
    shorter = "import worker_lib.runtime.outage as o; "
    shorter += "o.Outage.__init__.__kwdefaults__['longest'] = 2.0"
    program = Program(
        own_server.url,
        before=shorter,
        WORKER_LIB_NAMESPACE="full",
        WORKER_LIB_LEASE_TTL="1s",
        **place_of(own_server.url, "full"),
    )

    with pytest.raises(JobFailed, match=r"Redis is full .* 6,000,\d+ bytes") as caught:
        job.result(timeout=20)
    assert "error" == caught.value.kind
    assert 0 == program.ended()[0]
    assert "run\n" == marks.read_text()
    client.close()


@pytest.mark.timeout(120)
def test_a_job_that_waits_for_another_is_told_of_its_end(
    make_client: Callable[..., Client],
    make_emulator: Callable[..., Emulator],
    own_server: OwnServer,
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    """Inside a machine, with Redis frozen for ten seconds and every way to it cut."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url, lease_ttl=30.0)
    gate, path = tmp_path / "gate", str(ledger)

    @fly_task(memory_mb=512)
    def outer() -> int:
        import jobs

        return jobs.works.delay(path, gate=str(gate), value=7).result()

    job = outer.delay()
    until(lambda: ledger.starts and own_server.waiting("blmove"))
    _cut_all(own_server)
    own_server.freeze()
    gate.touch()
    time.sleep(10)
    own_server.thaw()

    assert 7 == job.result(timeout=40)
    assert 1 == len(ledger.starts)
    assert ["succeeded"] == [one.outcome for one in job.attempts]


def _cut_all(server: OwnServer) -> None:
    import redis

    with redis.Redis.from_url(server.url) as connection:
        connection.client_kill_filter(_type="normal", skipme=True)
