"""Odd texts, long waits, many pools, failed logins: what users meet one day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_rig import new_job

if TYPE_CHECKING:
    from store_rig import StoreRig


@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\u2029b"])
def test_any_text_of_a_task_can_be_looked_at(rig: StoreRig, text: str) -> None:
    """What people print has line ends that only Unicode knows."""
    machine, job = rig.running()
    machine.report(job, "failed", error=text, kind="error", tail=text)
    (seen,) = rig.store.look(job.id)
    assert seen is not None
    assert (text, text) == (seen.info.error, seen.info.attempts[0].output)


def test_the_set_of_busy_slots_has_an_end(rig: StoreRig) -> None:
    """While a job runs, every key but the timers has a time to live."""
    rig.running()
    endless = {n for n in rig.names() if rig.redis.pttl(rig.key(n)) < 0}
    assert {"timers"} == endless


def test_a_slot_lives_as_long_as_its_place_among_the_slots(rig: StoreRig) -> None:
    """Else it takes a machine's place for ever: with max_machines=1, no other comes."""
    _, stored = rig.enqueue(max_machines=1)
    slot, slots = (
        rig.redis.pttl(rig.key(*parts))
        for parts in (("slot", stored.slot), ("slots", "pool"))
    )
    assert slot >= slots - 1000


def test_a_running_job_whose_slot_expired_is_not_stuck(rig: StoreRig) -> None:
    """Its machine and its caller died, and somebody comes two days later."""
    _, job = rig.running(pending_ttl=14 * 86400.0)
    (slot,) = rig.slots()
    ttl = rig.redis.pttl(rig.key("slot", slot))
    assert ttl >= rig.redis.pttl(rig.key("job", job.id))


def test_a_delay_longer_than_pending_ttl_is_kept(rig: StoreRig) -> None:
    """A call whose delay() returned reaches a final status."""
    job, _ = rig.enqueue(delay=1000.0, pending_ttl=60.0)
    assert rig.redis.pttl(rig.key("job", job)) > 1_000_000


@pytest.mark.parametrize("key", ["ready:pool:default", "pool:pool", "code:h", "jobs"])
def test_what_a_job_needs_lives_as_long_as_the_job(rig: StoreRig, key: str) -> None:
    """Renewing half-way must not leave the newest job with half a life."""
    life = 14 * 86400
    rig.store.enqueue(new_job(code_hash="h", code=b"x", pending_ttl=float(life)))
    rig.redis.pexpire(rig.key(key), life * 1000 * 6 // 10)
    rig.redis.hincrbyfloat(rig.key("pool", "pool"), "kept_until", -life * 1.4)
    rig.store.enqueue(new_job(code_hash="h", code=b"x", pending_ttl=float(life)))
    assert rig.redis.pttl(rig.key(key)) > life * 990


def test_a_sweep_forgets_no_pool_when_it_runs_out_of_candidates(rig: StoreRig) -> None:
    """Twenty-five pools become due together: all of them get a machine."""
    for n in range(25):
        rig.enqueue(pool=f"p{n}", delay=10.0)
    rig.pass_time(20)
    launched = []
    for _ in range(4):
        launched += rig.store.sweep().launches
    assert 25 == len(launched)


def test_a_cancel_sent_again_after_a_lost_reply_says_yes(rig: StoreRig) -> None:
    """It was this call that did it, only the reply was lost."""
    job, _ = rig.enqueue()
    store: Any = rig.store
    real = store._connection

    class Twice:
        def run(self, *words: Any, **named: Any) -> Any:
            real.run(*words, **named)
            return real.run(*words, **named)

    store._connection = Twice()
    assert rig.store.cancel(job) is True
