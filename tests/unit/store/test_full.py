"""A script on a server that is full does all of its work or nothing.

Redis refuses the first write of a script if that would take memory, and no later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker_lib.errors import StoreError
from worker_lib.store.store import Store

from .ground import STOPPED, Ground, claimed, new_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import OwnServer

    from worker_lib.settings import Settings
    from worker_lib.store.replies import Check

REASON = '{"error": "X", "message": "no", "status": 401, "who": "me"}'


@pytest.fixture
def full(own_server: OwnServer) -> Callable[..., Any]:
    """Does something on a server that is full; returns whether that was refused."""
    return lambda ground, act: _while_full(own_server, ground, act)


@pytest.fixture
def ground(own_server: OwnServer, settings: Settings) -> Iterator[Ground]:
    """A namespace on a server of this test's own."""
    import dataclasses

    from worker_lib.keys import key_prefix
    from worker_lib.store.connection import Connection

    settings = dataclasses.replace(settings, redis_url=own_server.url)
    connection = Connection(settings.redis_url, key_prefix(settings.namespace))
    made = Ground(settings, Store(connection, settings.namespace))
    yield made
    made.close()
    connection.close()


def _while_full(server: OwnServer, ground: Ground, act: Callable[[], object]) -> bool:
    before = ground.snapshot()
    server.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        act()
    except StoreError:
        assert before == ground.snapshot(), "it was half done"
        return True
    else:
        return False
    finally:
        server.ask("CONFIG", "SET", "maxmemory", 0)


def test_a_claim_that_is_refused_takes_no_job_from_the_line(
    full: Callable[..., Any], ground: Ground
) -> None:
    """Nor from those that are due."""
    job, stored = ground.enqueue()
    ground.enqueue(delay=5.0)
    ground.pass_time(6.0)
    machine = ground.machine(stored.slot)
    full(ground, lambda: machine.claim("stay"))

    assert job == claimed(machine).id


@pytest.mark.parametrize("status", ["succeeded", "retrying"])
def test_a_report_that_is_refused_can_be_sent_again(
    full: Callable[..., Any], ground: Ground, status: str
) -> None:
    """And counts then."""
    machine, job = ground.running()
    ground.enqueue()
    assert full(
        ground, lambda: machine.finish(job, status, outcome=b"x", retry_in=60.0)
    )

    assert machine.finish(job, status, outcome=b"x", retry_in=60.0)[0]
    assert status == ground.status(job.id)


@pytest.mark.parametrize("mood", ["rested", "leave", "stay"])
def test_a_machine_that_leaves(
    full: Callable[..., Any], ground: Ground, mood: Any
) -> None:
    """With and without a job that waits."""
    machine, job = ground.running(linger=10.0)
    machine.finish(job, "succeeded")
    full(ground, lambda: machine.claim(mood))
    ground.enqueue(linger=10.0)
    full(ground, lambda: machine.claim(mood))

    assert ground.slots() or f"p:{'pool'}" in ground.timers()


def test_a_release(full: Callable[..., Any], ground: Ground) -> None:
    """The job is not lost, and neither is the slot that is owed."""
    machine, job = ground.running(max_machines=1)
    ground.enqueue(max_machines=1)
    assert full(ground, lambda: machine.release(job, **STOPPED))

    assert machine.release(job, **STOPPED)
    assert "queued" == ground.status(job.id)


def test_a_release_of_a_cancelled_job(full: Callable[..., Any], ground: Ground) -> None:
    """Others wait for this machine's slot."""
    machine, job = ground.running(max_machines=1)
    ground.enqueue(max_machines=1)
    ground.store.cancel(job.id)
    full(ground, lambda: machine.release(job, **STOPPED))
    machine.release(job, **STOPPED)

    assert ground.slots()


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_cancel(full: Callable[..., Any], ground: Ground, delay: float) -> None:
    """Of a job that waits."""
    job, _ = ground.enqueue(delay=delay)
    assert full(ground, lambda: ground.store.cancel(job))

    assert ground.store.cancel(job)


def test_a_sweep(full: Callable[..., Any], ground: Ground) -> None:
    """Due jobs, silent machines, expired jobs and pools to look at."""
    ground.running(max_machines=5)
    due, _ = ground.enqueue(delay=5.0, max_machines=5)
    old, _ = ground.enqueue(max_machines=5)
    ground.pass_time(40.0)
    ground.redis.hset(ground.key("job", old), "expires", "1")
    ground.redis.zadd(ground.key("timers"), {f"j:{old}": 1})
    assert full(ground, ground.store.sweep)
    ground.store.sweep()

    assert ("queued", "expired") == (ground.status(due), ground.status(old))


def test_a_loss(full: Callable[..., Any], ground: Ground) -> None:
    """The machine is still to be lost after it."""
    _, job = ground.running()
    ground.pass_time(40.0)
    (check,) = ground.store.sweep().checks

    def lose(check: Check) -> object:
        words = {"envelope": b"x", "error": "gone", "kind": "lost"}
        return ground.store.lose(check, gone=False, **words)  # type: ignore[arg-type]

    assert full(ground, lambda: lose(check))
    lose(check)

    assert "queued" == ground.status(job.id)


def test_a_call(full: Callable[..., Any], ground: Ground) -> None:
    """Nothing of it is stored."""
    ground.enqueue()
    assert full(ground, lambda: ground.store.enqueue(new_job()))

    assert 1 == len(ground.ready())


def test_a_launch_and_a_refusal(full: Callable[..., Any], ground: Ground) -> None:
    """The slot stays as it was."""
    _, stored = ground.enqueue()
    assert full(ground, lambda: ground.store.launch(stored.slot, 10.0, "me"))
    assert "go" == ground.store.launch(stored.slot, 10.0, "me").verdict

    def refuse() -> None:
        ground.store.refuse(stored.slot, REASON, 30.0, who="me", tell=True)

    assert full(ground, refuse)
    refuse()
    assert set() == ground.slots()
