"""Everything at once, by a seed: what holds for each job holds for all of them."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import jobs
import pytest
import redis
from waiting import is_running, result_of, until

from worker_lib import JobCancelled
from worker_lib.emulator import FaultRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos import ChaosProxy
    from ledger import Ledger

    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

JOBS = 60
# What there is of machines and waiting jobs; all of it is gone when nothing runs.
MOVING = ("slot", "slots", "busy", "idle", "ready", "due", "timers", "ctl")


def assert_quiet(emulator: Emulator, redis_keys: Callable[[str], list[str]]) -> None:
    """Nothing moves any more: no machine, no slot, no deadline."""
    gone = {"destroying", "destroyed"}
    until(lambda: all(one["state"] in gone for one in emulator.machines()))

    def moving() -> list[str]:
        return [key for key in redis_keys("*") if key.split(":")[0] in MOVING]

    until(lambda: not moving())


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_machines_lost_replies_and_a_failing_api_lose_and_double_nothing(  # noqa: PLR0917 - fixtures
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    redis_keys: Callable[[str], list[str]],
    seed: int,
) -> None:
    """Every job has its own value and one success; afterwards nothing is left over."""
    chance = random.Random(seed)
    emulator = make_emulator(redis_url=proxy.url)
    client = make_client(emulator)
    emulator.script_faults(
        [
            FaultRule(action="create", status=503, times=1),
            FaultRule(action="create", effect="drop", after_commit=True, times=2),
        ]
    )
    works = jobs.works.options(max_machines=4)
    running = [works.delay(str(ledger), seconds=0.05, value=n) for n in range(JOBS)]
    faults: dict[str, Callable[[], object]] = {
        "kill": lambda: _kill_somebody(ledger, chance),
        "cut": proxy.cut,
        "reply": lambda: proxy.lose_replies("finish", times=3, every=2),
        "flush": lambda: _flush_scripts(client),
    }
    for done, name in zip(
        range(3, JOBS, 6), _shuffled([*faults], chance), strict=False
    ):
        until(lambda done=done: len(ledger.ends) >= done, within=40)  # type: ignore[misc]  # bound now
        faults[name]()

    assert list(range(JOBS)) == [result_of(job) for job in running]
    outcomes = [[one.outcome for one in job.attempts] for job in running]
    assert ["succeeded"] * JOBS == [one[-1] for one in outcomes]
    assert {"succeeded", "lost"} >= {name for one in outcomes for name in one}
    assert [one.count("succeeded") for one in outcomes] == [1] * JOBS
    assert_quiet(emulator, redis_keys)


def test_a_cancel_and_an_end_at_the_same_moment_leave_one_outcome(
    client: Client,
    emulator: Emulator,
    ledger: Ledger,
    redis_keys: Callable[[str], list[str]],
) -> None:
    """Whoever comes first has it, and everybody sees the same."""
    chance = random.Random(7)
    works = jobs.works.options(max_machines=3)
    ends: list[tuple[bool, bool | None]] = []
    pause = 0.05
    for n in range(40):
        job = works.delay(str(ledger), seconds=0.03, value=n)
        time.sleep(pause * chance.uniform(0.5, 1.5))
        done = job.cancel()
        # Later if it was too early, so that both stay close on a busy computer too.
        pause = pause * 1.3 if done else pause / 1.3
        try:
            ends.append((done, job.result(timeout=20) == n))
        except JobCancelled:
            ends.append((done, None))
        assert ("cancelled" if done else "succeeded") == job.status

    assert {(True, None), (False, True)} == set(ends)
    assert_quiet(emulator, redis_keys)
    assert not [entry for entry in ledger.starts if is_running(entry.pid)]


def _shuffled(names: list[str], chance: random.Random) -> list[str]:
    order = [*names, "kill", *names, "kill"]
    chance.shuffle(order)
    return order


def _kill_somebody(ledger: Ledger, chance: random.Random) -> None:
    alive = [one.supervisor for one in ledger.starts if is_running(one.supervisor)]
    if alive:
        os.kill(chance.choice(alive), signal.SIGKILL)


def _flush_scripts(client: Client) -> None:
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        connection.script_flush()
