"""`loop.run_in_executor` on machines."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import jobs
import pytest
from waiting import until

from worker_lib import FlyExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from worker_lib.client.client import Client


def test_calls_are_awaited_beside_one_another(fly: Client) -> None:
    """Values and exceptions as those of any executor."""

    async def main(pool: FlyExecutor) -> list[int]:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="no"):
            await loop.run_in_executor(pool, jobs.boom, "no")
        calls = [loop.run_in_executor(pool, abs, -n) for n in range(20)]
        return await asyncio.gather(*calls)

    with FlyExecutor(2) as pool:
        assert list(range(20)) == asyncio.run(main(pool))


def test_awaiting_blocks_neither_the_loop_nor_its_threads(fly: Client) -> None:
    """More calls than the loop's own pool has threads are awaited at once."""

    async def main(pool: FlyExecutor) -> int:
        loop = asyncio.get_running_loop()
        ticks = 0
        calls = asyncio.gather(
            *(loop.run_in_executor(pool, time.sleep, 0.01) for _ in range(60))
        )
        while not calls.done():
            ticks += 1
            await asyncio.sleep(0.005)
        await calls
        return ticks

    with FlyExecutor(2) as pool:
        assert asyncio.run(main(pool)) > 20


def test_cancelling_what_is_awaited_cancels_the_job(
    fly: Client, tmp_path: Path
) -> None:
    """If it has not started."""
    gate, started = tmp_path / "gate", tmp_path / "started"

    async def main(pool: FlyExecutor) -> None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(pool, jobs.waits_for, str(gate), str(started))
        await asyncio.to_thread(until, started.exists)
        waiting = loop.run_in_executor(pool, abs, -1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.touch()
        assert await running

    # A machine that may run several takes the next ones a moment ahead.
    with FlyExecutor(1, isolate=True) as pool:
        asyncio.run(main(pool))
    news = fly.store.batches.news(pool.batch_id)
    assert news is not None
    assert 1 == news.seen.counts["succeeded"]
    assert news.seen.counts.keys() <= {"succeeded", "cancelled"}
