"""Many calls while machines are killed, replies lost and connections cut."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
import pytest
from waiting import is_running, until

from worker_lib import Queue, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos import ChaosProxy
    from ledger import Ledger
    from servers import OwnServer

    from worker_lib import Batch
    from worker_lib.client.client import Client
    from worker_lib.emulator import Emulator

CALLS = 120


def kill_somebody(ledger: Ledger, chance: random.Random) -> None:
    """Kill a machine that runs something."""
    alive = {one.supervisor for one in ledger.starts if is_running(one.supervisor)}
    if alive:
        os.kill(chance.choice(sorted(alive)), signal.SIGKILL)


def disturb(ledger: Ledger, proxy: ChaosProxy, chance: random.Random) -> None:
    """Break something else each time that some more calls have ended."""
    faults: list[Callable[[], Any]] = [
        lambda: kill_somebody(ledger, chance),
        proxy.cut,
        lambda: proxy.lose_replies("finish", times=2, every=2),
        lambda: proxy.lose_replies("batch", times=2, every=2),
        lambda: proxy.lose_replies("outcomes", times=2, every=2),
        lambda: kill_somebody(ledger, chance),
    ]
    for number, fault in enumerate(faults):
        wanted = 5 + number * CALLS // 8
        until(lambda least=wanted: len(ledger.ends) >= least, within=40)  # type: ignore[misc]  # bound now
        fault()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_batch_has_every_outcome_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    ordered: bool,
) -> None:
    """Whoever reads gets each value once, and the counts are exact at the end."""
    make_client(make_emulator(redis_url=proxy.url), redis_url=proxy.url)
    proxy.lose_replies("enqueue", times=1)
    works = jobs.works.options(max_machines=3)
    batch: Batch[int] = works.delay_many(
        (str(ledger), "", 0.02, number) for number in range(CALLS)
    )
    found: list[int] = []
    reader = threading.Thread(
        target=lambda: found.extend(batch.results(ordered=ordered)), daemon=True
    )
    reader.start()
    disturb(ledger, proxy, random.Random(3))
    reader.join(50)

    assert list(range(CALLS)) == (found if ordered else sorted(found))
    assert batch.wait(timeout=10)
    assert {"succeeded": CALLS} == {k: v for k, v in batch.counts.items() if v}


@pytest.mark.parametrize("part", ["requests", "replies"])
def test_calls_in_bulk_are_stored_once_whatever_is_lost(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    redis_keys: Callable[[str], list[str]],
    part: str,
) -> None:
    """A command or its reply is lost while the calls of the next one are pickled."""
    make_client(make_emulator(), redis_url=proxy.url)
    Queue("aside").pause()
    if part == "replies":
        proxy.lose_replies("enqueue", times=5, every=2)
    else:
        proxy.lose_requests("enqueue")
    batch = jobs.add.options(queue="aside").delay_many([(n,) for n in range(2000)])

    assert proxy.lost["enqueue"] == (5 if part == "replies" else 1)
    assert {"queued": 2000} == {k: v for k, v in batch.counts.items() if v}
    assert 2000 == len(redis_keys("job:*"))


@pytest.mark.parametrize("chunksize", [1, 7])
def test_a_map_yields_every_value_once(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    proxy: ChaosProxy,
    ledger: Ledger,
    chunksize: int,
) -> None:
    """A chunk whose machine vanished runs again."""
    make_client(make_emulator(redis_url=proxy.url), redis_url=proxy.url)
    works = jobs.works.options(max_machines=3)
    columns = [str(ledger)] * CALLS, [""] * CALLS, [0.02] * CALLS, range(CALLS)
    found: list[int] = []
    reader = threading.Thread(
        target=lambda: found.extend(works.map(*columns, chunksize=chunksize)),
        daemon=True,
    )
    reader.start()
    disturb(ledger, proxy, random.Random(4))
    reader.join(50)

    assert list(range(CALLS)) == found


def test_a_map_rides_through_a_restart_of_redis(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """It waits while Redis is away, and goes on."""
    make_client(make_emulator(redis_url=own_server.url), redis_url=own_server.url)
    # Else it may lose what it has answered while the disk is busy.
    own_server.ask("CONFIG", "SET", "appendfsync", "always")
    found: list[int] = []
    values = jobs.add.map(range(400), chunksize=1, window=50)
    reader = threading.Thread(target=lambda: found.extend(values), daemon=True)
    reader.start()
    until(lambda: len(found) > 20, within=30)
    own_server.kill()
    here = len(found)
    time.sleep(0.5)  # it is away for so long
    own_server.start()
    reader.join(40)

    assert 400 > here
    assert list(range(400)) == found


def test_a_full_redis_is_told_and_not_waited_for(
    make_emulator: Callable[..., Emulator],
    make_client: Callable[..., Client],
    own_server: OwnServer,
) -> None:
    """Only who takes results out, or a person, can make room."""
    emulator = make_emulator(redis_url=own_server.url)
    make_client(emulator, redis_url=own_server.url, fly_api_token="")
    jobs.add.options(delay="1h").delay(1)
    own_server.ask("CONFIG", "SET", "maxmemory", "1")

    for store in (
        lambda: jobs.add.delay_many([(1,)]),
        lambda: next(jobs.add.map([1])),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            store()
        assert "full" == caught.value.reason
