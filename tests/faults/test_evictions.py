"""A server that evicts: nobody waits for ever, and what can be put back is."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import jobs
import pytest
import redis
from waiting import parent_of, text_of

from worker_lib import JobError, WaitTimeout, WorkerLibError
from worker_lib.client import client as client_module
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import OwnServer

    from worker_lib.client.client import Client
    from worker_lib.client.handle import Job
    from worker_lib.emulator import Emulator


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiters look every half second here."""
    monkeypatch.setattr(client_module, "MAX_BLOCK", 0.5)


@pytest.fixture
def evict(client: Client) -> Iterator[Callable[[str], int]]:
    """Deletes the keys of a kind, as an eviction does."""
    prefix = key_prefix(client.settings.namespace)
    with redis.Redis.from_url(client.settings.redis_url) as connection:

        def delete(kind: str) -> int:
            keys = connection.keys(f"{prefix}:{kind}*")
            return int(connection.delete(*keys)) if keys else 0

        yield delete


@pytest.fixture
def unlaunched(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """No machine starts before this is called."""
    launch = client.launcher.launch
    monkeypatch.setattr(client.launcher, "launch", lambda _slot: None)
    return lambda: monkeypatch.setattr(client.launcher, "launch", launch)


@pytest.mark.parametrize(
    "kinds", [["ready"], ["timers"], ["slot:"], ["slots"], ["ready", "timers", "slot"]]
)
def test_a_job_that_waits_is_put_back_in_line(
    evict: Callable[[str], int], unlaunched: Callable[[], None], kinds: list[str]
) -> None:
    """Whichever of line, clock and slots are gone."""
    job = jobs.add.delay(1, 2)
    for kind in kinds:
        assert evict(kind)
    unlaunched()

    assert 3 == job.result(timeout=30)


def test_slots_that_vanished_do_not_fill_the_pool(
    evict: Callable[[str], int], unlaunched: Callable[[], None]
) -> None:
    """All the machines that a pool may have are gone, and with them their slots."""
    first = jobs.add.options(max_machines=1).delay(1, 2)
    assert evict("slot:")
    unlaunched()
    second = jobs.add.options(max_machines=1).delay(3, 4)

    assert [3, 7] == [first.result(timeout=30), second.result(timeout=30)]


def test_a_delayed_job_starts_though_its_line_is_gone(
    evict: Callable[[str], int],
) -> None:
    """Its record says when it is due."""
    job = jobs.add.options(delay="1s").delay(1, 2)
    assert evict("due")
    assert evict("timers")

    assert 3 == job.result(timeout=30)


@pytest.mark.parametrize(
    "kinds", [["timers"], ["slot:"], ["slots", "busy"], ["timers", "slot"]]
)
def test_a_machine_that_dies_is_missed_though_its_lease_is_gone(
    evict: Callable[[str], int],
    tmp_path: Path,
    kinds: list[str],
) -> None:
    """Whoever waits for its job notices that nobody looks."""
    started, gate = tmp_path / "started", tmp_path / "gate"
    job = jobs.waits_for.delay(str(gate), str(started))
    os.kill(parent_of(int(text_of(started))), signal.SIGKILL)
    for kind in kinds:
        evict(kind)
    gate.touch()

    assert job.id == job.result(timeout=40)


def test_a_job_whose_machines_nobody_knows_any_more_is_lost(
    evict: Callable[[str], int], unlaunched: Callable[[], None]
) -> None:
    """Its waiter is told, as nobody could start a machine for it."""
    job = jobs.add.delay(1, 2)
    assert evict("pool")
    unlaunched()

    with pytest.raises(JobError, match="no longer has what its machines are to be"):
        job.result(timeout=20)


@pytest.mark.timeout(180)
def test_nobody_waits_for_ever_on_a_server_that_evicts(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """1,500 waiters under allkeys-lru: each gets its value or is told of the loss."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url)
    used = int(own_server.ask("INFO", "memory")["used_memory"])
    own_server.ask("CONFIG", "SET", "maxmemory", used + 1_500_000)
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    ends: Counter[str] = Counter()
    with pytest.warns(RuntimeWarning, match="maxmemory-policy is allkeys-lru"):
        first = jobs.echo.delay("x" * 500)
    stored = [first, *_stored(1499, ends)]
    threads = [
        threading.Thread(target=_wait_for, args=(stored[start::50], ends))
        for start in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0 == ends["WaitTimeout"], ends
    assert 1500 == ends.total()
    assert ends["value"] < 1500, "nothing was evicted"


def _stored(calls: int, ends: Counter[str]) -> list[Job[Any]]:
    found = []
    for _ in range(calls):
        try:
            found.append(jobs.echo.delay("x" * 500))
        except WorkerLibError as error:
            ends[type(error).__name__] += 1
    return found


def _wait_for(some: list[Job[Any]], ends: Counter[str]) -> None:
    for job in some:
        try:
            job.result(timeout=60)
            end = "value"
        except WaitTimeout:
            end = "WaitTimeout"
        except WorkerLibError as error:
            end = type(error).__name__
        ends[end] += 1
