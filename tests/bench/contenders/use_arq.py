"""arq, asynchronous on both sides; worker and callers look every few milliseconds."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

NOTE = "10 jobs at a time (its default), pickle; poll_delay of 5 ms instead of 500"
BULK = "asyncio.gather of enqueue_job"

_POLL = 0.005

settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
# So many commands are under way at a time, as with SAQ.
_limit = asyncio.Semaphore(20)
_pools: list[Any] = []


async def echo(_context: Any, value: str) -> str:
    """Return what was given."""
    return value


async def nap(_context: Any, seconds: float) -> int:
    """Sleep as a function does that is not asynchronous."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point
    return os.getpid()


async def call(task: str, *args: Any) -> Any:
    """Store one call."""
    pool = _pools[0] if _pools else await _pool()
    return await pool.enqueue_job(task, *args)


async def bulk(task: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Store many, several commands being under way at a time."""

    async def store(args: tuple[Any, ...]) -> Any:
        async with _limit:
            return await call(task, *args)

    await _pool()
    return list(await asyncio.gather(*(store(args) for args in arguments)))


async def result(handle: Any) -> Any:
    """Wait for its result."""
    return await handle.result(timeout=60, poll_delay=_POLL)


async def gather(handles: list[Any]) -> list[Any]:
    """Wait for the results of all."""
    return [await result(one) for one in handles]


async def left(_handles: list[Any]) -> int:
    """Return how many have not ended; a job stays in its queue until then."""
    pool = await _pool()
    return int(await pool.zcard("arq:queue"))


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "arq")
    return [program, "use_arq.one_at_a_time" if alone else "use_arq.usual"]


async def _pool() -> Any:
    if not _pools:
        _pools.append(await create_pool(settings))
    return _pools[0]


usual = {
    "functions": [echo, nap],
    "redis_settings": settings,
    "poll_delay": _POLL,
}
one_at_a_time = {**usual, "max_jobs": 1}
