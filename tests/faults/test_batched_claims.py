"""Machines that hold many jobs die in the middle of them: 5,000 jobs, by a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import is_running, until

from worker_lib.errors import StoreUnavailable
from worker_lib.store.limits import MAX_LOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos import ChaosProxy
    from ledger import Ledger

    from worker_lib import Batch
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

AGAIN, ONCE = 4_700, 300
# What there is of machines and waiting jobs; all of it is gone when nothing runs.
MOVING = ("slot", "slots", "busy", "idle", "ready", "due", "timers", "ctl")


class Havoc:
    """Kills machines, children and connections while jobs run."""

    def __init__(self, proxy: ChaosProxy, ledger: Ledger, seed: int) -> None:
        self._proxy = proxy
        self._ledger = ledger
        self._chance = random.Random(seed)
        self.machines_killed = 0
        self.children_killed = 0
        self._faults: list[Callable[[], object]] = [
            self._kill_machine,
            self._kill_machine,
            self._kill_child,
            proxy.cut,
            *(self._lose(verb) for verb in ("claim", "finish", "heartbeat")),
            *(
                self._kill_at(part, verb)
                for part in ("request", "reply")
                for verb in ("claim", "finish")
            ),
        ]

    def strike(self) -> None:
        """Do one of these."""
        self._chance.choice(self._faults)()

    @property
    def kills(self) -> int:
        """How many machines were killed, at any moment."""
        return self.machines_killed + self._proxy.killed

    def _lose(self, verb: str) -> Callable[[], object]:
        return lambda: self._proxy.lose_replies(verb, times=2, every=2)

    def _kill_at(self, part: str, verb: str) -> Callable[[], object]:
        every = self._chance.randint(1, 5)
        return lambda: self._proxy.kill_machines(part, verb, times=1, every=every)

    def _kill_machine(self) -> None:
        self.machines_killed += self._kill({e.supervisor for e in self._lately()})

    def _kill_child(self) -> None:
        self.children_killed += self._kill({entry.pid for entry in self._lately()})

    def _lately(self) -> list[Any]:
        return self._ledger.newest(50)

    def _kill(self, pids: set[int]) -> bool:
        alive = sorted(pid for pid in pids if is_running(pid))
        if alive:
            os.kill(self._chance.choice(alive), signal.SIGKILL)
        return bool(alive)


@pytest.mark.processes_only("a container's processes are not this computer's")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
def test_machines_killed_amid_batched_claims_lose_and_double_nothing(  # noqa: PLR0917 - fixtures
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    redis_keys: Callable[[str], list[str]],
    seed: int,
) -> None:
    """Each job has one outcome and its own value; none ran twice that may not."""
    emulator = make_emulator(redis_url=proxy.url)
    client = make_client(emulator)
    works, havoc = jobs.works.options(max_machines=4), Havoc(proxy, ledger, seed)
    again = works.delay_many([(str(ledger), "", 0.0, n) for n in range(AGAIN)])
    once = works.options(on_lost="fail", max_machines=4).delay_many(
        [(str(ledger), "", 0.0, n) for n in range(ONCE)]
    )

    _strike_until_done(havoc, [again, once])

    _assert_one_outcome_each(client, again)
    _assert_one_outcome_each(client, once)
    starts = Counter(entry.job for entry in ledger.starts)
    ends = Counter(entry.job for entry in ledger.ends)
    _assert_each_ran(again, starts, ends)
    _assert_each_ran(once, starts, ends)
    assert 1 == max(starts[job.id] for job in once.jobs())
    lost = [info for info in _infos(client, again, starts) if info.lost]
    assert sum(info.lost for info in lost) <= havoc.kills
    failed = [info for info in _infos(client, again, starts) if info.status == "failed"]
    assert len(failed) <= havoc.children_killed + sum(
        info.lost == MAX_LOST for info in lost
    )
    assert havoc.kills > 0
    _assert_quiet(emulator, redis_keys)


def _strike_until_done(havoc: Havoc, batches: list[Batch[int]]) -> None:
    """Strike whenever so many more jobs have ended, and once a second."""
    next_at, struck = 50, time.monotonic()

    def done() -> bool:
        nonlocal next_at, struck
        ended = sum(_ended(batch) for batch in batches)
        if ended >= next_at or time.monotonic() > struck + 1:
            havoc.strike()
            next_at, struck = ended + 150, time.monotonic()
        return ended == AGAIN + ONCE

    until(done, within=300)


def _ended(batch: Batch[int]) -> int:
    try:
        counts = batch.counts
    except StoreUnavailable:  # a busy computer's disk holds Redis up for seconds
        return 0
    return counts["succeeded"] + counts["failed"]


def _assert_one_outcome_each(client: Client, batch: Batch[int]) -> None:
    """Its end is told once of each job, and each value is that of its own call."""
    news = client.store.batches.news(batch.id, limit=2 * len(batch))
    assert news is not None
    assert list(range(len(batch))) == sorted(index for index, _ in news.ended)
    assert len(batch) == sum(batch.counts.values()) == _ended(batch)
    outcomes = list(batch.results(errors="collect", timeout=60))
    values = [one for one in outcomes if not isinstance(one, Exception)]
    assert batch.counts["succeeded"] == len(values)
    assert all(
        one == number or isinstance(one, Exception)
        for number, one in enumerate(outcomes)
    )


def _assert_each_ran(
    batch: Batch[int], starts: Counter[str], ends: Counter[str]
) -> None:
    """A job that succeeded came to its end; what was lost before it began, did not."""
    outcomes = batch.results(errors="collect", timeout=60)
    for job, outcome in zip(batch.jobs(), outcomes, strict=True):
        assert isinstance(outcome, Exception) or ends[job.id] >= 1
        assert starts[job.id] >= ends[job.id]


def _infos(client: Client, batch: Batch[int], starts: Counter[str]) -> list[Any]:
    """Return those that may have been disturbed: all but the ones that ran once."""
    ids = [job.id for job in batch.jobs() if starts[job.id] != 1]
    failed = [
        job.id
        for job, one in zip(
            batch.jobs(), batch.results(errors="collect", timeout=60), strict=True
        )
        if isinstance(one, Exception)
    ]
    seen = client.store.look(*sorted({*ids, *failed}))
    return [one.info for one in seen if one is not None]


def _assert_quiet(emulator: Emulator, redis_keys: Callable[[str], list[str]]) -> None:
    """Nothing moves any more: no machine, no slot, no deadline."""
    gone = {"destroying", "destroyed"}
    until(lambda: all(one["state"] in gone for one in emulator.machines()), 30)

    def moving() -> list[str]:
        return [key for key in redis_keys("*") if key.split(":")[0] in MOVING]

    until(lambda: not moving(), 30)
