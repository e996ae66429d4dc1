"""A script on a server that is full does all of its work or nothing.

Redis refuses the first write of a script if that would take memory, and no later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import StoreRig, claimed, new_job

from worker_lib.errors import StoreError
from worker_lib.store.new_job import BatchPart
from worker_lib.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import OwnServer

    from worker_lib.settings import Settings
    from worker_lib.store.replies import Check

REASON = '{"error": "X", "message": "no", "status": 401, "who": "me"}'


@pytest.fixture
def full(own_server: OwnServer) -> Callable[..., Any]:
    """Does something on a server that is full; returns whether that was refused."""
    return lambda rig, act: _while_full(own_server, rig, act)


@pytest.fixture
def rig(own_server: OwnServer, settings: Settings) -> Iterator[StoreRig]:
    """A namespace on a server of this test's own."""
    import dataclasses

    from worker_lib.store.connection import Connection
    from worker_lib.store.keys import key_prefix

    settings = dataclasses.replace(settings, redis_url=own_server.url)
    connection = Connection(settings.redis_url, key_prefix(settings.namespace))
    made = StoreRig(settings, Store(connection, settings.namespace))
    yield made
    made.close()
    connection.close()


def _while_full(server: OwnServer, rig: StoreRig, act: Callable[[], object]) -> bool:
    before = rig.snapshot()
    server.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        act()
    except StoreError:
        assert before == rig.snapshot(), "it was half done"
        return True
    else:
        return False
    finally:
        server.ask("CONFIG", "SET", "maxmemory", 0)


def test_a_claim_that_is_refused_takes_no_job_from_the_line(
    full: Callable[..., Any], rig: StoreRig
) -> None:
    """Nor from those that are due."""
    job, stored = rig.enqueue()
    rig.enqueue(delay=5.0)
    rig.pass_time(6.0)
    machine = rig.machine(stored.slot)
    full(rig, lambda: machine.claim("stay"))

    assert job == claimed(machine).id


@pytest.mark.parametrize("status", ["succeeded", "retrying"])
def test_a_report_that_is_refused_can_be_sent_again(
    full: Callable[..., Any], rig: StoreRig, status: str
) -> None:
    """And counts then."""
    machine, job = rig.running()
    rig.enqueue()
    assert full(rig, lambda: machine.report(job, status, outcome=b"x", retry_in=60.0))

    assert machine.report(job, status, outcome=b"x", retry_in=60.0)[0]
    assert status == rig.status(job.id)


@pytest.mark.parametrize("intent", ["leave_if_idle", "leave", "stay"])
def test_a_machine_that_leaves(
    full: Callable[..., Any], rig: StoreRig, intent: Any
) -> None:
    """With and without a job that waits."""
    machine, job = rig.running(linger=10.0)
    machine.report(job, "succeeded")
    full(rig, lambda: machine.claim(intent))
    rig.enqueue(linger=10.0)
    full(rig, lambda: machine.claim(intent))

    assert rig.slots() or f"p:{'pool'}" in rig.timers()


def test_a_release(full: Callable[..., Any], rig: StoreRig) -> None:
    """The job is not lost, and neither is the slot that is owed."""
    machine, job = rig.running(max_machines=1)
    rig.enqueue(max_machines=1)
    assert full(rig, lambda: machine.give_back(job))

    assert machine.give_back(job)
    assert "queued" == rig.status(job.id)


def test_a_release_of_a_cancelled_job(full: Callable[..., Any], rig: StoreRig) -> None:
    """Others wait for this machine's slot."""
    machine, job = rig.running(max_machines=1)
    rig.enqueue(max_machines=1)
    rig.store.cancel(job.id)
    full(rig, lambda: machine.give_back(job))
    machine.give_back(job)

    assert rig.slots()


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_cancel(full: Callable[..., Any], rig: StoreRig, delay: float) -> None:
    """Of a job that waits."""
    job, _ = rig.enqueue(delay=delay)
    assert full(rig, lambda: rig.store.cancel(job))

    assert rig.store.cancel(job)


def test_a_sweep(full: Callable[..., Any], rig: StoreRig) -> None:
    """Due jobs, silent machines, expired jobs and pools to look at."""
    rig.running(max_machines=5)
    due, _ = rig.enqueue(delay=5.0, max_machines=5)
    old, _ = rig.enqueue(max_machines=5)
    rig.pass_time(40.0)
    rig.redis.hset(rig.key("job", old), "expires", "1")
    rig.redis.zadd(rig.key("timers"), {f"j:{old}": 1})
    assert full(rig, rig.store.sweep)
    rig.store.sweep()

    assert ("queued", "expired") == (rig.status(due), rig.status(old))


def test_a_loss(full: Callable[..., Any], rig: StoreRig) -> None:
    """The machine is still to be lost after it."""
    _, job = rig.running()
    rig.pass_time(40.0)
    (check,) = rig.store.sweep().checks

    def lose(check: Check) -> object:
        words = {"envelope": b"x", "error": "gone", "kind": "lost"}
        return rig.store.lose(check, gone=False, **words)  # type: ignore[arg-type]

    assert full(rig, lambda: lose(check))
    lose(check)

    assert "queued" == rig.status(job.id)


def test_calls_of_a_batch(full: Callable[..., Any], rig: StoreRig) -> None:
    """None of them is stored."""
    rig.enqueue()
    calls, part = [b"one", b"two"], BatchPart("ab" * 8, 0, 2)

    assert full(rig, lambda: rig.store.batches.enqueue(new_job(), calls, part))


def test_a_call(full: Callable[..., Any], rig: StoreRig) -> None:
    """Nothing of it is stored."""
    rig.enqueue()
    assert full(rig, lambda: rig.store.enqueue(new_job()))

    assert 1 == len(rig.ready())


def test_a_launch_and_a_refusal(full: Callable[..., Any], rig: StoreRig) -> None:
    """The slot stays as it was."""
    _, stored = rig.enqueue()
    assert full(rig, lambda: rig.store.launch(stored.slot, 10.0, "me"))
    assert "go" == rig.store.launch(stored.slot, 10.0, "me").verdict

    def refuse() -> None:
        rig.store.refuse(stored.slot, REASON, 30.0, who="me", tell=True)

    assert full(rig, refuse)
    refuse()
    assert set() == rig.slots()
