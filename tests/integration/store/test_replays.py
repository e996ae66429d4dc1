"""Every verb sent twice, as after a lost reply: the same answer, nothing changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from store_rig import claimed, new_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from store_rig import StoreRig

    from worker_lib.store.scripts import Script


class Echo:
    """Sends each script twice; keeps both replies, and what was stored after each.

    Stands in for a `Connection` or a `Wire`; returns the second reply, as who did not
    get the first would.
    """

    def __init__(self, real: Any, rig: StoreRig) -> None:
        self._real = real
        self._ground = rig
        self.replies: list[tuple[Any, Any]] = []
        self.stored: list[tuple[Any, Any]] = []

    def run(self, script: Script, *words: Any, **options: Any) -> Any:
        """Send a script twice."""
        first = self._real.run(script, *words, **options)
        before = _without_times(self._ground.snapshot())
        second = self._real.run(script, *words, **options)
        after = _without_times(self._ground.snapshot())
        self.replies.append((first, second))
        self.stored.append((before, after))
        return second

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _without_times(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Leave out when a lease or a mark ends: renewing it twice is no harm."""
    for value in snapshot.values():
        if isinstance(value, dict):
            value.pop("followed", None)
    return {
        key: [name for name, _ in value] if key.endswith(":timers") else value
        for key, value in snapshot.items()
    }


def on_store(rig: StoreRig) -> Echo:
    """Have the calling side send everything twice."""
    store: Any = rig.store
    store._connection = Echo(store._connection, rig)
    echo: Echo = store._connection
    store._enqueuer._connection = store.batches._connection = echo
    store.output._connection = echo
    store.strays._connection = echo
    return echo


def on_machine(machine: Any, rig: StoreRig) -> Echo:
    """Have a machine send everything twice."""
    machine.wire = Echo(machine.wire, rig)
    echo: Echo = machine.wire
    return echo


def enqueue(rig: StoreRig) -> Echo:
    """Store a call."""
    echo = on_store(rig)
    rig.store.enqueue(new_job())
    return echo


def enqueue_later(rig: StoreRig) -> Echo:
    """Store a call with a delay."""
    echo = on_store(rig)
    rig.store.enqueue(new_job(delay=60.0))
    return echo


def enqueue_with_an_idle_machine(rig: StoreRig) -> Echo:
    """Store a call that wakes a machine."""
    machine, job = rig.running(linger=60.0)
    machine.report(job, "succeeded")
    echo = on_store(rig)
    rig.store.enqueue(new_job(linger=60.0))
    return echo


def launch(rig: StoreRig) -> Echo:
    """Ask whether a machine may be created."""
    _, stored = rig.enqueue()
    echo = on_store(rig)
    rig.store.launch(stored.slot, 10.0, "who")
    return echo


def parked_slot(rig: StoreRig) -> str:
    """Return a slot whose machine is parked."""
    _, stored = rig.enqueue()
    machine = rig.machine(stored.slot, parking=(1, 60.0))
    machine.report(claimed(machine), "succeeded")
    return stored.slot


def enqueue_with_a_parked_machine(rig: StoreRig) -> Echo:
    """Store a call that has a machine started."""
    slot = parked_slot(rig)
    echo = on_store(rig)
    assert slot == rig.store.enqueue(new_job()).slot
    return echo


def launch_a_parked_machine(rig: StoreRig) -> Echo:
    """Ask whether a machine may be started."""
    slot = parked_slot(rig)
    rig.enqueue()
    echo = on_store(rig)
    rig.store.launch(slot, 10.0, "who")
    return echo


def replace_a_parked_machine(rig: StoreRig) -> Echo:
    """Tell that a machine cannot be started."""
    slot = parked_slot(rig)
    rig.enqueue()
    rig.store.launch(slot, 10.0, "who")
    echo = on_store(rig)
    assert rig.store.replace(slot)
    return echo


def extend(rig: StoreRig) -> Echo:
    """Put a deadline off."""
    rig.running()
    rig.pass_time(31)
    (seen,) = rig.store.sweep().checks
    echo = on_store(rig)
    rig.store.extend(seen, 30.0)
    return echo


def remember(rig: StoreRig) -> Echo:
    """Have a machine destroyed."""
    echo = on_store(rig)
    rig.store.strays.remember("f00d", "m1")
    return echo


def forget(rig: StoreRig) -> Echo:
    """Note that it is."""
    rig.store.strays.remember("f00d", "m1")
    echo = on_store(rig)
    rig.store.strays.forget("f00d")
    return echo


def doubt(rig: StoreRig) -> Echo:
    """Have a machine looked for."""
    _, stored = rig.enqueue()
    claimed(rig.machine(stored.slot))
    echo = on_store(rig)
    assert rig.store.strays.doubt(stored.slot, f"m-{stored.slot}")
    return echo


def created(rig: StoreRig) -> Echo:
    """Keep a machine's id."""
    _, stored = rig.enqueue()
    echo = on_store(rig)
    rig.store.created(stored.slot, "m1")
    return echo


def refuse(rig: StoreRig) -> Echo:
    """Tell that no machine can be had."""
    _, stored = rig.enqueue()
    rig.store.launch(stored.slot, 10.0, "who")
    echo = on_store(rig)
    rig.store.refuse(stored.slot, '{"message": "no"}', 30.0, who="who", tell=False)
    return echo


def sweep_with_nothing_due(rig: StoreRig) -> Echo:
    """Look for what is overdue."""
    rig.enqueue()
    echo = on_store(rig)
    rig.store.sweep()
    echo.replies = [(one[1:], two[1:]) for one, two in echo.replies]
    return echo


