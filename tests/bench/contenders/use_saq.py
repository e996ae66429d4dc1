"""SAQ, asynchronous on both sides."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

NOTE = "10 jobs at a time (its default), JSON; callers look for a result every ms"
BULK = "asyncio.gather of Queue.enqueue, as its Queue.map does"

queue = RedisQueue(Redis.from_url(os.environ["REDIS_URL"]))


async def echo(_context: Any, *, value: str) -> str:
    """Return what was given."""
    return value


async def nap(_context: Any, *, value: float) -> int:
    """Sleep as a function does that is not asynchronous."""
    time.sleep(value)  # noqa: ASYNC251 - that is the point
    return os.getpid()


async def call(task: str, value: Any) -> Any:
    """Store one call."""
    return await queue.enqueue(task, value=value)


async def bulk(task: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Store many, several commands being under way at a time."""
    stored = (queue.enqueue(task, value=value) for (value,) in arguments)
    return list(await asyncio.gather(*stored))


async def trip(value: str) -> Any:
    """Store one call and wait for its result."""
    return await queue.apply("echo", value=value, poll_interval=0.001)


async def result(handle: Any) -> Any:
    """Wait for its result."""
    await handle.refresh()
    while not handle.completed:
        await asyncio.sleep(0.001)
        await handle.refresh()
    return handle.result


async def gather(handles: list[Any]) -> list[Any]:
    """Wait for the results of all."""
    return [await result(one) for one in handles]


async def left(_handles: list[Any]) -> int:
    """Return how many have not ended."""
    return await queue.count("incomplete")


def worker(alone: bool) -> list[str]:
    """Return how a worker is started."""
    program = os.path.join(os.environ["BENCH_BIN"], "saq")
    return [program, "use_saq.one_at_a_time" if alone else "use_saq.usual", "--quiet"]


usual = {"queue": queue, "functions": [echo, nap]}
one_at_a_time = {**usual, "concurrency": 1}