def claim(rig: StoreRig) -> Echo:
    """Take a job."""
    _, stored = rig.enqueue()
    rig.enqueue()
    machine = rig.machine(stored.slot)
    echo = on_machine(machine, rig)
    claimed(machine)
    return echo


def claim_nothing(rig: StoreRig) -> Echo:
    """Find the line empty, and linger."""
    machine, job = rig.running(linger=60.0)
    machine.report(job, "succeeded")
    echo = on_machine(machine, rig)
    machine.claim("stay")
    return echo


def finish(rig: StoreRig) -> Echo:
    """Report a success, and take the next job."""
    machine, job = rig.running(max_machines=1)
    rig.enqueue(max_machines=1)
    rig.enqueue(max_machines=1)
    echo = on_machine(machine, rig)
    machine.report(job, "succeeded", outcome=b"x")
    return echo


def park(rig: StoreRig) -> Echo:
    """Find the line empty, and be parked."""
    _, stored = rig.enqueue()
    machine = rig.machine(stored.slot, parking=(1, 60.0))
    job = claimed(machine)
    echo = on_machine(machine, rig)
    assert "park" == machine.report(job, "succeeded")[1].verdict
    return echo


def retire(rig: StoreRig) -> Echo:
    """Have parked machines destroyed."""
    parked_slot(rig)
    echo = on_store(rig)
    rig.store.retire("pool")
    return echo


def finish_to_retry(rig: StoreRig) -> Echo:
    """Report a failure that is tried again, and take the next job."""
    machine, job = rig.running(max_machines=1)
    rig.enqueue(max_machines=1)
    echo = on_machine(machine, rig)
    machine.report(job, "retrying", error="no", kind="error", retry_in=60.0)
    return echo


def heartbeat(rig: StoreRig) -> Echo:
    """Renew a lease, with progress."""
    machine, job = rig.running()
    echo = on_machine(machine, rig)
    machine.heartbeat(job, '{"done": 1, "total": 2, "message": ""}')
    return echo


def send_pieces(rig: StoreRig) -> Echo:
    """Send what a job prints, all of it anew."""
    machine, job = rig.running()
    rig.store.output.read(job.id, hold=20.0)
    machine.heartbeat(job, "", (0, 2, b"0:2:0 x"))
    echo = on_machine(machine, rig)
    machine.heartbeat(job, "", (0, 9, b"0:9:0 y"))
    return echo


def follow(rig: StoreRig) -> Echo:
    """Read what a job prints, which tells its machine."""
    _, job = rig.running()
    echo = on_store(rig)
    rig.store.output.read(job.id, hold=20.0)
    return echo


@pytest.mark.parametrize(
    "verb",
    [
        enqueue,
        enqueue_later,
        enqueue_with_an_idle_machine,
        enqueue_with_a_parked_machine,
        launch,
        launch_a_parked_machine,
        replace_a_parked_machine,
        park,
        extend,
        remember,
        forget,
        doubt,
        created,
        sweep_with_nothing_due,
        claim,
        claim_nothing,
        finish,
        finish_to_retry,
        heartbeat,
        send_pieces,
        follow,
    ],
)
def test_a_verb_sent_twice_says_the_same_and_changes_nothing(
    verb: Callable[[StoreRig], Echo], rig: StoreRig
) -> None:
    """Replies get lost after the commit; whoever sends again must not do it again."""
    echo = verb(rig)
    ((first, second),) = echo.replies
    ((before, after),) = echo.stored

    assert before == after
    assert _alike(first, second)


def _alike(first: Any, second: Any) -> bool:
    """Say whether two replies differ by no more than the time between them."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_alike, first, second))
    if isinstance(first, bytes) and b" " in first:
        return _alike(first.split(b" "), second.split(b" "))
    if isinstance(first, bytes) and re.fullmatch(rb"-?\d+\.\d+", first):
        return abs(float(first) - float(second)) < 5
    return bool(first == second)


def end_of_a_machine(rig: StoreRig) -> Echo:
    """Report the last success."""
    machine, job = rig.running()
    echo = on_machine(machine, rig)
    machine.report(job, "succeeded", outcome=b"x")
    return echo


def release(rig: StoreRig) -> Echo:
    """Hand a job back."""
    machine, job = rig.running()
    echo = on_machine(machine, rig)
    machine.give_back(job)
    return echo


def cancel(rig: StoreRig) -> Echo:
    """End a job."""
    machine, job = rig.running()
    machine.heartbeat(job)
    echo = on_store(rig)
    rig.store.cancel(job.id)
    return echo


def cancel_waiting(rig: StoreRig) -> Echo:
    """End one job that waits; one that runs and one that is not there are left."""
    _, running = rig.running()
    waiting, _ = rig.enqueue()
    echo = on_store(rig)
    rig.store.batches.cancel_waiting([running.id, waiting, "00"])
    return echo


def lose(rig: StoreRig) -> Echo:
    """Tell that a machine is gone."""
    rig.running()
    rig.pass_time(31)
    (seen,) = rig.store.sweep().checks
    echo = on_store(rig)
    rig.store.lose(seen, envelope=b"x", error="gone", kind="lost", gone=False)
    assert echo.replies[0][1][0] == b"lost", "the machine would never be destroyed"
    return echo


@pytest.mark.parametrize(
    "verb", [end_of_a_machine, release, cancel, cancel_waiting, lose, refuse, retire]
)
def test_a_verb_that_was_done_is_not_done_again(
    verb: Callable[[StoreRig], Echo], rig: StoreRig
) -> None:
    """These say "done already" the second time; nothing changes by it."""
    echo = verb(rig)
    ((before, after),) = echo.stored

    assert before == after
